import shutil
from pathlib import Path

import pytest

from banksim.cli.main import main
from banksim.report import write_report
from banksim.report.write import BrowserError, find_browser, read_feed
from tests.unit.report.make import FEED, busy_results


def test_a_report_is_written_again_as_it_was(tmp_path: Path) -> None:
    write_report(tmp_path, busy_results(), FEED)
    before = (tmp_path / "report.html").read_text()
    (tmp_path / "report.html").unlink()
    assert main(["report", str(tmp_path / "results.json")]) == 0
    again = (tmp_path / "report.html").read_text()
    assert len(again) == pytest.approx(len(before), abs=200)
    assert "=1+1" in again and "&#39;=1+1" not in again


def test_the_feed_comes_back_as_numbers_and_texts(tmp_path: Path) -> None:
    write_report(tmp_path, busy_results(), FEED)
    rows = read_feed(tmp_path)
    assert [row.merchant for row in rows] == [row.merchant for row in FEED]
    assert rows[0].score == pytest.approx(0.0731)
    assert rows[2].score is None
    (tmp_path / "feed.csv").unlink()
    assert read_feed(tmp_path) == []


def test_without_a_browser_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(tmp_path, busy_results())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrowserError, match="need Chromium"):
        find_browser()
    assert main(["report", str(tmp_path), "--pdf", str(tmp_path / "x.pdf")]) == 1
    assert "Install one" in capsys.readouterr().err
    assert not (tmp_path / "x.pdf").exists()


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_pdf_and_pngs(tmp_path: Path) -> None:
    write_report(tmp_path, busy_results(), FEED)
    pdf, folder = tmp_path / "x.pdf", tmp_path / "charts"
    assert main(["report", str(tmp_path), "--pdf", str(pdf), "--png", str(folder)]) == 0
    assert pdf.read_bytes().startswith(b"%PDF")
    names = {path.stem for path in folder.iterdir()}
    assert names == {
        "rate", "latency", "load-quality", "generator", "recall", "scores", "pr", "cost", "campaigns",
    }  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())
