"""Links, anchors and images of the documents lead somewhere, and every page can be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, blocks, links, prose

OUTSIDE = ("http://", "https://", "mailto:")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_images_and_anchors_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith(OUTSIDE):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_readme_leads_to_every_page() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert [page.name for page in DOCS.glob("*.md") if page not in linked] == []


def test_every_picture_is_shown_somewhere() -> None:
    """A picture that no page shows goes stale unseen; dark and narrow ones are proofs of the pages."""
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    wanted = [
        path for path in (DOCS / "images").iterdir() if path.stem.endswith("-light") or path.suffix == ".svg"
    ]
    assert [path.name for path in wanted if path not in shown] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_say_what_they_are(page: Path) -> None:
    """Commands are marked `bash`, so that they are run; an unmarked block holds a drawing or a formula."""
    started = ("locust ", "banksim ", "python ", "make ", "docker ", "curl ", "pip ")
    wrong = [
        block.line
        for block in blocks(page)
        if block.language in ("sh", "shell", "console")
        or (not block.language and block.text.startswith(started))
    ]
    indented = [
        line.strip()
        for line in prose(page).splitlines()
        if line.startswith("    ") and line.strip().startswith(started)
    ]
    assert (wrong, indented) == ([], [])
