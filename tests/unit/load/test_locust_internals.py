"""The list of what is patched and used of Locust's inside is complete, and what it names exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from locust.env import Environment
from locust.runners import WorkerRunner

from banksim.load.distributed import ignore_the_wall_clock
from banksim.load.install import LOCUST_INTERNALS

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = [
    path for folder in ("banksim/load", "web_ext", "locustfiles") for path in (ROOT / folder).rglob("*.py")
]
NAMES = {place.rpartition(".")[2] for place in LOCUST_INTERNALS} | {"_actions"}  # argparse's


def found(place: str) -> bool:
    """Whether Locust has it: as an attribute, or one that its class assigns."""
    parts = place.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        *above, name = parts[cut:]
        for part in above:
            thing = getattr(thing, part, None)
        return hasattr(thing, name) or (inspect.isclass(thing) and f"self.{name}" in inspect.getsource(thing))
    return False


@pytest.mark.parametrize("place", LOCUST_INTERNALS)
def test_locust_has_what_is_listed(place: str) -> None:
    assert found(place)


def test_what_does_not_exist_is_noticed() -> None:
    assert not found("locust.stats.StatsEntry._gone")
    assert not found("locust.gone.Thing.part")


def reaches(path: Path) -> Iterator[str]:
    """Private names of other objects, and names of Locust's modules that are assigned."""
    tree = ast.parse(path.read_text("utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            if ast.unparse(node.value) not in ("self", "cls", "os"):
                yield node.attr
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("Environment", "module"):
                yield node.attr
        elif isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & OF_LOCUST:
            yield from _inherited(node, own)


#: Classes of Locust, and ours that derive from them.
OF_LOCUST = {"User", "SeatUser", "DefaultTaskSet", "LoadTestShape"}


def _inherited(cls: ast.ClassDef, own: set[str]) -> Iterator[str]:
    """Private names that methods use of themselves, and that neither the file nor ``__init__`` makes."""
    made = {ast.unparse(node.target) for node in cls.body if isinstance(node, ast.AnnAssign)}
    for method in cls.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            made |= {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute)}
    for node in ast.walk(cls):
        if not (isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"):
            continue
        if node.attr.startswith("_") and node.attr not in own | made:
            yield node.attr


def test_every_reach_into_locust_is_listed() -> None:
    all_of_them = {(path.name, name) for path in PRODUCT for name in reaches(path)}
    assert {"_state", "_handlers", "_task_queue", "get_html_report", "create_master_runner"} <= {
        name for _, name in all_of_them
    }
    assert [(file, name) for file, name in sorted(all_of_them) if name not in NAMES] == []


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 86_400.0])
def test_a_clock_that_jumps_is_no_master_that_is_gone(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust's own check, run once after a heartbeat and a jump of the clock."""
    environment = Environment()
    stamp_s = time.time()
    runner = SimpleNamespace(last_heartbeat_timestamp=stamp_s, quit=lambda: pytest.fail("it left"))
    environment.runner = runner
    ignore_the_wall_clock(environment)
    environment.events.heartbeat_received.fire(client_id="master", timestamp=stamp_s)
    rounds = iter([None])
    jumped = SimpleNamespace(time=lambda: stamp_s + jump_s)
    once = SimpleNamespace(sleep=lambda _: next(rounds))
    with monkeypatch.context() as patched:
        patched.setattr("locust.runners.time", jumped)
        patched.setattr("locust.runners.gevent", once)
        with pytest.raises(StopIteration):
            WorkerRunner.heartbeat_timeout_checker(runner)
