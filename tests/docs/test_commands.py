"""Every command the documents show is run: each page's `bash` blocks, in order (rules: rehearsal.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks
from tests.docs.rehearsal import rehearse, workspace


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```bash" in page.read_text("utf-8")], ids=lambda p: p.name
)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path, finished_run: Path, memory: Path) -> None:
    place = workspace(tmp_path, finished_run)
    for block in blocks(page):
        if block.example:
            (place / block.example).parent.mkdir(parents=True, exist_ok=True)
            (place / block.example).write_text(block.text, "utf-8")
        if block.language != "bash":
            continue
        done = rehearse(place, memory, block.text)
        said = f"{page.name}, line {block.line}:\n{block.text}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
        # A threshold that fails at rehearsal speed is no fault of the command.
        judged = "--threshold" in block.text or "--fail-on-regression" in block.text
        allowed = {0, 99} if judged and block.exit_code == 0 else {block.exit_code}
        assert done.returncode in allowed, said
        assert "Traceback" not in done.stderr, said
