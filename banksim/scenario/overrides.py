"""Settings from the command line and the environment, laid over what a file says.

Precedence: command line, then environment, then scenario, then default.  A wrong value
is reported under the name the user typed (`--speed`, `DASHBOARD_PORT`), not under the
key it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from banksim.scenario.errors import Path

#: Command-line options that stand for a key of the scenario.
OPTION_PATHS: dict[str, Path] = {
    "speed": ("speed_multiplier",),
    "customers": ("customers",),
    "seed": ("seed",),
    "flow": ("flow",),
    "threshold": ("thresholds",),
    "nexum_url": ("connections", "nexum_url"),
    "bastion_url": ("connections", "bastion_url"),
    "kafka_servers": ("connections", "kafka_bootstrap_servers"),
    "no_kafka": ("connections", "kafka_bootstrap_servers"),
    "dashboard": ("dashboard", "enabled"),
    "dashboard_port": ("dashboard", "port"),
}

ENVIRONMENT_PATHS: dict[str, Path] = {
    "NEXUM_URL": ("connections", "nexum_url"),
    "BASTION_URL": ("connections", "bastion_url"),
    "KAFKA_BOOTSTRAP_SERVERS": ("connections", "kafka_bootstrap_servers"),
    "DASHBOARD_PORT": ("dashboard", "port"),
}

#: Options for which an empty value says something: no such system.
MEANINGFUL_WHEN_EMPTY = frozenset({"nexum_url", "bastion_url"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One value from outside the file; ``source`` is the name the user knows it by."""

    source: str
    path: Path
    value: Any


def settings_from(overrides: Mapping[str, Any], environ: Mapping[str, str]) -> list[Setting]:
    """Every setting that was given, in order of rising precedence.

    ``overrides`` has names of options with underscores ("speed", "nexum_url") or keys of
    the scenario, dotted where nested ("transaction_rate.peak_tps"); the check reports a
    key that does not exist.  A value of None,
    and False for a switch, mean that the option was not given; so does an empty
    environment variable.
    """
    settings = [
        Setting(name, path, environ[name]) for name, path in ENVIRONMENT_PATHS.items() if environ.get(name)
    ]
    for name, value in overrides.items():
        if _not_given(name, value):
            continue
        path = OPTION_PATHS.get(name) or tuple(name.split("."))
        settings.append(Setting(option_text(name), path, None if name == "no_kafka" else value))
    # --no-kafka wins over --kafka-servers in whatever order the two come.
    settings.sort(key=lambda setting: setting.source == "--no-kafka")
    return settings


def apply_settings(data: dict[Any, Any], settings: list[Setting]) -> dict[Any, Any]:
    """``data`` with the settings laid over it; ``data`` itself stays as it is.

    Thresholds add to those of the scenario; every other setting replaces.
    """
    result = dict(data)
    for setting in settings:
        *blocks, key = setting.path
        place = result
        for block in blocks:
            inner = place.get(block)
            if inner is not None and not isinstance(inner, Mapping):
                break  # the file has its own mistake there, which is reported
            place[block] = dict(inner or {})
            place = place[block]
        else:
            place[key] = (
                _with_thresholds(place.get(key), setting.value) if key == "thresholds" else setting.value
            )
    return result


def _with_thresholds(own: Any, added: Any) -> Any:
    """The scenario's own thresholds and then those of the option, which is one text or several."""
    several = [added] if isinstance(added, str) else list(added)
    return [*own, *several] if isinstance(own, list) else several


def source_of(path: Path, settings: list[Setting]) -> str | None:
    """The option or variable that set the value at ``path``; None when the file did."""
    for setting in reversed(settings):
        if path[: len(setting.path)] == setting.path:
            return setting.source
    return None


def option_text(name: str) -> str:
    """``dashboard_port`` as ``--dashboard-port``; a dotted key stays as it is."""
    return f"--{name.replace('_', '-')}" if name in OPTION_PATHS else name


def _not_given(name: str, value: Any) -> bool:
    if value is None:
        return True
    if name in ("no_kafka", "dashboard"):
        return not value
    if name == "threshold":
        return not value
    return value == "" and name not in MEANINGFUL_WHEN_EMPTY
