from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from banksim.world.random import Choice, LogNormal, stream, zipf_weights


def test_choice_follows_its_weights() -> None:
    choice, rng = Choice.of({"a": 1.0, "b": 3.0, "never": 0.0}), stream(1, "choice")
    seen = Counter(choice.pick(rng) for _ in range(4000))
    assert set(seen) == {"a", "b"}
    assert seen["b"] / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("items", "weights"), [([], []), (["a"], [0.0]), (["a", "b"], [1.0, -1.0]), (["a"], [1.0, 2.0])]
)
def test_choice_refuses_what_it_cannot_draw_from(items: list[str], weights: list[float]) -> None:
    with pytest.raises(ValueError):
        Choice(items, weights)


def test_log_normal_has_the_stated_median() -> None:
    rng, model = stream(1, "amounts"), LogNormal(40.0, 0.8)
    drawn = [model.draw(rng) for _ in range(4000)]
    assert min(drawn) > 0
    assert median(drawn) == pytest.approx(40.0, rel=0.06)


def test_zipf_weights_fall_with_rank() -> None:
    assert zipf_weights(3) == [1.0, 0.5, pytest.approx(1 / 3)]
