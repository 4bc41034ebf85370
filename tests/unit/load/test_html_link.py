from pathlib import Path
from types import SimpleNamespace

import locust.main
import locust.web
import pytest

from banksim.load.install import insert_link, link_reports, report_address


def environment(
    folder: Path, html_file: str = "", web_ui: object = None, base_path: str = ""
) -> SimpleNamespace:
    run = SimpleNamespace(settings=SimpleNamespace(folder=folder, run_id="run 1"))
    options = SimpleNamespace(html_file=html_file, web_base_path=base_path)
    return SimpleNamespace(banksim=SimpleNamespace(last_run=run), parsed_options=options, web_ui=web_ui)


def test_the_link_goes_before_the_last_body_end() -> None:
    page = insert_link('<script>"</body>"</script></body></html>', 'a"b.html')
    assert page.startswith('<script>"</body>"</script><p ')
    assert 'href="a&quot;b.html"' in page and page.endswith("</body></html>")
    assert insert_link("no page", "x") == "no page"


def test_the_address_fits_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "run 1"
    html_file = str(tmp_path / "out" / "locust.html")
    assert report_address(environment(folder, html_file)) is None
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("x")
    assert report_address(environment(folder, html_file)) == "../reports/run%201/report.html"
    in_ui = environment(folder, web_ui=object(), base_path="/bank")
    assert report_address(in_ui) == "/bank/banksim/report/run%201/report.html"
    assert report_address(SimpleNamespace()) is None


def test_both_places_are_wrapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (locust.main, locust.web):
        monkeypatch.setattr(module, "get_html_report", lambda environment, **options: "<body></body>")
    link_reports()
    first = locust.web.get_html_report
    link_reports()
    assert locust.web.get_html_report is first
    assert locust.main.get_html_report(SimpleNamespace(), show_download_link=False) == "<body></body>"
