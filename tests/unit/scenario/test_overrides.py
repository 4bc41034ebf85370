"""Command line before environment before scenario before default; errors under the name that was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from banksim.model import ScenarioError
from banksim.scenario import load_scenario, parse_scenario
from tests.unit.scenario import examples

FROM_FILE = "connections: {nexum_url: 'http://file:1'}\n"
ENVIRON = {"NEXUM_URL": "http://environment:2"}


@pytest.mark.parametrize(
    ("text", "environ", "overrides", "expected"),
    [
        ("", {}, {}, "http://localhost:8090"),
        (FROM_FILE, {}, {}, "http://file:1"),
        (FROM_FILE, ENVIRON, {}, "http://environment:2"),
        (FROM_FILE, ENVIRON, {"nexum_url": "http://line:3"}, "http://line:3"),
        (FROM_FILE, ENVIRON, {"nexum_url": None}, "http://environment:2"),  # option not given
        (FROM_FILE, ENVIRON, {"nexum_url": ""}, ""),  # switched off
        (FROM_FILE, {"NEXUM_URL": ""}, {}, "http://file:1"),  # an empty variable counts as unset
    ],
)
def test_precedence(text: str, environ: dict[str, str], overrides: dict[str, Any], expected: str) -> None:
    scenario = parse_scenario(examples.MINIMAL + text, "x.yaml", overrides, environ)
    assert scenario.connections.nexum_url == expected


def test_every_environment_variable_arrives() -> None:
    environ = {
        "NEXUM_URL": "http://nexum:1",
        "BASTION_URL": "https://bastion/api",
        "KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2",
        "DASHBOARD_PORT": "9000",
        "PATH": "/bin",
    }
    scenario = parse_scenario(examples.MINIMAL, environ=environ)
    assert scenario.connections.nexum_url == "http://nexum:1"
    assert scenario.connections.bastion_url == "https://bastion/api"
    assert scenario.connections.kafka_bootstrap_servers == "a:1,b:2"
    assert scenario.dashboard.port == 9000


def test_every_option_arrives() -> None:
    overrides = {
        "speed": 200,
        "customers": 1000,
        "seed": 7,
        "flow": "score_then_post",
        "threshold": ["p99 < 250ms"],
        "bastion_url": "",
        "kafka_servers": "k:9092",
        "dashboard": True,
        "dashboard_port": 8080,
    }
    text = examples.MINIMAL + "dashboard: {enabled: false}\nthresholds: [failures == 0]\n"
    scenario = parse_scenario(text, overrides=overrides)
    assert (scenario.speed_multiplier, scenario.customers, scenario.seed) == (200, 1000, 7)
    assert scenario.flow == "score_then_post"
    assert scenario.thresholds == ("failures == 0", "p99 < 250ms")
    assert scenario.connections.bastion_url == ""
    assert scenario.connections.kafka_bootstrap_servers == "k:9092"
    assert scenario.dashboard.enabled and scenario.dashboard.port == 8080


def test_one_threshold_may_come_as_plain_text() -> None:
    # As a form field sends it.
    assert parse_scenario(examples.MINIMAL, overrides={"threshold": "p99 < 1s"}).thresholds == ("p99 < 1s",)


def test_switches_that_are_off_change_nothing() -> None:
    text = examples.MINIMAL + "connections: {kafka_bootstrap_servers: 'k:1'}\n"
    scenario = parse_scenario(text, overrides={"no_kafka": False, "dashboard": False})
    assert scenario.connections.kafka_bootstrap_servers == "k:1"
    assert scenario.dashboard.enabled


def test_an_embedded_broker_may_be_asked_for() -> None:
    scenario = parse_scenario(examples.MINIMAL, overrides={"kafka_servers": "embedded"})
    assert scenario.connections.kafka_bootstrap_servers == "embedded"


def test_the_form_of_events_is_the_scenarios() -> None:
    assert parse_scenario(examples.MINIMAL).connections.kafka_format == "flat"
    text = examples.MINIMAL + "connections: {kafka_format: envelope}\n"
    assert parse_scenario(text).connections.kafka_format == "envelope"


@pytest.mark.parametrize("order", [("no_kafka", "kafka_servers"), ("kafka_servers", "no_kafka")])
def test_no_kafka_wins(order: tuple[str, str]) -> None:
    given = {"no_kafka": True, "kafka_servers": "k:1"}
    scenario = parse_scenario(examples.MINIMAL, overrides={name: given[name] for name in order})
    assert scenario.connections.kafka_bootstrap_servers is None


@pytest.mark.parametrize(
    ("overrides", "environ", "expected"),
    [
        ({"speed": 0}, {}, "--speed: expected a number from 0.1 to 10000, got 0"),
        ({"speed": "fast"}, {}, "--speed: expected a number from 0.1 to 10000, got 'fast'"),
        ({"customers": -5}, {}, "--customers: expected a whole number from 1 to 10000000, got -5"),
        (
            {"kafka_servers": "k"},
            {},
            "--kafka-servers: expected host:port, or several with commas between, or 'embedded', got 'k'",
        ),
        ({"flow": "x"}, {}, "--flow: expected post_then_score or score_then_post, got 'x'"),
        ({"dashboard_port": 0}, {}, "--dashboard-port: expected a whole number from 1 to 65535, got 0"),
        ({}, {"DASHBOARD_PORT": "x"}, "DASHBOARD_PORT: expected a whole number from 1 to 65535, got 'x'"),
        (
            {"transaction_rate.peak_tps": -1},
            {},
            "transaction_rate.peak_tps: expected a number from 0 to 100000, got -1",
        ),
        ({"nonsense": 1}, {}, "nonsense: unknown key"),
    ],
)
def test_mistakes_name_the_option(overrides: dict[str, Any], environ: dict[str, str], expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(examples.MINIMAL, "x.yaml", overrides, environ)
    assert caught.value.problems == (expected,)


def test_an_override_replaces_a_mistake_of_the_file() -> None:
    text = examples.MINIMAL + "customers: lots\n"
    assert parse_scenario(text, overrides={"customers": 3}).customers == 3


def test_a_wrong_block_of_the_file_stays_its_own_mistake() -> None:
    with pytest.raises(ScenarioError, match="connections: expected a block of keys, got 5"):
        parse_scenario(examples.MINIMAL + "connections: 5\n", overrides={"nexum_url": "http://x:1"})


def test_the_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(examples.MINIMAL)
    monkeypatch.setenv("DASHBOARD_PORT", "9001")
    assert load_scenario(path).dashboard.port == 9001
    assert load_scenario(path, environ={}).dashboard.port == 8095
