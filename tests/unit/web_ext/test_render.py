"""Report and charts as files to take away, drawn when somebody asks."""

from __future__ import annotations

import os
import zipfile

import pytest

from banksim.report.write import BrowserError
from web_ext import api as render_module


def draw_pdf(page, target):
    target.write_bytes(b"%PDF of " + page.read_bytes())


def draw_charts(page, folder):
    files = [folder / "rate.png", folder / "recall.png"]
    for file in files:
        file.write_bytes(b"\x89PNG")
    return files


@pytest.fixture
def drawn(make_site, run_folder, monkeypatch):
    monkeypatch.setattr(render_module, "print_pdf", draw_pdf)
    monkeypatch.setattr(render_module, "save_pngs", draw_charts)
    return make_site(report_dir=run_folder)


def ask(site, run="run-1", kind="pdf"):
    return site.client.post("/api/render", json={"run": run, "kind": kind})


def test_a_report_becomes_a_pdf_that_can_be_downloaded(drawn, run_folder):
    assert ask(drawn).get_json() == {"run": "run-1", "file": "report.pdf"}
    page = drawn.client.get("/banksim/report/run-1/report.pdf?download=1", buffered=True)
    assert page.data == b"%PDF of <h1>Report</h1>"
    assert "run-1-report.pdf" in page.headers["Content-Disposition"]
    assert not list((run_folder / "run-1").glob(".drawing-*"))


def test_charts_come_in_one_archive(drawn, run_folder):
    assert ask(drawn, kind="png").get_json()["file"] == "charts.zip"
    with zipfile.ZipFile(run_folder / "run-1" / "charts.zip") as archive:
        assert archive.namelist() == ["rate.png", "recall.png"]


def test_it_is_drawn_again_only_when_the_report_has_changed(drawn, run_folder):
    ask(drawn)
    report, pdf = run_folder / "run-1" / "report.html", run_folder / "run-1" / "report.pdf"
    pdf.write_bytes(b"kept")
    ask(drawn)
    assert pdf.read_bytes() == b"kept"
    os.utime(report, (pdf.stat().st_mtime + 10, pdf.stat().st_mtime + 10))
    ask(drawn)
    assert pdf.read_bytes().startswith(b"%PDF")


def test_one_at_a_time(drawn):
    with render_module._drawing:
        refused = ask(drawn)
    assert refused.status_code == 409
    assert "being drawn" in refused.get_json()["error"]


def test_without_a_browser_it_says_what_to_install(drawn, monkeypatch):
    def none_here(page, target):
        raise BrowserError("PDF and PNG need Chromium or Chrome, and none was found on the PATH.")

    monkeypatch.setattr(render_module, "print_pdf", none_here)
    refused = ask(drawn)
    assert (refused.status_code, "Chromium" in refused.get_json()["error"]) == (409, True)
    assert ask(drawn, kind="png").status_code == 200  # the place was given back


@pytest.mark.parametrize(
    ("run", "kind", "code"),
    [("run-2", "pdf", 404), ("../reports/run-1", "pdf", 404), ("run-1", "svg", 400), (7, "pdf", 400)],
)
def test_what_cannot_be_drawn_is_refused(drawn, run, kind, code):
    assert ask(drawn, run, kind).status_code == code


def test_another_site_cannot_ask(drawn, run_folder):
    headers = {"Origin": "http://evil.example"}
    body = {"run": "run-1", "kind": "pdf"}
    assert drawn.client.post("/api/render", json=body, headers=headers).status_code == 403
    assert not (run_folder / "run-1" / "report.pdf").exists()
