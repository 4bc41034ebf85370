"""Gauges of the structure of the code, each with its limit and today's value: `make gauges` prints them.

tests/unit/test_gauges.py and tests/integration/test_watched_run.py hold those that are marked as held.
Counted is the Python of the product (banksim, web_ext, locustfiles), read as syntax trees; what a
transaction passes and what a run publishes is taken from a real run.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("banksim", "web_ext", "locustfiles")
RUN = "banksim/run"

Graph = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Gauge:
    """``held``: a test fails when the limit is passed.  The others are not reached yet."""

    name: str
    limit: float
    measure: Callable[[], float]
    at_least: bool = False
    held: bool = True

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


# -- Lines --------------------------------------------------------------------------------------------

_NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
)


def code_lines(path: Path) -> int:
    """Lines that hold code: neither blank, nor only a comment, nor part of a docstring."""
    lines: set[int] = set()
    for token in tokenize.tokenize(io.BytesIO(path.read_bytes()).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                lines.difference_update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def production_code_lines() -> int:
    return sum(map(code_lines, python_files(*PRODUCT)))


def longest_file() -> int:
    return max(len(path.read_text("utf-8").splitlines()) for path in python_files(*PRODUCT, "tests"))


def run_test_ratio() -> float:
    """Lines of unit tests for each line of the run's room."""
    tests = sum(map(code_lines, python_files("tests/unit/run")))
    return round(tests / sum(map(code_lines, python_files(RUN))), 2)


# -- Imports ------------------------------------------------------------------------------------------


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in python_files(*PRODUCT)}


@cache
def _names_of_packages() -> dict[tuple[str, str], str]:
    """(package, name) → the module in which a name that a package offers is made."""
    found: dict[tuple[str, str], str] = {}
    for package, path in modules().items():
        if path.name != "__init__.py":
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module in modules():
                for alias in node.names:
                    found[package, alias.asname or alias.name] = node.module
    return found


def imported(path: Path) -> Iterator[str]:
    """Modules of the product that any import of a file leads to: also lazy ones, also for types only.

    A name that a package takes from one of its modules leads to that module.
    """
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module in modules():
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else _origin(node.module, alias.name)


def _origin(module: str, name: str) -> str:
    while (module, name) in _names_of_packages():
        module = _names_of_packages()[module, name]
    return module


@cache
def import_graph() -> Graph:
    return {name: set(imported(path)) - {name} for name, path in modules().items()}


def importers() -> dict[str, int]:
    """By how many modules each is imported; what a package only passes on does not count."""
    counts = dict.fromkeys(modules(), 0)
    for name, targets in import_graph().items():
        if modules()[name].name != "__init__.py":
            for target in targets:
                counts[target] += 1
    return counts


def with_one_importer() -> list[str]:
    return [
        name for name, count in importers().items() if count == 1 and modules()[name].name != "__init__.py"
    ]


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules each of which leads to all others (Tarjan), every one sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(graph.get(name, ())):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            cut = stack.index(name)
            group = sorted(stack[cut:])
            del stack[cut:]
            if len(group) > 1:
                found.append(group)

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


# -- Seams --------------------------------------------------------------------------------------------


def untyped_dicts(path: Path) -> Iterator[int]:
    """Lines with a mapping from names to anything."""
    for node in ast.walk(tree_of(path)):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Tuple)
            and len(node.slice.elts) == 2
        ):
            base, (key, value) = ast.unparse(node.value), map(ast.unparse, node.slice.elts)
            if base.rpartition(".")[2].endswith(("dict", "Dict", "Mapping")) and (key, value) in (
                ("str", "Any"),
                ("str", "object"),
            ):
                yield node.lineno


def not_none_asserts(path: Path) -> Iterator[int]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Assert) and "is not None" in ast.unparse(node.test):
            yield node.lineno


