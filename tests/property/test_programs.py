"""Random programs: whatever they do, weft gives what PyTorch gives. ``fuzz.py`` runs any number."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import weft

from .programs import Drawn, Lonely, Replayed, Seeded

PROGRAMS = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def drawn(data: st.DataObject) -> Drawn:
    return Drawn(lambda count: data.draw(st.integers(0, count - 1)))


@pytest.mark.parity
class TestAgainstPyTorch:
    @PROGRAMS
    @given(st.data())
    def test_drawn(self, torch: Any, data: st.DataObject) -> None:
        from .fuzz import run

        run(drawn(data), collections.Counter())

    def test_seeded(self, torch: Any) -> None:
        """Seeds give longer programs than hypothesis likes to draw."""
        from .fuzz import run

        stats: collections.Counter[str] = collections.Counter()
        for seed in range(300):
            run(Seeded(seed), stats)
        assert stats["complete"] > 200, stats
        assert stats["backward done"] > 200, stats


def check_the_same(choices: Any) -> None:
    """Lazily, and again with everything run at once: the values are equal to the last bit."""
    weft.realize()
    lazy = Lonely(choices, eager=False)
    lazy.run()
    eager = Lonely(Replayed(choices.log), eager=True)
    eager.run()
    assert [what for what, _ in lazy.seen] == [what for what, _ in eager.seen], lazy.steps
    for (what, a), (_, b) in zip(lazy.seen, eager.seen, strict=True):
        np.testing.assert_array_equal(a, b, err_msg="\n".join([what, *lazy.steps]))


class TestWhenItRuns:
    """It does not matter when ops run: only what they give."""

    @PROGRAMS
    @given(st.data())
    def test_drawn(self, data: st.DataObject) -> None:
        check_the_same(drawn(data))

    @pytest.mark.parametrize("first", [0, 100])
    def test_seeded(self, first: int) -> None:
        for seed in range(first, first + 100):
            check_the_same(Seeded(seed))
