"""Dry runs of different scenarios, seeds and score roundings, each recomputed from its transaction log.

    python -m tests.integration.recompute_runs [--runs 30] [--seconds 4]

Every third run's detector leaves some answers without a score.  Exits with 1 when a figure differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from banksim.run import connect
from banksim.run.plan import Mode, RunSettings
from banksim.sandbox import DetectorApi
from banksim.scenario import load_scenario
from banksim.schedule.clock import MAX_SPEED
from tests.integration.driver import SMALL_ATTACK, Driver, settings_for

RECOMPUTE = Path(__file__).with_name("recompute.py")
SHIPPED = ("fraud_attack", "demo", "mule_network", "outage", "onboarding")
WARM_UP = SMALL_ATTACK.replace("customers: 60", "customers: 60\nwarm_up_hours: 1")
#: Decimals of a score; None: as the model gives it.
ROUNDINGS = (3, 2, None, 4, 1)


class Rounding(DetectorApi):
    """The stand-in, with scores of so many decimals; ``gaps``: every ninth answer has no usable score."""

    def __init__(self, decimals: int | None, gaps: bool) -> None:
        super().__init__()
        self._decimals, self._gaps, self._asked = decimals, gaps, 0

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        status, reply = super().handle(method, path, query, body)
        if path == "/score" and status == 200:
            self._asked += 1
            if self._gaps and self._asked % 9 == 0:
                return 200, {**reply, "risk_score": None}
            if self._decimals is not None:
                reply["risk_score"] = round(reply["risk_score"], self._decimals)
        return status, reply


def settings(what: str, seed: int, folder: Path, seconds: float) -> RunSettings:
    if what in SHIPPED:
        scenario = load_scenario(what)
        scenario = scenario.model_copy(update={"customers": min(scenario.customers, 300)})
        speed = min(MAX_SPEED, scenario.duration_s / seconds)
        return RunSettings(scenario, seed, speed, Mode.DRY_RUN, folder, transaction_log=True)
    text = WARM_UP if what == "warm_up" else SMALL_ATTACK
    made = settings_for(folder, text, seed=seed, transaction_log=True)
    return replace(made, speed=made.scenario.duration_s / seconds)


def recomputed(what: str, seed: int, decimals: int | None, gaps: bool, seconds: float) -> tuple[bool, str]:
    """(whether every figure is equal, what recompute.py printed) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        detector = Rounding(decimals, gaps)
        with mock.patch.object(connect, "DetectorApi", lambda: detector):
            run = Driver(settings(what, seed, Path(folder), seconds)).conduct()
        assert run.results is not None, run.message
        command = [sys.executable, "-I", str(RECOMPUTE), str(run.settings.folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode == 0, (done.stdout + done.stderr).strip()


def cases(runs: int) -> list[tuple[str, int, int | None, bool]]:
    """(scenario, seed, decimals, gaps), each scenario in turn."""
    names = (*SHIPPED, "small", "warm_up")
    return [
        (names[number % len(names)], 1 + number, ROUNDINGS[number % len(ROUNDINGS)], number % 3 == 2)
        for number in range(runs)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=4.0, help="wall seconds of each")
    options = parser.parse_args()
    failures = 0
    for what, seed, decimals, gaps in cases(options.runs):
        equal, told = recomputed(what, seed, decimals, gaps, options.seconds)
        failures += not equal
        rounding = "as given" if decimals is None else f"{decimals} decimals"
        missing = ", some without a score" if gaps else ""
        print(
            f"{'ok  ' if equal else 'DIFF'} {what:<16} seed {seed:<3} {rounding}{missing}: {told}", flush=True
        )
    print(f"{options.runs} runs, {failures} differ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
