"""The scenario's thresholds as a page can hold them against a figure that it shows itself."""

from __future__ import annotations

from typing import Any

from banksim.measure.thresholds import thresholds_of
from banksim.scenario import Scenario


def goals(scenario: Scenario) -> list[dict[str, Any]]:
    """[{metric, statistic, comparison, bound, bound_text}] of the thresholds on whole figures.

    ``bound`` is in the metric's base unit: shares 0..1, times in ms.  Those on a part (one kind
    of fraud, one system) are left to the verdict at the end.
    """
    return [
        {
            "metric": threshold.metric.name,
            "statistic": threshold.statistic,
            "comparison": threshold.comparison,
            "bound": threshold.bound,
            "bound_text": threshold.bound_text,
        }
        for threshold in thresholds_of(scenario)
        if not threshold.label
    ]
