"""The rooms import one way, and each outside library stays in the room made for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gauges import circles, import_graph

ROOT = Path(__file__).resolve().parents[2]

#: Rooms in the order in which they may import: each only from those before it (or its own rank).
RANKS = (
    ("banksim.model",),
    ("banksim.scenario", "banksim.schedule"),
    ("banksim.world",),
    ("banksim.activity",),
    ("banksim.fraud",),
    ("banksim.kafka",),
    ("banksim.sandbox",),
    ("banksim.targets",),
    ("banksim.measure",),
    ("banksim.report",),
    ("banksim.run",),
    ("banksim.dataset",),
    ("banksim.load",),
    ("banksim.cli",),
    ("web_ext",),
)

#: Libraries and the rooms that may know them.
KEPT = {
    "locust": ("banksim.load",),
    "flask": ("web_ext",),
    "flask_login": ("web_ext",),
    "flask_cors": ("web_ext",),
    "werkzeug": ("web_ext",),
    "geventhttpclient": (),
    "sqlite3": ("banksim.sandbox",),
    "pg8000": ("banksim.sandbox",),
    "confluent_kafka": ("banksim.kafka",),
    "faker": ("banksim.world",),
    "plotly": ("banksim.report", "web_ext"),
    "yaml": ("banksim.scenario", "banksim.world"),
    "requests": (),
    "random": (
        "banksim.schedule.arrivals",
        "banksim.world",
        "banksim.activity",
        "banksim.fraud",
        "banksim.dataset",
        "banksim.sandbox",
        "banksim.targets",
        "banksim.run",
    ),
}


def modules() -> Iterator[tuple[str, Path]]:
    for folder in ("banksim", "web_ext"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(path: Path) -> Iterator[str]:
    """Modules named by any import of a file, also those inside functions and TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def rank(module: str) -> int | None:
    return next((n for n, rooms in enumerate(RANKS) if any(within(module, room) for room in rooms)), None)


def test_every_module_has_a_rank() -> None:
    free = {"banksim", "banksim.__main__"}
    assert [name for name, _ in modules() if rank(name) is None and name not in free] == []


@pytest.mark.parametrize(
    ("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_imports_point_one_way(name: str, path: Path) -> None:
    own = rank(name)
    if own is None:
        return
    upwards = [module for module in imported(path) if (other := rank(module)) is not None and other > own]
    assert upwards == [], f"{name} reaches up to {upwards}"


@pytest.mark.parametrize("library", KEPT)
def test_a_library_stays_in_its_room(library: str) -> None:
    strangers = [
        name
        for name, path in modules()
        if any(within(module, library) for module in imported(path))
        and not any(within(name, room) for room in KEPT[library])
    ]
    assert strangers == []


def test_no_module_leads_back_to_itself() -> None:
    """Not inside a room either, nor through an import for types only or inside a function."""
    assert circles(import_graph()) == []


def test_no_global_randomness() -> None:
    """Module-level functions of `random` share one hidden state; only `random.Random` may be used."""
    users = [
        f"{name}: random.{node.attr}"
        for name, path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
        and node.attr != "Random"
    ]
    assert users == []


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    long = {name: n for name, path in modules() if (n := len(path.read_text().splitlines())) > 500}
    assert long == {}
