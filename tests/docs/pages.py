"""The documents as data: their pages, fenced blocks, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]

_FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.  ``note`` is the comment right above it: "example: FILE" or "exit code: N"."""

    language: str
    text: str
    note: str
    line: int

    @property
    def example(self) -> str | None:
        """Name of the file this block is, where the page says so."""
        return self.note.removeprefix("example: ") if self.note.startswith("example: ") else None

    @property
    def exit_code(self) -> int:
        """What the block's last command returns; 0 unless the page says otherwise."""
        return int(self.note.removeprefix("exit code: ")) if self.note.startswith("exit code: ") else 0


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(match["language"], match["text"], match["note"] or "", line)


def examples(page: Path) -> dict[str, str]:
    """The files a page shows, by name."""
    return {block.example: block.text for block in blocks(page) if block.example}


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Targets of all links and images, without those in code."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "``", prose(page)))


def anchors(page: Path) -> set[str]:
    """Names of a page's headings as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).strip().replace(" ", "-")
        number = 1
        while (unique := name if number == 1 else f"{name}-{number - 1}") in found:
            number += 1
        found.add(unique)
    return found
