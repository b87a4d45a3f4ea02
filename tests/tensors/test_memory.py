"""Memory formats are taken where PyTorch takes them; only ``is_contiguous`` answers by them."""

from __future__ import annotations

import pytest

import weft

FORMATS = ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")


@pytest.mark.parametrize("name", FORMATS)
def test_taken_as_an_argument(name: str) -> None:
    form = getattr(weft, name)
    assert repr(form) == f"weft.{name}"
    x = weft.arange(8).reshape(1, 2, 2, 2)
    for y in (x.clone(memory_format=form), weft.clone(x, memory_format=form),
              x.contiguous(memory_format=form), x.to(memory_format=form)):  # fmt: skip
        assert y.tolist() == x.tolist()
    for like in (weft.zeros_like, weft.ones_like, weft.empty_like):
        assert like(x, memory_format=form).shape == x.shape
    assert weft.full_like(x, 3, memory_format=form).sum().item() == 24


def test_is_contiguous_answers_by_the_format() -> None:
    x = weft.zeros(2, 4, 5, 3)
    view = x.permute(0, 3, 1, 2)
    assert x.is_contiguous()
    assert not x.is_contiguous(memory_format=weft.channels_last)
    assert view.is_contiguous(memory_format=weft.channels_last)
    assert not view.is_contiguous()
    assert not view.is_contiguous(memory_format=weft.channels_last_3d)  # other rank
