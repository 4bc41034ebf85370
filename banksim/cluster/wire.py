"""A run's settings and its clock on the wire.

The scenario travels as it was merged by the master (file, environment, command line or start
form), so that every worker runs the same, whatever its own environment says.  It is checked
again when it arrives, like any scenario.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from banksim.clock import Clock, Segment
from banksim.engine.settings import KafkaUse, Mode, RunSettings
from banksim.scenario import parse_scenario


def settings_to_wire(settings: RunSettings) -> dict[str, Any]:
    """Everything in it, as plain values."""
    scenario = settings.scenario
    return {
        "scenario": scenario.model_dump_json(exclude_unset=True),
        "source": str(scenario.source_path) if scenario.source_path is not None else "",
        "seed": settings.seed,
        "speed": settings.speed,
        "mode": str(settings.mode),
        "report_dir": str(settings.report_dir),
        "run_id": settings.run_id,
        "transaction_log": settings.transaction_log,
        "kafka": str(settings.kafka),
    }


def settings_from_wire(data: Mapping[str, Any]) -> RunSettings:
    """The same settings.  Raises ScenarioError for a scenario that this version does not understand."""
    source = data["source"]
    scenario = parse_scenario(data["scenario"], source or "the master's scenario")
    return RunSettings(
        scenario=scenario.with_source(Path(source) if source else None),
        seed=int(data["seed"]),
        speed=float(data["speed"]),
        mode=Mode(data["mode"]),
        report_dir=Path(data["report_dir"]),
        run_id=str(data["run_id"]),
        transaction_log=bool(data["transaction_log"]),
        kafka=KafkaUse(data["kafka"]),
    )


def segments_to_wire(clock: Clock) -> list[list[float]]:
    """[[wall_s, sim_s, speed], …]"""
    return [[segment.wall_s, segment.sim_s, segment.speed] for segment in clock.segments]


def segments_from_wire(rows: Sequence[Sequence[float]], offset_s: float) -> list[Segment]:
    """The master's segments in this process's wall time."""
    return [Segment(wall_s + offset_s, sim_s, speed) for wall_s, sim_s, speed in rows]
