"""docker-compose.yml says what the commands understand; services find each other; the image is careful."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from banksim.load.options import run_settings
from banksim.sandbox.server import DATABASE_URL, build_parser
from tests.services.compose import ROOT, compose, kafka_properties
from tests.unit.load.test_defaults import parsed

COMPOSE: dict[str, Any] = compose()
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("nexum", "bastion", "simulator", "worker")
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def options_of(name: str) -> Any:
    """A Locust command of a service, through the parser that reads it there."""
    words = shlex.split(SERVICES[name]["command"])
    assert words[:3] == ["locust", "-f", "locustfiles/banking.py"]
    return parsed(words[1:], {})


def test_all_services_of_the_stack_are_there() -> None:
    assert set(SERVICES) == {"postgres", "kafka", *OURS}


@pytest.mark.parametrize("name", SERVICES)
def test_each_is_watched_and_waits_for_what_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


def test_they_start_in_an_order_in_which_each_finds_what_it_calls() -> None:
    needs = {name: set(SERVICES[name].get("depends_on", {})) for name in SERVICES}
    assert needs["nexum"] == {"postgres"} and needs["bastion"] == {"kafka"}
    assert needs["simulator"] == {"nexum", "bastion"} and needs["worker"] == {"simulator"}


@pytest.mark.parametrize(("name", "port"), [("nexum", "bank_port"), ("bastion", "detector_port")])
def test_the_stand_ins_understand_their_commands(name: str, port: str) -> None:
    program, chore, *arguments = shlex.split(SERVICES[name]["command"])
    assert (program, chore) == ("banksim", "sandbox")
    options = build_parser().parse_args(arguments)
    assert options.host == "0.0.0.0"
    simulator = SERVICES["simulator"]["environment"]
    address = simulator["NEXUM_URL" if name == "nexum" else "BASTION_URL"]
    assert address == f"http://{name}:{getattr(options, port)}"


@pytest.mark.parametrize("name", ["NEXUM", "BASTION"])
def test_a_real_system_takes_a_stand_ins_place(name: str) -> None:
    theirs = {f"{name}_IMAGE": "theirs:1", f"{name}_BUILD": "../theirs", f"{name}_COMMAND": "serve --now"}
    service = compose(theirs)["services"][name.lower()]
    assert (service["image"], service["build"], service["command"]) == (
        "theirs:1",
        "../theirs",
        "serve --now",
    )
    others = [one for one in OURS if one != name.lower()]
    assert all(compose(theirs)["services"][one] == SERVICES[one] for one in others)


def test_the_bank_finds_its_database() -> None:
    postgres = SERVICES["postgres"]["environment"]
    user, password, database = (postgres[f"POSTGRES_{part}"] for part in ("USER", "PASSWORD", "DB"))
    url = SERVICES["nexum"]["environment"][DATABASE_URL]
    assert url == f"postgresql://{user}:{password}@postgres/{database}"


def test_kafka_is_one_kraft_node_with_an_address_for_each_side() -> None:
    settings = kafka_properties(SERVICES["kafka"])
    assert settings["process.roles"] == "broker,controller"
    advertised = dict(one.split("://") for one in settings["advertised.listeners"].split(","))
    listened = {one.split("://")[0] for one in settings["listeners"].split(",")}
    assert listened == {*advertised, "CONTROLLER"}
    assert advertised["INSIDE"] == SERVICES["simulator"]["environment"]["KAFKA_BOOTSTRAP_SERVERS"]
    assert f"--kafka-servers {advertised['INSIDE']}" in SERVICES["bastion"]["command"]
    assert advertised["OUTSIDE"] == "localhost:9092"
    assert SERVICES["kafka"]["ports"] == ["127.0.0.1:9092:9092"]
    assert not re.search("zookeeper", str(COMPOSE), re.IGNORECASE)


def test_the_simulator_starts_a_scenario_against_them() -> None:
    options = options_of("simulator")
    assert options.master and options.autostart and options.expect_workers == 1
    settings = run_settings(vars(options), SERVICES["simulator"]["environment"])
    connections = settings.scenario.connections
    assert settings.scenario.name == "5-Minute Demo"
    assert connections.nexum_url == "http://nexum:8090"
    assert connections.bastion_url == "http://bastion:8080"
    assert connections.kafka_bootstrap_servers == "kafka:29092"


def test_workers_find_the_master_and_are_watched_at_its_port() -> None:
    options = options_of("worker")
    assert options.worker and options.master_host == "simulator"
    assert options.master_port == options_of("simulator").master_bind_port == 0x15B5
    assert ":15B5 01" in SERVICES["worker"]["healthcheck"]["test"][1]
    assert not {"ports", "container_name"} & set(
        SERVICES["worker"]
    )  # either would stand in the way of --scale


def test_only_this_machine_sees_a_port() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    assert SERVICES["simulator"]["ports"] == ["127.0.0.1:8095:8089"]
    assert "--web-host 0.0.0.0" in SERVICES["simulator"]["command"]  # inside its container


def test_what_is_worth_keeping_lies_in_volumes() -> None:
    mounts = {name: SERVICES[name]["volumes"] for name in ("postgres", "kafka", "simulator")}
    named = {mount.split(":")[0] for several in mounts.values() for mount in several if mount[0] != "."}
    assert named == set(COMPOSE["volumes"])
    assert "reports:/app/reports" in mounts["simulator"]
    assert kafka_properties(SERVICES["kafka"])["log.dirs"] == mounts["kafka"][0].split(":")[1]


def test_ours_run_without_privileges_and_get_time_to_write_the_report() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["cap_drop"] == ["ALL"] and service["init"] is True
        assert service["stop_grace_period"] == "60s"


def test_the_image_is_slim_has_two_stages_and_no_root() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == ["python:3.12-slim"] * 2
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "pip install" not in last


def test_no_password_is_published() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|TOKEN|SECRET|KEY)\w*)(.?.?)", text)
    assert secrets and {default for _, default in secrets} == {":?"}
    assert not re.search(r"(?i)(password|token|secret)\w*: +[^$\s]", text)


def test_the_image_has_what_the_package_pins() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [wanted] = map(Requirement, project["project"]["optional-dependencies"]["postgres"])
    assert "pip install --require-hashes --requirement requirements.lock" in DOCKERFILE
    [pinned] = re.findall(r"^(pg8000==[\d.]+) ", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert pinned in (ROOT / "requirements-dev.txt").read_text()
    assert wanted.specifier.contains(pinned.partition("==")[2])
    copied = set(re.findall(r"^COPY ([a-z_]+) \1$", DOCKERFILE, re.MULTILINE))
    assert copied == set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert not copied & set(ignored)


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed (it is in requirements-dev.txt)")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
