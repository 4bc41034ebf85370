"""Command line before environment before scenario before default, through the parser that a run uses."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from banksim.load.install import dashboard_address, pages_wanted, set_defaults
from banksim.load.options import add_options, run_settings
from banksim.model import UsageError
from banksim.run.plan import RunSettings
from tests.unit.scenario import examples

CONNECTIONS = """\
connections:
  nexum_url: http://file:1
  bastion_url: http://file:2
  kafka_bootstrap_servers: file:3
"""


def parsed(arguments: list[str], environ: dict[str, str]) -> argparse.Namespace:
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_options(parser)
    set_defaults(parser, environ)
    options: argparse.Namespace = parser.parse_args(arguments)
    return options


def settings(file: Path, arguments: list[str], environ: dict[str, str]) -> RunSettings:
    return run_settings(vars(parsed(["--scenario", str(file), *arguments], environ)), environ)


@pytest.mark.parametrize(
    ("key", "flag", "variable", "default"),
    [
        ("nexum_url", "--nexum-url", "NEXUM_URL", "http://localhost:8090"),
        ("bastion_url", "--bastion-url", "BASTION_URL", "http://localhost:8080"),
        ("kafka_bootstrap_servers", "--kafka-servers", "KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
    ],
)
def test_each_address_from_the_weakest_source_to_the_strongest(
    tmp_path: Path, key: str, flag: str, variable: str, default: str
) -> None:
    prefix = "" if "kafka" in key else "http://"
    bare, file = tmp_path / "bare.yaml", tmp_path / "file.yaml"
    bare.write_text(examples.MINIMAL)
    file.write_text(examples.MINIMAL + CONNECTIONS)
    environ = {variable: f"{prefix}environment:4"}
    line = [flag, f"{prefix}line:5"]

    def found(path: Path, arguments: list[str], variables: dict[str, str]) -> str:
        return str(getattr(settings(path, arguments, variables).scenario.connections, key))

    assert found(bare, [], {}) == default
    assert found(file, [], {}).startswith(f"{prefix}file:")
    assert found(file, [], environ) == f"{prefix}environment:4"
    assert found(file, line, environ) == f"{prefix}line:5"
    assert found(bare, line, {}) == f"{prefix}line:5"


def test_an_empty_address_on_the_line_switches_a_system_off_whatever_the_environment_says(
    tmp_path: Path,
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(examples.MINIMAL + CONNECTIONS)
    made = settings(file, ["--bastion-url", ""], {"BASTION_URL": "http://environment:4"})
    assert made.scenario.connections.bastion_url == ""


@pytest.mark.parametrize("flag", ["speed", "customers", "seed"])
def test_numbers_on_the_line_win_over_the_scenario(tmp_path: Path, flag: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(examples.MINIMAL + "speed_multiplier: 11\ncustomers: 12\nseed: 13\n")
    said = settings(file, [], {})
    told = settings(file, [f"--{flag}", "77"], {})
    assert (said.speed, said.scenario.customers, said.seed) == (11, 12, 13)
    values = {"speed": told.speed, "customers": told.scenario.customers, "seed": told.seed}
    assert values.pop(flag) == 77
    assert set(values.values()) < {11.0, 12, 13}


def test_the_environment_sets_the_level_and_the_port_unless_the_line_does() -> None:
    environ = {"LOG_LEVEL": "debug", "DASHBOARD_PORT": "8200"}
    assert (parsed([], {}).loglevel, parsed([], {}).web_port) == ("INFO", 8089)
    said = parsed([], environ)
    assert (said.loglevel, said.web_port) == ("DEBUG", 8200)
    told = parsed(["--loglevel", "ERROR", "--web-port", "8300"], environ)
    assert (told.loglevel, told.web_port) == ("ERROR", 8300)


@pytest.mark.parametrize(
    "environ", [{"LOG_LEVEL": "chatty"}, {"DASHBOARD_PORT": "high"}, {"DASHBOARD_PORT": "70000"}]
)
def test_a_wrong_variable_is_named(environ: dict[str, str]) -> None:
    [name] = environ
    with pytest.raises(UsageError, match=f"^{name}: expected .*, got"):
        parsed([], environ)


@pytest.mark.parametrize(
    ("enabled", "flag", "wanted"), [("true", False, True), ("false", False, False), ("false", True, True)]
)
def test_pages_are_served_unless_the_scenario_says_otherwise(
    tmp_path: Path, enabled: str, flag: bool, wanted: bool
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(f"{examples.MINIMAL}dashboard: {{enabled: {enabled}}}\n")
    assert pages_wanted({"scenario": str(file), "dashboard": flag}, {}) is wanted


def test_a_scenario_that_does_not_load_keeps_the_pages() -> None:
    assert pages_wanted({"scenario": "no such thing"}, {})


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ([], "http://127.0.0.1:8089/banksim/"),
        (["--web-host", "0.0.0.0", "--web-port", "8095"], "http://localhost:8095/banksim/"),
        (["--web-host", "box", "--tls-cert", "c", "--tls-key", "k"], "https://box:8089/banksim/"),
        (["--web-base-path", "/load"], "http://127.0.0.1:8089/load/banksim/"),
    ],
)
def test_the_address_of_the_dashboard(arguments: list[str], address: str) -> None:
    options: Any = parsed(arguments, {})
    assert dashboard_address(options) == address
