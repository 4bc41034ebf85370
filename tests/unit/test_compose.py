"""docker-compose.yml says what the commands understand, and the services find each other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from banksim.load.options import run_settings
from banksim.sandbox.server import DATABASE_URL, build_parser

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load(
    re.sub(r"\$\{\w+:-(.*?)\}", r"\1", (ROOT / "docker-compose.yml").read_text())
)
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_all_services_of_the_stack_are_there() -> None:
    assert set(SERVICES) == {"postgres", "kafka", "nexum", "bastion", "simulator"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_is_watched_and_waits_for_what_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


@pytest.mark.parametrize(("name", "port"), [("nexum", "bank_port"), ("bastion", "detector_port")])
def test_the_stand_ins_understand_their_commands(name: str, port: str) -> None:
    program, chore, *arguments = shlex.split(SERVICES[name]["command"])
    assert (program, chore) == ("banksim", "sandbox")
    options = build_parser().parse_args(arguments)
    assert options.host == "0.0.0.0"
    simulator = SERVICES["simulator"]["environment"]
    address = simulator["NEXUM_URL" if name == "nexum" else "BASTION_URL"]
    assert address == f"http://{name}:{getattr(options, port)}"


def test_the_bank_finds_its_database() -> None:
    postgres = SERVICES["postgres"]["environment"]
    user, password, database = (postgres[f"POSTGRES_{part}"] for part in ("USER", "PASSWORD", "DB"))
    url = SERVICES["nexum"]["environment"][DATABASE_URL]
    assert url == f"postgresql://{user}:{password}@postgres/{database}"


def test_the_simulator_starts_a_scenario_against_them() -> None:
    service = SERVICES["simulator"]
    words = shlex.split(service["command"])
    assert words[:3] == ["locust", "-f", "locustfiles/banking.py"]
    scenario = words[words.index("--scenario") + 1]
    settings = run_settings({"scenario": scenario}, service["environment"])
    connections = settings.scenario.connections
    assert connections.nexum_url == "http://nexum:8090"
    assert connections.bastion_url == "http://bastion:8080"
    assert connections.kafka_bootstrap_servers == "kafka:9092"


def test_only_this_machine_sees_the_page() -> None:
    assert SERVICES["simulator"]["ports"] == ["127.0.0.1:8089:8089"]
    assert "--web-host 0.0.0.0" in SERVICES["simulator"]["command"]  # inside its container