def callables_taken(path: Path) -> Iterator[str]:
    """Callables that a constructor takes, with or without a default; also as fields of a dataclass."""
    for cls in ast.walk(tree_of(path)):
        if not isinstance(cls, ast.ClassDef):
            continue
        for node in cls.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                annotated = [(arg.arg, arg.annotation) for arg in given]
            elif isinstance(node, ast.AnnAssign) and "dataclass" in "".join(
                map(ast.unparse, cls.decorator_list)
            ):
                annotated = [(ast.unparse(node.target), node.annotation)]
            else:
                continue
            yield from (
                f"{cls.name}.{name}" for name, kind in annotated if kind and "Callable" in ast.unparse(kind)
            )


def _in(found: Callable[[Path], Iterator[Any]], *folders: str) -> int:
    return sum(len(list(found(path))) for path in python_files(*folders))


# -- What is counted and published is read -------------------------------------------------------------


def unread_counters() -> list[str]:
    """Attributes that are added to and whose value nothing ever looks at; Locust reads its own."""
    added: dict[str, str] = {}
    read: set[str] = set()
    for path in python_files(*PRODUCT):
        if path.match("banksim/load/session.py"):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
                added.setdefault(node.target.attr, module_name(path))
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
    read |= _named_in_text()
    return sorted(f"{module}: {name}" for name, module in added.items() if name not in read)


def _named_in_text() -> set[str]:
    """Names that occur as text: of fields that are listed, merged or published by their name."""
    texts: set[str] = set()
    for path in python_files(*PRODUCT):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                texts.add(node.value)
    return texts


#: Maps whose keys are data (a persona, a version, a reason), by their own name.
KEYED_BY_DATA = ("persona", "channel", "versions", "machine", "drop_reasons", "planned_by_typology")


def leaves(value: Any, above: str = "") -> Iterator[str]:
    """Paths of all names in a published value, with ``[]`` for the items of a list."""
    if isinstance(value, Mapping):
        by_data = above.rpartition(".")[2] in KEYED_BY_DATA
        for name, below in value.items():
            if not by_data:
                yield f"{above}.{name}".lstrip(".")
            yield from leaves(below, f"{above}.{'*' if by_data else name}")
    elif isinstance(value, list):
        for below in value:
            yield from leaves(below, f"{above}[]")


def _readers() -> Iterator[Path]:
    """Everything that looks at published figures: pages, report, commands, thresholds, and documents."""
    yield from (ROOT / "web_ext" / "static").glob("*.js")
    yield from (ROOT / "banksim" / "report" / "templates").iterdir()
    yield from (ROOT / "docs").glob("*.md")
    for folder in ("banksim/report", "banksim/cli", "banksim/load", "banksim/measure/thresholds", "web_ext"):
        yield from (path for path in python_files(folder) if path.name != "results.py")


def unread(paths: Iterable[str]) -> list[str]:
    """Those of the published paths whose last name occurs in no reader.

    A name that a reader puts together (``f"{figure}_high"``, `${system}_p95_ms`) counts as read.
    """
    text = "\n".join(path.read_text("utf-8") for path in _readers())
    words, made = set(re.findall(r"\w+", text)), set(re.findall(r"\}(_\w+)[\"'`]", text))
    found = set()
    for path in paths:
        name = re.split(r"[.\]]+", path)[-1]
        if name not in words and not name.endswith(tuple(made)):
            found.add(path)
    return sorted(found)


# -- One run, watched -----------------------------------------------------------------------------------

WATCHED = """\
name: A watched run
duration_hours: 6
speed_multiplier: 4320
start_at: 2026-01-05 10:00:00
customers: 60
accounts_per_customer: 2
transaction_rate: {peak_tps: 240, off_peak_tps: 240}
fraud:
  rate: 0.1
  decoy_rate: 0.02
  patterns:
    - {type: card_testing, count: 20}
    - {type: account_takeover, count: 8, follows: card_testing, delay_minutes: 10}
    - {type: velocity_attack, weight: 1}
    - {type: large_amount, weight: 1}
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a short run against the stand-ins over HTTP showed."""

    #: Files that the median genuine transaction passed, from the dispatcher until it was counted; and
    #: those that only planned its block or made the block's requests.
    journey: list[str]
    by_the_block: list[str]
    transactions: int
    #: Paths of everything in results.json and in the messages to the pages.
    published: frozenset[str]


