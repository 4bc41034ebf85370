"""What a run is asked to do, after command line, environment and scenario have been weighed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from banksim.measure import MeasureSettings
from banksim.scenario import Scenario


class Mode(StrEnum):
    """Where the targets are."""

    LIVE = "live"  # at the addresses given
    SANDBOX = "sandbox"  # the stand-ins, behind real HTTP, started for this run
    DRY_RUN = "dry-run"  # the stand-ins inside this process: no network

    @property
    def meaning(self) -> str:
        """One line of text."""
        return {
            Mode.LIVE: "live targets",
            Mode.SANDBOX: "sandbox (stand-in bank and detector over HTTP)",
            Mode.DRY_RUN: "dry run (stand-in bank and detector in process, no network)",
        }[self]


class KafkaUse(StrEnum):
    """Whether a run may publish events; where the brokers are is another setting."""

    AUTO = "auto"  # against live targets, when the brokers answer
    ASKED = "asked"  # brokers were named on the command line: in every mode
    OFF = "off"  # --no-kafka


def new_run_id() -> str:
    """A name for a run that sorts by time and is safe in paths and addresses."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One run.  ``speed`` is in simulated seconds per wall second; ``seed`` decides everything random."""

    scenario: Scenario
    seed: int
    speed: float
    mode: Mode
    report_dir: Path
    run_id: str = field(default_factory=new_run_id)
    transaction_log: bool = False
    kafka: KafkaUse = KafkaUse.AUTO

    @property
    def folder(self) -> Path:
        """Where this run leaves its files."""
        return self.report_dir / self.run_id


def new_seed() -> int:
    """A seed for a run that was given none; short enough to type again."""
    return secrets.randbelow(1_000_000)


def counting(scenario: Scenario) -> MeasureSettings:
    """How a scenario wants its transactions counted; equal in every process of a run."""
    return MeasureSettings(
        interval_s=scenario.metrics.collect_interval_seconds,
        max_points=scenario.metrics.max_points,
        warm_up_s=scenario.warm_up_hours * 3600.0,
    )
