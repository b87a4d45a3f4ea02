"""Padding and transposed convolutions, beyond what the samples and the list of layers show."""

from __future__ import annotations

import pytest

import weft
import weft.nn.functional as F
from weft import nn
from weft.errors import ShapeError


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("widths", [(0, 0), (-1, 0)])
def test_the_result_is_no_view(mode: str, widths: tuple[int, int]) -> None:
    x = weft.ones(1, 1, 3)
    F.pad(x, widths, mode).zero_()
    assert x.tolist() == [[[1.0, 1.0, 1.0]]]


def test_a_layer_names_the_shape_that_it_cannot_take() -> None:
    with pytest.raises(ShapeError, match=r"ReflectionPad2d .* 3 dimensions, or 4 .*\[4, 4\]"):
        nn.ReflectionPad2d(1)(weft.zeros(4, 4))
    with pytest.raises(ShapeError, match=r"padding=\(1, 2\) should be one int or 4"):
        nn.ZeroPad2d((1, 2))


@pytest.mark.parametrize("size", [(8, 9), (1, 3, 8, 9)])
def test_output_size(size: tuple[int, ...]) -> None:
    """The one of two sizes that the convolution would have made the input's."""
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    assert layer(weft.zeros(1, 2, 4, 5)).shape == (1, 3, 7, 9)
    assert layer(weft.zeros(1, 2, 4, 5), output_size=size).shape == (1, 3, 8, 9)
    assert layer(weft.zeros(2, 4, 5), output_size=[8, 10]).shape == (3, 8, 10)


@pytest.mark.parametrize("size", [(9, 9), (6, 9), (8,), (1, 2, 3, 8, 9)])
def test_an_output_size_that_cannot_be(size: tuple[int, ...]) -> None:
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    with pytest.raises(ShapeError, match=r"must be from \[7, 9\] to \[8, 10\]"):
        layer(weft.zeros(1, 2, 4, 5), output_size=size)


def test_an_output_size_that_is_no_size() -> None:
    with pytest.raises(TypeError, match="output_size takes one int for each dimension, not 5"):
        nn.ConvTranspose2d(1, 1, 3)(weft.zeros(1, 1, 3, 3), output_size=5)


def test_options_that_a_convolution_cannot_have() -> None:
    with pytest.raises(ValueError, match="padding_mode='zero' should be one of zeros, reflect"):
        nn.Conv2d(1, 1, 3, padding_mode="zero")
    with pytest.raises(ValueError, match="padding='same' needs stride 1"):
        nn.Conv2d(1, 1, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="padding='full' should be ints, 'valid' or 'same'"):
        nn.Conv2d(1, 1, 3, padding="full")
    with pytest.raises(ValueError, match="padding_mode='zeros' only"):
        nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")


def test_transposed_is_the_adjoint_of_the_convolution() -> None:
    x, w = weft.randn(2, 3, 7, 6, dtype=weft.float64), weft.randn(4, 3, 3, 2, dtype=weft.float64)
    y = F.conv2d(x, w, None, (2, 3), 1)
    z = weft.randn(*y.shape, dtype=weft.float64)
    back = F.conv_transpose2d(z, w, None, (2, 3), 1, output_padding=(0, 0))
    inside = x[:, :, : back.shape[2], : back.shape[3]]
    assert inside.shape == back.shape
    assert weft.allclose((y * z).sum(), (inside * back).sum())
