"""A run leaves its record, and the pages play it: with the same totals, at any speed, from any moment."""

from __future__ import annotations

import gzip
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import results_in
from tests.integration.test_web import SHORT, Web
from tests.unit.web_ext.schemas import SCHEMAS

pytestmark = pytest.mark.browser


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process that idles beside the record of a run it made, and others that are no good."""

    address: str
    run_id: str
    results: dict[str, Any]
    reports: Path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("replay")
    first = Web(folder, "--dry-run", "--autostart", "--scenario", "short")
    first.wait_for(lambda: first.state() == "finished", "the end")
    first.end()
    second = Web(folder)  # another process, with no run under way
    results = results_in(second.out)
    run_id = results["run"]["run_id"]
    _damage(second.out / run_id, second.out)
    yield Recorded(second.address, run_id, results, second.out)
    second.end()


def _damage(run: Path, reports: Path) -> None:
    data = (run / "record.jsonl.gz").read_bytes()
    for name, bad in {"broken-off": data[: len(data) * 2 // 3], "rubbish": b"not a record"}.items():
        (reports / name).mkdir()
        (reports / name / "record.jsonl.gz").write_bytes(bad)


def open_replay(page: Any, recorded: Recorded, path: str = "", run_id: str | None = None) -> None:
    run_id = recorded.run_id if run_id is None else run_id
    page.goto(f"{recorded.address}/banksim/{path}?replay={run_id}", wait_until="domcontentloaded")


def seek(page: Any, share: float) -> None:
    page.wait_for_selector("#replay-seek:not([disabled])")
    page.evaluate(
        "share => { const seek = document.getElementById('replay-seek');"
        " seek.value = String(share * Number(seek.max)); seek.dispatchEvent(new Event('input')); }",
        share,
    )


def number(text: str) -> int:
    return int("".join(letter for letter in text if letter.isdecimal()))


def test_the_record_ends_with_the_totals_of_the_results(page, recorded):
    open_replay(page, recorded)
    page.wait_for_selector("#state[data-state=running]")
    assert page.inner_text(".replay-badge") == "Replay"
    assert page.inner_text("#state") == "Was running"
    seek(page, 1.0)
    page.wait_for_selector("#state[data-state=finished]")
    counts = recorded.results["transactions"]
    page.wait_for_function(
        "wanted => document.querySelector('.funnel-number').innerText.replace(/\\D/g, '') === wanted",
        arg=str(counts["offered"]),
    )
    steps = page.locator("#funnel .funnel-number").all_inner_texts()
    assert [number(step) for step in steps[:2]] == [counts["offered"], counts["sent"]]
    confusion = recorded.results["detection"]["confusion"]
    assert [number(step) for step in steps[5:]] == [confusion[name] for name in ("tp", "fn", "fp")]
    assert page.locator("#feed tr").count() > 0
    for hidden in ("#picker", "#pause", "#stop", "#live"):
        assert page.is_hidden(hidden)


def test_play_pause_speed_and_the_page_after_it(page, recorded):
    open_replay(page, recorded, "feed")
    page.wait_for_selector("#feed tr")
    page.click("#replay-play")
    assert page.inner_text("#replay-play") == "Play"
    seek(page, 0.5)
    stood = page.inner_text("#replay-moment")
    time.sleep(1.2)
    assert page.inner_text("#replay-moment") == stood
    half = page.locator("#feed tr").count()
    # Where it is stays known on the next page; time passes faster there.
    page.get_by_role("link", name="Timeline").click()
    page.wait_for_selector("#plan-chart .scatterlayer path", state="attached")
    assert f"replay={recorded.run_id}" in page.url
    assert page.inner_text("#replay-moment") == stood
    page.select_option("#replay-speed", "60")
    page.click("#replay-play")
    page.wait_for_selector("#state[data-state=finished]")
    assert page.inner_text("#replay-play") == "Again"
    page.get_by_role("link", name="Feed").click()
    page.wait_for_selector("#feed tr")
    assert page.locator("#feed tr").count() >= half
    page.click("#replay-play")
    page.wait_for_selector("#state[data-state=running]")


def test_past_runs_lead_to_the_replay_and_back(page, recorded):
    page.goto(f"{recorded.address}/banksim/results")
    page.get_by_role("link", name=f"Replay {recorded.run_id}").click()
    page.wait_for_selector(".replay-badge")
    page.get_by_role("link", name="Results").click()
    page.wait_for_selector("#summary-facts dd")
    assert recorded.run_id in page.inner_text("#summary-facts")
    page.get_by_role("link", name="Leave").click()
    page.wait_for_url(f"{recorded.address}/banksim/results")
    assert page.locator(".replay-badge").count() == 0


def test_the_report_is_taken_away_as_pdf_and_the_charts_as_png(page, recorded, tmp_path):
    open_replay(page, recorded, "results")
    for name, file, magic in (("Report, PDF", "report.pdf", b"%PDF"), ("Charts, PNG", "charts.zip", b"PK")):
        with page.expect_download(timeout=120_000) as download:
            page.get_by_role("button", name=name).click()
        assert download.value.suggested_filename == f"{recorded.run_id}-{file}"
        download.value.save_as(tmp_path / file)
        assert (tmp_path / file).read_bytes().startswith(magic)
    with zipfile.ZipFile(tmp_path / "charts.zip") as archive:
        assert len(archive.namelist()) > 3
        assert all(archive.read(name).startswith(b"\x89PNG") for name in archive.namelist())


def test_a_record_that_breaks_off_is_played_as_far_as_it_goes(page, recorded):
    open_replay(page, recorded, run_id="broken-off")
    page.wait_for_selector("#state[data-state=running]")
    assert "breaks off" in page.inner_text("#replay-note")


@pytest.mark.parametrize(
    ("run_id", "said"),
    [
        ("rubbish", "is damaged and cannot be played"),
        ("20990101-000000-none", "There is no record of this run"),
        ("..", "This is not the name of a run"),
        ("..%2F..%2Fetc", "This is not the name of a run"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", "This is not the name of a run"),
    ],
)
def test_what_cannot_be_played_is_said(page, recorded, run_id, said):
    open_replay(page, recorded, run_id=run_id)
    page.wait_for_selector("#notice")
    assert said in page.inner_text("#notice-text")
    assert page.is_disabled("#replay-play")
    page.problems[:] = [text for text in page.problems if "404" not in text]


def test_a_scenario_may_say_that_nothing_is_recorded(tmp_path):
    web = Web(tmp_path, text=SHORT + "dashboard: {record: false}\n")
    web.start()
    web.wait_for(lambda: web.state() == "finished", "the end")
    run_id = web.get("/api/status")["run_id"]
    web.end()
    assert not (web.out / run_id / "record.jsonl.gz").exists()


def test_the_record_is_whole_lines_of_the_pages_messages(recorded):
    with gzip.open(recorded.reports / recorded.run_id / "record.jsonl.gz", "rt") as file:
        lines = [json.loads(line) for line in file]
    for line in lines:
        SCHEMAS["record"].validate(line)
    assert [lines[0]["event"], lines[1]["event"], lines[-1]["event"]] == ["record", "state", "end"]
    last = next(line for line in reversed(lines) if line["event"] == "update")
    assert last["data"]["snapshot"]["transactions"] == recorded.results["transactions"]
