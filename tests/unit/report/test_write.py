import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from banksim.measure.counts import ErrorRow
from banksim.measure.results import DetectorStats
from banksim.model import ReportFolderError
from banksim.report import check_folder, write_report
from banksim.report.html import render_html
from banksim.report.write import as_csv, cell, last_run
from tests.recorded import NAMES, recorded
from tests.unit.report.make import FEED, HOSTILE, busy_results, empty_results


@pytest.fixture(scope="module")
def page() -> str:
    return render_html(busy_results(), FEED)


class Tags(HTMLParser):
    """Start tags with attributes, and the text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.raw = ""
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.raw += data
        elif self._inside != "script":
            self.texts.append(data)


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def test_the_folder_holds_everything(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "run-1"
    write_report(folder, busy_results(), FEED)
    assert sorted(path.name for path in folder.iterdir()) == [
        "detection.csv",
        "errors.csv",
        "feed.csv",
        "junit.xml",
        "report.html",
        "results.json",
        "timeline.csv",
    ]
    assert json.loads((folder / "results.json").read_text())["schema"] == 2
    with (folder / "detection.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"fraud", "decoy"}
    with (folder / "timeline.csv").open() as file:
        assert sum(int(row["sent"]) for row in csv.DictReader(file)) > 6_000


def test_an_empty_run_can_be_written(tmp_path: Path) -> None:
    write_report(tmp_path, empty_results())
    page = (tmp_path / "report.html").read_text()
    assert "No fraud was sent." in page and "n/a" in page
    assert not re.search(r">\s*(None|nan|0(\.0+)? ?%)\s*<", page.split("</main>")[0])


def test_the_page_loads_nothing_from_outside(page: str) -> None:
    tags = parsed(page)
    for tag, attributes in tags.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        assert "src" not in attributes, (tag, attributes)
        assert not attributes.get("href", "").startswith("http")
    assert "@import" not in tags.raw and "url(" not in tags.raw
    policy = next(a["content"] for t, a in tags.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "http" not in policy


def test_a_hostile_merchant_is_only_text(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert HOSTILE in parsed(page).texts


def test_hostile_error_text_cannot_leave_the_embedded_results() -> None:
    hostile = ErrorRow("nexum", "x", "</script><b>out</b>", 1)
    page = render_html(replace(busy_results(), errors=[hostile]))
    assert "</script><b>" not in page
    embedded = re.search(r'<script type="application/json" id="results">(.*?)</script>', page, re.DOTALL)
    assert embedded and json.loads(embedded[1])["errors"][0]["error"] == "</script><b>out</b>"


def test_none_reads_as_not_available(page: str) -> None:
    row = next(line for line in page.splitlines() if "=1+1" in line and "<td" in line)
    assert row.count(">n/a<") == 2  # the score and the decision of the unscored one


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_text_cannot_become_a_formula(start: str) -> None:
    assert cell(f"{start}1+1") == f"'{start}1+1"


def test_numbers_stay_numbers() -> None:
    assert as_csv(["a", "b", "c"], [{"a": -5, "b": None, "c": ["x", "y"]}]) == 'a,b,c\n-5,,"x, y"\n'


def test_a_folder_that_is_a_file_gives_one_clear_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for attempt in (check_folder, lambda folder: write_report(folder, empty_results())):
        with pytest.raises(ReportFolderError, match=r"cannot write the report to .*/run: Not a directory"):
            attempt(blocked / "run")


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_folder(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(tmp_path, empty_results())
    before = (tmp_path / "results.json").read_text()

    def full(self: Path, text: str, encoding: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ReportFolderError, match="No space left"):
        write_report(tmp_path, busy_results())
    assert (tmp_path / "results.json").read_text() == before
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_a_run_that_ended_before_its_first_score_has_a_report() -> None:
    results = empty_results()
    own = DetectorStats(0, 0, 0, None, None, None, None, None)
    assert "bastion" not in results.latency_ms
    page = render_html(replace(results, run=replace(results.run, detector=own)), [])
    assert "mean time to score" in page


def test_the_report_is_small_enough_to_send(tmp_path: Path) -> None:
    for name in NAMES:
        write_report(tmp_path / name, recorded(name))
        assert (tmp_path / name / "report.html").stat().st_size < 1_700_000, name


def test_the_report_shows_the_last_run_of_the_same_scenario(tmp_path: Path) -> None:
    before, other = recorded("calm"), recorded("capacity")
    now = replace(before, run=replace(before.run, run_id="2-now"))
    write_report(tmp_path / "0-before", before)
    write_report(tmp_path / "1-other", replace(other, run=replace(other.run, run_id="1-other")))
    assert last_run(tmp_path / "0-before", before) is None
    write_report(tmp_path / "2-now", now)
    page = (tmp_path / "2-now" / "report.html").read_text()
    assert f"Last run of this scenario: {before.run.run_id}" in page
    recall = next(tile for tile in before.tiles if tile.key == "recall")
    assert f"last run: {recall.value}" in page
    assert "last run:" not in (tmp_path / "0-before" / "report.html").read_text()


def test_the_report_has_contents_and_says_what_was_tested(tmp_path: Path) -> None:
    page = render_html(recorded("outage"), [])
    links = re.findall(r'<a href="#([a-z-]+)">', page)
    assert (
        {"way", "load", "detection", "money", "limits"}
        <= set(links)
        == set(re.findall(r'<h2 id="([^"]+)"', page))
    )
    assert "say nothing about your systems" in page.partition('class="verdict')[0]
