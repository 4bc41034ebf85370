"""Routes that hand out files: our scripts and styles, the chart library, what runs left."""

from __future__ import annotations

import re
from pathlib import Path

import gevent
import orjson
from flask import Blueprint, Response, request
from flask import send_file as flask_send_file

from banksim.domain import BanksimError
from banksim.report.compare import compare_runs
from banksim.report.compare_html import render_comparison
from web_ext.assets import assets, plotly_name, plotly_response
from web_ext.cockpit import Cockpit
from web_ext.site import NAME, NOT_FOUND, Site
from web_ext.wire import problem

#: A run id or a report's file name: no separator, no leading dot.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")

#: A report is one self-contained file with its scripts inside; it may not fetch anything.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def add_files(blueprint: Blueprint, site: Site) -> None:
    @blueprint.get(f"/{NAME}/static/<digest>/<name>")
    def static_file(digest: str, name: str) -> Response:
        found = assets().response(name)
        if found is None:
            return problem(NOT_FOUND, 404)
        if digest != assets().digest:
            found.headers["Cache-Control"] = "no-cache"
        return found

    @blueprint.get(f"/{NAME}/static/{plotly_name()}")
    def plotly_file() -> Response:
        return plotly_response()

    @blueprint.get(f"/{NAME}/report/<run_id>/<name>")
    def report_file(run_id: str, name: str) -> Response:
        path = report_path(site.cockpit, run_id, name)
        if path is None:
            return problem("No finished run of this name left such a file.", 404)
        as_attachment = request.args.get("download") == "1"
        name = f"{run_id}-{name}" if as_attachment else name
        response = flask_send_file(
            path, conditional=True, max_age=0, as_attachment=as_attachment, download_name=name
        )
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        return response

    @blueprint.get(f"/{NAME}/compare/<before>/<after>")
    def comparison(before: str, after: str) -> Response:
        paths = [report_path(site.cockpit, run_id, "results.json") for run_id in (before, after)]
        if paths[0] is None or paths[1] is None:
            return problem("No finished run of this name left its results.", 404)
        # Reading and comparing whole results is CPU work; in a thread the run goes on undisturbed.
        html = gevent.get_hub().threadpool.apply(_compared, (paths[0], paths[1]))
        response = Response(html, mimetype="text/html")
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        response.headers["Cache-Control"] = "no-cache"
        return response


def _compared(before: Path, after: Path) -> str:
    """The page that `banksim compare` writes.  Raises BanksimError for results it cannot compare."""
    try:
        runs = [orjson.loads(path.read_bytes()) for path in (before, after)]
        return render_comparison(compare_runs(runs[0], runs[1]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BanksimError("The results of these two runs cannot be compared.") from error


def report_path(cockpit: Cockpit, run_id: str, name: str) -> Path | None:
    """The file, if both names are plain and it really lies in that run's folder."""
    if not (PLAIN_NAME.fullmatch(run_id) and PLAIN_NAME.fullmatch(name)):
        return None
    path = cockpit.report_file(run_id, name)
    if path is None:
        return None
    path = path.resolve()
    inside = path.name == name and path.parent.name == run_id
    return path if inside and path.is_file() else None
