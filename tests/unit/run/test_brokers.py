"""Which brokers a run uses, by mode, option and scenario; and what it says when there are none."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from banksim.kafka import broker_problem
from banksim.load.options import run_settings
from banksim.run.kafka import find_brokers
from banksim.run.plan import KafkaUse, Mode, RunSettings
from tests.integration.commands import free_port
from tests.integration.driver import settings_for

SCENARIO = "name: S\nduration_hours: 1\ntransaction_rate: {peak_tps: 1, off_peak_tps: 1}\n"


def settings(mode: Mode, use: KafkaUse, servers: str | None) -> RunSettings:
    named = "null" if servers is None else f"'{servers}'"
    text = f"{SCENARIO}connections: {{kafka_bootstrap_servers: {named}}}\n"
    return replace(settings_for(Path(), text, mode), kafka=use)


@pytest.mark.parametrize("mode", list(Mode))
def test_no_kafka_turns_it_off_everywhere(mode: Mode) -> None:
    brokers = find_brokers(settings(mode, KafkaUse.OFF, "localhost:9092"))
    assert (brokers.servers, brokers.wanted, brokers.reason) == ("", False, "disabled: --no-kafka")


@pytest.mark.parametrize("mode", [Mode.DRY_RUN, Mode.SANDBOX])
def test_a_rehearsal_writes_only_where_it_is_told_to(mode: Mode) -> None:
    brokers = find_brokers(settings(mode, KafkaUse.AUTO, "embedded"))
    assert not brokers.servers and not brokers.wanted
    assert "--kafka-servers" in brokers.reason and str(mode) in brokers.reason


def test_a_scenario_can_name_none() -> None:
    brokers = find_brokers(settings(Mode.LIVE, KafkaUse.AUTO, None))
    assert (brokers.wanted, brokers.reason) == (False, "disabled: the scenario names no brokers")


@pytest.mark.parametrize("use", [KafkaUse.AUTO, KafkaUse.ASKED])
def test_without_an_answer_one_line_and_on_it_goes(use: KafkaUse, caplog: pytest.LogCaptureFixture) -> None:
    servers = f"127.0.0.1:{free_port()}"
    with caplog.at_level(logging.INFO):
        brokers = find_brokers(settings(Mode.LIVE, use, servers))
    reason = f"no broker answers at {servers}, events are counted as not published"
    assert (brokers.servers, brokers.wanted, brokers.reason) == ("", True, reason)
    assert len(caplog.records) == 1 and reason in caplog.text


@pytest.mark.parametrize("mode", list(Mode))
def test_an_embedded_broker_in_every_mode(mode: Mode) -> None:
    brokers = find_brokers(settings(mode, KafkaUse.ASKED, "embedded"))
    assert brokers.wanted and broker_problem(brokers.servers) is None
    brokers.close()
    assert broker_problem(brokers.servers) is not None


@pytest.mark.parametrize(
    ("options", "environ", "use", "servers"),
    [
        ({}, {}, KafkaUse.AUTO, "localhost:9092"),
        ({}, {"KAFKA_BOOTSTRAP_SERVERS": "e:1"}, KafkaUse.AUTO, "e:1"),
        ({"kafka_servers": "o:1"}, {"KAFKA_BOOTSTRAP_SERVERS": "e:1"}, KafkaUse.ASKED, "o:1"),
        ({"kafka_servers": "o:1", "no_kafka": True}, {}, KafkaUse.OFF, None),
        ({"no_kafka": True}, {"KAFKA_BOOTSTRAP_SERVERS": "e:1"}, KafkaUse.OFF, None),
        ({"kafka_servers": None, "no_kafka": False}, {}, KafkaUse.AUTO, "localhost:9092"),
    ],
)
def test_the_command_line_decides(
    options: dict[str, Any], environ: dict[str, str], use: KafkaUse, servers: str | None
) -> None:
    found = run_settings({"scenario": "demo", **options}, environ)
    assert (found.kafka, found.scenario.connections.kafka_bootstrap_servers) == (use, servers)
