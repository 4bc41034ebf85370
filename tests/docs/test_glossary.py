"""The glossary is complete: what pages, report and thresholds show is in it, and its code exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from banksim.measure.thresholds.metrics import CATALOGUE
from tests.docs.pages import DOCS, PAGES, ROOT, prose

GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")
TEMPLATES = [
    *sorted((ROOT / "web_ext" / "templates").glob("*.html")),
    *sorted((ROOT / "banksim" / "report" / "templates").glob("*.html")),
]
SCRIPTS = sorted((ROOT / "web_ext" / "static").glob("*.js"))
PRODUCT = [path for folder in ("banksim", "web_ext", "locustfiles") for path in (ROOT / folder).rglob("*.py")]

#: Headers that are plain English where they stand.
PLAIN = {
    *("a", "b", "b − a", "answer", "call", "found at", "from", "until", "how it ended", "joined", "figure"),
    *("probably", "result", "share", "share of calls", "silent for", "starts after", "the detector"),
    *("this run", "times", "times silent", "took", "transaction", "transactions", "value", "what", "where"),
    *("worse · better", "allowed", "by chance", "measured", "error", "simulated"),
}


def _without_code(template: str) -> str:
    return re.sub(r"\{[{%#].*?[}%#]\}", "", template, flags=re.DOTALL)


def labels() -> dict[str, str]:
    """What pages and report call their figures: headers of tables, tiles, steps of the funnel."""
    found: dict[str, str] = {}
    for path in TEMPLATES:
        for text in re.findall(r"<(?:th|dt)\b[^>]*>([^<]+)<", _without_code(path.read_text("utf-8"))):
            found[text.strip()] = path.name
    for path in SCRIPTS:
        for text in re.findall(r"label: \"([^\"]+)\"", path.read_text("utf-8")):
            found[text.strip()] = path.name
    tiles = ROOT / "banksim" / "measure" / "tiles.py"
    drawn = r"\b(?:Tile|step|FunnelStep)\(\s*\"\w+\",\s*\"([^\"]+)\""
    found.update(dict.fromkeys(re.findall(drawn, tiles.read_text("utf-8")), tiles.name))
    return {text: where for text, where in found.items() if re.search("[A-Za-z]", text)}


def _known(label: str) -> bool:
    """Whether each word of a label stands in the glossary, or the label is plain English."""
    if label.lower() in PLAIN:
        return True
    words = [
        word for word in re.findall(r"[a-z0-9.]+", label.lower()) if word not in ("of", "per", "a", "the")
    ]
    said = GLOSSARY.lower()
    return all(re.search(rf"\b{re.escape(word.removesuffix('s'))}", said) for word in words)


def test_there_are_labels_to_look_for() -> None:
    assert {"Recall", "Achieved of offered", "Coverage", "p99", "Campaign"} <= set(labels())


@pytest.mark.parametrize("label", sorted(labels()))
def test_every_label_of_page_and_report_is_in_the_glossary(label: str) -> None:
    assert _known(label), f"{label!r} ({labels()[label]})"


def test_every_metric_is_in_the_glossary() -> None:
    assert [metric.name for metric in CATALOGUE if f"`{metric.name}`" not in GLOSSARY] == []


def test_every_room_is_in_the_glossary() -> None:
    rooms = {path.parent.name for path in PRODUCT if path.name == "__init__.py"} - {"banksim"}
    assert len(rooms) > 15
    assert [room for room in sorted(rooms) if f"`{room}`" not in GLOSSARY] == []


def _rows() -> list[list[str]]:
    """The cells of all tables."""
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in GLOSSARY.splitlines()
        if line.startswith("| ")
    ]


def test_every_term_names_a_place_in_the_code_that_exists() -> None:
    code = "\n".join(path.read_text("utf-8") for path in PRODUCT)
    words = set(re.findall(r"\w+", code)) | {path.stem for path in PRODUCT}
    terms = [row for row in _rows() if row[0].startswith("**")]
    assert len(terms) > 60
    places = {row[0]: row[2] for row in terms if row[2] != "–"}
    assert [f"{term}: {name}" for term, name in places.items() if name.strip("`") not in words] == []


def test_a_term_is_explained_once() -> None:
    terms = [row[0] for row in _rows() if row[0].startswith("**")]
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "glossary.md"], ids=lambda page: page.name
)
def test_documents_use_the_words_of_the_glossary(page: Path) -> None:
    rows = GLOSSARY.partition("## Words that are not used")[2].splitlines()
    rejected = [word.strip() for row in rows if row.startswith("| ") for word in row.split("|")[1].split(",")]
    rejected = [word for word in rejected if word and word not in ("Not",) and "---" not in word]
    assert "false alarm" in rejected
    said = prose(page)
    assert [word for word in rejected if re.search(rf"\b{word}s?\b", said, re.IGNORECASE)] == []