def watch_run(folder: Path) -> Watched:
    """Run the shipped locustfile with a trace in it; takes about ten seconds."""
    scenario, journey = folder / "watched.yaml", folder / "journey.json"
    scenario.write_text(WATCHED, "utf-8")
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "tests/integration/traced.py"), "--headless"]
    command += ["--only-summary", "--sandbox", "--seed", "5", "--scenario", str(scenario)]
    command += ["--kafka-servers", "embedded", "--report-dir", str(folder / "out")]
    environ = {**os.environ, "JOURNEY_FILE": str(journey), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    told = json.loads(journey.read_text("utf-8"))
    run = next((folder / "out").iterdir())
    published = set(leaves(json.loads((run / "results.json").read_text("utf-8")), "results"))
    for line in gzip.decompress((run / "record.jsonl.gz").read_bytes()).splitlines():
        message = json.loads(line)
        published.update(leaves(message["data"], message["event"]))
    return Watched(told["files"], told["by_the_block"], told["transactions"], frozenset(published))


@cache
def _watched() -> Watched:
    with tempfile.TemporaryDirectory(prefix="banksim-gauges-") as folder:
        return watch_run(Path(folder))


def journey_files(watched: Watched) -> int:
    """Without Locust's side (load/, the locustfile), and without Kafka, which the run has for its names."""
    other = ("banksim/load/", "locustfiles/", "banksim/kafka/")
    return len([file for file in watched.journey if not file.startswith(other) and "kafka" not in file])


# -- The gauges -----------------------------------------------------------------------------------------


GAUGES = (
    Gauge("production modules", 200, lambda: len(modules()), held=False),
    Gauge("production code lines", 26_500, production_code_lines, held=False),
    Gauge("modules with one importer", 45, lambda: len(with_one_importer())),
    Gauge("callables given to constructors in run/", 8, lambda: _in(callables_taken, RUN)),
    Gauge("`assert … is not None` in run/", 0, lambda: _in(not_none_asserts, RUN)),
    Gauge("`dict[str, Any]` and kin", 130, lambda: _in(untyped_dicts, *PRODUCT)),
    Gauge("import circles, also for types only", 0, lambda: len(circles(import_graph()))),
    Gauge("unit-test lines per line of run/", 0.5, run_test_ratio, at_least=True),
    Gauge("lines of the longest file", 500, longest_file),
    Gauge("counters that nothing reads", 0, lambda: len(unread_counters())),
)
#: These need a run.
RUN_GAUGES = (
    Gauge("files a genuine HTTP transaction passes", 30, lambda: journey_files(_watched()), held=False),
    Gauge("published names that nothing reads", 0, lambda: len(unread(_watched().published))),
)


def main() -> None:
    """Print every gauge; with --list also what those with names count."""
    print(f"{'':7}{'today':>8}  {'limit':>8}")
    for gauge in (*GAUGES, *RUN_GAUGES):
        value = gauge.measure()
        state = "ok" if gauge.holds(value) else "FAILS" if gauge.held else "not yet"
        print(f"{state:7}{value:8,g}  {'≥' if gauge.at_least else '≤'}{gauge.limit:7,g}  {gauge.name}")
    if "--list" in sys.argv:
        _list()


def _list() -> None:
    named = {
        "modules with one importer": with_one_importer(),
        "callables given to constructors": [
            name for path in python_files(RUN) for name in callables_taken(path)
        ],
        "import circles": [" ↔ ".join(circle) for circle in circles(import_graph())],
        "counters that nothing reads": unread_counters(),
        "files a genuine HTTP transaction passes": _watched().journey,
        "published names that nothing reads": unread(_watched().published),
    }
    for name, found in named.items():
        print(f"\n{name}:", *found, sep="\n  ")


if __name__ == "__main__":
    main()
