"""Draws docs/images/architecture.svg from the imports of the code: `make picture`.

A box is a room (a folder); a line leads from a room to one it
imports, without those that follow from others.  Rooms stand in rows, each above everything it
imports, so every line leads down; a line that could not would be a cycle, and is an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
#: Files that say nothing of the structure: the version, and the command's own door.
LEFT_OUT = ("banksim", "banksim.__main__")
WORDS = {
    "model": "transaction, truth, outcome",
    "scenario": "the YAML format",
    "schedule": "rates, clock, simulation",
    "world": "customers, places, shops",
    "activity": "what genuine customers do",
    "fraud": "campaigns, step by step",
    "targets": "clients of bank and detector",
    "kafka": "Kafka plumbing",
    "sandbox": "stand-in bank and detector",
    "measure": "counts that add up",
    "report": "HTML, JSON, CSV, JUnit",
    "run": "one run, alone or with workers",
    "dataset": "labelled data sets",
    "load": "Locust: users, shape, options",
    "cli": "the banksim command",
    "web_ext": "pages, REST, WebSocket",
    "locustfiles": "the users of a bank",
}
BOX_WIDTH, BOX_HEIGHT, GAP, ROW = 168, 46, 22, 92
STYLE = """
  svg { color-scheme: light dark; background: light-dark(#fff, #16181d); font-family: system-ui, sans-serif }
  rect { fill: light-dark(#f1f5f2, #20262b); stroke: light-dark(#15803d, #4ade80); stroke-width: 1.2 }
  path { fill: none; stroke: light-dark(#64748b, #94a3b8); stroke-width: 1; opacity: 0.65 }
  text { fill: light-dark(#111, #eee); font-size: 13px; text-anchor: middle; font-weight: 600 }
  text.what { font-size: 10.5px; font-weight: 400; fill: light-dark(#475569, #a8b3c2) }
"""

Graph = dict[str, set[str]]


def room_of(module: str) -> str | None:
    """The room of a module, None for what is not drawn or not ours."""
    parts = module.split(".")
    if module in LEFT_OUT or parts[0] not in ("banksim", "web_ext", "locustfiles"):
        return None
    return parts[1] if parts[0] == "banksim" else parts[0]


def imports() -> Graph:
    """Which rooms each room imports, read from all files (also imports inside functions)."""
    found: Graph = {}
    for folder in ("banksim", "web_ext", "locustfiles"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            room = room_of(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
            if room is not None:
                targets = {room_of(name) for name in _imported(path)}
                found.setdefault(room, set()).update(t for t in targets if t not in (None, room))
    return found


def _imported(path: Path) -> Iterable[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module in ("banksim", "web_ext"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def rows(graph: Graph) -> dict[str, int]:
    """How high each room stands: one above the highest it imports.  ValueError for a cycle."""
    height: dict[str, int] = {}

    def of(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError(f"rooms import each other: {' -> '.join((*above, room))}")
        if room not in height:
            below = [of(target, (*above, room)) for target in sorted(graph.get(room, ()))]
            height[room] = 1 + max(below, default=-1)
        return height[room]

    for room in sorted(graph):
        of(room, ())
    return height


def essential(graph: Graph) -> Graph:
    """The graph without lines that follow from others."""

    def reach(room: str) -> set[str]:
        return set().union(*({t} | reach(t) for t in graph.get(room, ())))

    return {
        room: {t for t in targets if not any(t in reach(other) for other in targets - {t})}
        for room, targets in graph.items()
    }


def places(graph: Graph, height: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Upper left corners; within a row each room is near the middle of what it imports."""
    levels = max(height.values()) + 1
    by_row = [sorted(room for room in height if height[room] == level) for level in range(levels)]
    width = max(len(row) for row in by_row) * (BOX_WIDTH + GAP)
    x: dict[str, float] = {}
    for row in by_row:
        row.sort(key=lambda room: (_middle(graph, x, room), room))
        left = (width - len(row) * (BOX_WIDTH + GAP) + GAP) / 2
        x.update({room: left + n * (BOX_WIDTH + GAP) for n, room in enumerate(row)})
    return {room: (x[room], (levels - 1 - height[room]) * ROW + GAP) for room in height}


def _middle(graph: Graph, x: Mapping[str, float], room: str) -> float:
    known = [x[target] for target in graph.get(room, ()) if target in x]
    return sum(known) / len(known) if known else 0.0


def draw() -> str:
    """The picture as SVG; the same code gives the same text."""
    graph = imports()
    height, lines = rows(graph), essential(graph)
    at = places(lines, height)
    wide = max(x for x, _ in at.values()) + BOX_WIDTH + GAP
    high = max(y for _, y in at.values()) + BOX_HEIGHT + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" '
        f'width="{wide:g}" role="img">',
        "<title>The rooms of banksim; each line leads to a room that is imported</title>",
        f"<style>{STYLE}</style>",
    ]
    for room in sorted(lines):
        parts += [_line(at[room], at[target]) for target in sorted(lines[room])]
    parts += [_box(room, *at[room]) for room in sorted(at)]
    return "\n".join([*parts, "</svg>", ""])


def _line(above: tuple[float, float], below: tuple[float, float]) -> str:
    x1, y1 = above[0] + BOX_WIDTH / 2, above[1] + BOX_HEIGHT
    x2, y2 = below[0] + BOX_WIDTH / 2, below[1]
    bend = (y2 - y1) / 2
    return f'<path d="M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"/>'


def _box(room: str, x: float, y: float) -> str:
    middle = x + BOX_WIDTH / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7"/>'
        f'<text x="{middle:g}" y="{y + 20:g}">{escape(room)}</text>'
        f'<text class="what" x="{middle:g}" y="{y + 36:g}">{escape(WORDS.get(room, ""))}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
    print(PICTURE.relative_to(ROOT))
