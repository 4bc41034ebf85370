"""The scenarios a page can offer, each in numbers, and those that do not load with the reason.

Reading and checking all files is CPU work of some tens of milliseconds; it happens in a
thread, and again only when a file has changed.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent

from banksim.demand import offered_rate
from banksim.domain import ScenarioError
from banksim.scenario import Scenario, load_scenario, survey_scenarios
from banksim.scenario.finder import find_scenario, scenario_files


class ScenarioList:
    """Cards of all scenarios; ``given`` is what the command line named, perhaps a path."""

    def __init__(self) -> None:
        self._stamp: tuple[tuple[str, float], ...] | None = None
        self._cards: dict[str, Any] = {}
        self._one: tuple[str, float, Scenario] | None = None

    def cards(self, given: str) -> dict[str, Any]:
        """{"scenarios": [card], "broken": [{name, error}]}."""
        stamp = _stamp(given)
        if stamp != self._stamp:
            self._cards = gevent.get_hub().threadpool.apply(_read, (given,))
            self._stamp = stamp
        return self._cards

    def find(self, name: str) -> Scenario | None:
        """One scenario, or None when it does not load."""
        try:
            path = find_scenario(name)
            changed_s = path.stat().st_mtime
            if self._one is None or self._one[:2] != (name, changed_s):
                self._one = (name, changed_s, load_scenario(path, environ={}))
            return self._one[2]
        except (ScenarioError, OSError):
            return None


def _stamp(given: str) -> tuple[tuple[str, float], ...]:
    files = {**scenario_files()}
    if given not in files and Path(given).is_file():
        files[given] = Path(given)
    return tuple((name, path.stat().st_mtime) for name, path in files.items())


def _read(given: str) -> dict[str, Any]:
    good, broken = survey_scenarios()
    if given not in dict(good):
        with suppress(ScenarioError):  # the start says why, when it is asked for
            good.insert(0, (given, load_scenario(given, environ={})))
    return {
        "scenarios": [_card(name, scenario) for name, scenario in good],
        "broken": [{"name": row.name, "error": str(row.error)} for row in broken],
    }


def _card(name: str, scenario: Scenario) -> dict[str, Any]:
    offered = offered_rate(scenario)
    patterns = scenario.fraud.all_patterns
    counted = sum(pattern.count or 0 for pattern in patterns)
    return {
        "name": name,
        "title": scenario.name,
        "description": scenario.description,
        "duration_hours": scenario.duration_hours,
        "speed": scenario.speed_multiplier,
        "wall_s": scenario.duration_s / scenario.speed_multiplier,
        "customers": scenario.customers,
        "peak_tps": max(piece.value for piece in offered),
        "transactions": round(offered.total() / scenario.speed_multiplier + counted),
        "fraud_rate": scenario.fraud.rate,
        "typologies": list(dict.fromkeys(pattern.type for pattern in patterns)),
        "search": scenario.load is not None,
    }
