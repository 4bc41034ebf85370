"""How long samples are kept follows from the scenario, within bounds."""

import pytest

from banksim.scenario import Metrics


@pytest.mark.parametrize(
    ("minutes", "interval_s", "points"),
    [(60, 1, 2000), (15, 1, 900), (15, 5, 180), (0.1, 1, 60), (1, 0.05, 1200)],
)
def test_samples_kept(minutes: float, interval_s: float, points: int) -> None:
    settings = Metrics(retention_minutes=minutes, collect_interval_seconds=interval_s)
    assert settings.max_points == points
