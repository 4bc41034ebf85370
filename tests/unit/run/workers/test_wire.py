"""Whatever the master was told reaches the workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
from locust.argument_parser import get_parser

from banksim.load.options import add_options, from_form, run_settings
from banksim.run.settings import KafkaUse, Mode
from banksim.run.workers.messages import (
    segments_from_wire,
    segments_to_wire,
    settings_from_wire,
    settings_to_wire,
)
from banksim.scenario.loader import scenario_files
from banksim.schedule.clock import Clock

#: A value for each field of the start form, unlike its default.
FORM = {
    "scenario": "fraud_attack",
    "speed": "123",
    "seed": "99",
    "customers": "321",
    "target_mode": "live",
    "nexum_url": "http://127.0.0.1:9001",
    "bastion_url": "http://127.0.0.1:9002",
    "kafka_servers": "127.0.0.1:9093",
}


def over_the_wire(settings: Any) -> Any:
    return settings_from_wire(msgpack.loads(msgpack.dumps(settings_to_wire(settings)), strict_map_key=False))


def shown_in_the_form() -> set[str]:
    parser = get_parser()
    before = set(parser.args_included_in_web_ui)
    add_options(parser)
    return set(parser.args_included_in_web_ui) - before


def test_every_field_of_the_start_form_reaches_the_workers() -> None:
    assert shown_in_the_form() == set(FORM), "a new field needs a value here, and a line below"
    settings = over_the_wire(run_settings(from_form(FORM, {}), {}))
    scenario = settings.scenario
    arrived = {
        "scenario": settings.scenario.source_path.stem,
        "speed": f"{settings.speed:g}",
        "seed": str(settings.seed),
        "customers": str(scenario.customers),
        "target_mode": str(settings.mode),
        "nexum_url": scenario.connections.nexum_url,
        "bastion_url": scenario.connections.bastion_url,
        "kafka_servers": scenario.connections.kafka_bootstrap_servers,
    }
    assert arrived == FORM


def test_options_of_the_command_line_reach_the_workers(tmp_path: Path) -> None:
    options = {
        "scenario": "demo",
        "flow": "score_then_post",
        "threshold": ["recall >= 1%"],
        "transaction_log": True,
        "report_dir": str(tmp_path),
        "target_mode": "dry-run",
        "no_kafka": True,
    }
    settings = run_settings(options, {})
    found = over_the_wire(settings)
    assert found == settings
    assert found.scenario.flow == "score_then_post"
    assert "recall >= 1%" in found.scenario.thresholds
    assert found.folder == settings.folder
    assert (found.mode, found.kafka) == (Mode.DRY_RUN, KafkaUse.OFF)


@pytest.mark.parametrize("name", scenario_files())
def test_every_shipped_scenario_arrives_as_it_was_sent(name: str) -> None:
    settings = run_settings({"scenario": name, "speed": "77"}, {})
    found = over_the_wire(settings)
    assert found.scenario.hash == settings.scenario.hash
    assert found.scenario.source_path == settings.scenario.source_path


def test_a_clock_arrives_in_the_workers_time() -> None:
    clock = Clock(1000.0, 10.0)
    clock.start(50.0)
    clock.pause(60.0)
    segments = segments_from_wire(segments_to_wire(clock), offset_s=-40.0)
    there = Clock.from_segments(1000.0, 10.0, True, segments)
    for wall_s in (50.0, 55.0, 60.0, 70.0):
        assert there.sim_at(wall_s - 40.0) == clock.sim_at(wall_s)
