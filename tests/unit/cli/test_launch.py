"""The original's flags become the Locust command they stand for."""

from __future__ import annotations

import pytest

from banksim.cli.launch import LOCUSTFILE, _parser, locust_arguments, main
from banksim.model import ScenarioError

BASE = ["-f", str(LOCUSTFILE), "--scenario"]


def arguments(*flags: str, **environ: str) -> list[str]:
    options, others = _parser("banksim run").parse_known_args(flags)
    return locust_arguments(options, others, environ)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), [*BASE, "normal_day", "--headless"]),
        (("--dry-run",), [*BASE, "normal_day", "--dry-run", "--headless"]),
        (
            ("--scenario", "fraud_attack", "--speed", "500", "--dashboard"),
            [
                *BASE,
                "fraud_attack",
                "--speed",
                "500",
                "--autostart",
                "--web-port",
                "8095",
                "--web-host",
                "127.0.0.1",
            ],
        ),
        (
            ("--dashboard-port", "8096"),
            [*BASE, "normal_day", "--autostart", "--web-port", "8096", "--web-host", "127.0.0.1"],
        ),
        (("--no-bastion",), [*BASE, "normal_day", "--bastion-url", "", "--headless"]),
        (("-v",), [*BASE, "normal_day", "--loglevel", "DEBUG", "--headless"]),
        (
            ("--no-kafka", "--kafka-servers", "a:1,b:2"),
            [*BASE, "normal_day", "--kafka-servers", "a:1,b:2", "--no-kafka", "--headless"],
        ),
        (
            ("--seed", "5", "--stop-timeout", "3"),
            [*BASE, "normal_day", "--headless", "--seed", "5", "--stop-timeout", "3"],
        ),
        (("--autostart",), [*BASE, "normal_day", "--autostart"]),
    ],
)
def test_flags_become_locusts(flags: tuple[str, ...], expected: list[str]) -> None:
    assert arguments(*flags) == expected


def test_the_port_comes_from_the_environment_unless_it_is_given() -> None:
    assert "8200" in arguments("--dashboard", DASHBOARD_PORT="8200")
    assert "8300" in arguments("--dashboard", "--dashboard-port", "8300", DASHBOARD_PORT="8200")


@pytest.mark.parametrize("flags", [("--scenario", "nope"), ("--speed", "0"), ("--dashboard-port", "x")])
def test_what_is_wrong_is_told_before_anything_starts(flags: tuple[str, ...]) -> None:
    with pytest.raises(ScenarioError):
        arguments(*flags)
    assert main(list(flags)) == 2


def test_chores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-scenarios"]) == 0
    assert "normal_day" in capsys.readouterr().out
    assert main(["--validate-scenario", "demo"]) == 0
    assert "5-Minute Demo" in capsys.readouterr().out
