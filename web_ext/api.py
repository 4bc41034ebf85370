"""The REST API on Locust's port; docs/api.md describes every route, and a test compares the two.

Answers are JSON (one is CSV); an error is {"error": "what happened and what to do"}.

What the routes of one web UI share.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import gevent
import orjson
from flask import Blueprint, Response, request
from flask import send_file as flask_send_file

from banksim.measure.results import encode
from banksim.model import BanksimError, UsageError
from banksim.report.charts_frame import PLOTLY, plotly_js, template_text
from banksim.report.compare import compare_runs
from banksim.report.html import render_comparison
from banksim.report.write import feed_csv, print_pdf, read_results, save_pngs
from banksim.run.sink import CustomerCounts
from web_ext.guard import Guard
from web_ext.messages import json_response, problem, to_json
from web_ext.run_view import ACTIONS, MAX_SPEED, MIN_SPEED, RunView
from web_ext.stream import Hub

# -- The pages there are.  Adding one is a line here, a template and a module in static/ ------------


@dataclass(frozen=True, slots=True)
class Page:
    """``slug`` is its place under /banksim/ (empty for the first one), ``title`` its name in the menu."""

    slug: str
    title: str
    template: str
    module: str
    charts: bool = True


PAGES: Final = (
    Page(slug="", title="Control", template="banksim_live.html", module="live.js"),
    Page(slug="feed", title="Feed", template="banksim_feed.html", module="page_feed.js", charts=False),
    Page(slug="metrics", title="Metrics", template="banksim_metrics.html", module="page_metrics.js"),
    Page(slug="detection", title="Detection", template="banksim_detection.html", module="page_detection.js"),
    Page(slug="timeline", title="Timeline", template="banksim_timeline.html", module="page_timeline.js"),
    Page(
        slug="customers",
        title="Customers",
        template="banksim_customers.html",
        module="page_customers.js",
        charts=False,
    ),
    Page(slug="results", title="Results", template="banksim_results.html", module="page_results.js"),
)


# -- Static files with addresses that change when their content does --------------------------------
#
# Every address carries a digest of all of them, so a browser keeps a file for good and a new
# version is a new address; modules import each other relatively and stay within one version.
# Design tokens, chart library and threshold.js are the report's own: one source for page and report.
# All are compressed once, at the start, so that the first page does not wait and costs no load.


IMMUTABLE: Final = "public, max-age=31536000, immutable"

MIME_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_STATIC: Final = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Assets:
    """The static files by name, and one digest over them all."""

    contents: dict[str, bytes]
    packed: dict[str, bytes]
    digest: str

    def response(self, name: str) -> Response | None:
        """The file as an answer to keep for good; None when there is none of that name."""
        content = self.contents.get(name)
        if content is None:
            return None
        small = request.accept_encodings["gzip"] > 0
        response = Response(self.packed[name] if small else content, mimetype=MIME_TYPES[Path(name).suffix])
        response.headers["Cache-Control"] = IMMUTABLE
        response.headers["Vary"] = "Accept-Encoding"
        if small:
            response.headers["Content-Encoding"] = "gzip"
        return response


@cache
def assets() -> Assets:
    """Read once per process; changing a file needs a restart."""
    contents = {
        path.name: path.read_bytes() for path in sorted(_STATIC.iterdir()) if path.suffix in MIME_TYPES
    }
    contents |= {name: template_text(name).encode() for name in ("tokens.css", "threshold.js")}
    contents[PLOTLY] = plotly_js().encode()
    digest = hashlib.blake2b(digest_size=6)
    for name, content in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + content + b"\0")
    packed = {name: gzip.compress(content, mtime=0) for name, content in contents.items()}
    return Assets(contents, packed, digest.hexdigest())


#: Name of the blueprint, and of the folder of our pages.
NAME: Final = "banksim"

NOT_FOUND: Final = "There is nothing at this address."


@dataclass(frozen=True, slots=True)
class Site:
    view: RunView
    hub: Hub
    guard: Guard
    base_path: str


# -- A run's report as PDF, and its charts as PNG files in one archive, made on request -----
#
# A Chromium without a window does the drawing, as for `banksim report --pdf`; it is a process of its
# own that is waited for without holding up the load.  Files are written next to the report and
# made again only when the report has changed.  One at a time: drawing takes some seconds of a core.


PDF: Final = "report.pdf"
CHARTS: Final = "charts.zip"

_drawing = threading.Lock()


def rendered(report: Path, kind: str) -> Path:
    """The file of ``kind`` ("pdf" or "png") next to ``report``.  Raises BanksimError."""
    name, make = (PDF, print_pdf) if kind == "pdf" else (CHARTS, _save_charts)
    target = report.with_name(name)
    if target.is_file() and target.stat().st_mtime >= report.stat().st_mtime:
        return target
    if not _drawing.acquire(blocking=False):
        raise BanksimError("Another report is being drawn. Try again in a few seconds.")
    try:
        _make_whole(make, report, target)
    except OSError as error:
        raise BanksimError(f"{name} could not be written: {error.strerror or error}.") from error
    finally:
        _drawing.release()
    return target


def _make_whole(make: Callable[[Path, Path], object], report: Path, target: Path) -> None:
    """A reader never sees half of a file: it is made elsewhere and moved."""
    with tempfile.TemporaryDirectory(dir=report.parent, prefix=".drawing-") as folder:
        made = Path(folder) / target.name
        make(report, made)
        made.replace(target)


def _save_charts(report: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="banksim-charts-") as folder:
        files = save_pngs(report, Path(folder))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
            for file in files:
                archive.write(file, file.name)


# -- Routes that hand out files: our scripts and styles, the chart library, what runs left ----------


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

    @blueprint.get(f"/{NAME}/report/<run_id>/<name>")
    def report_file(run_id: str, name: str) -> Response:
        path = report_path(site.view, run_id, name)
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
        paths = [report_path(site.view, run_id, "results.json") for run_id in (before, after)]
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
        return render_comparison(compare_runs(read_results(before), read_results(after)))
    except UsageError as error:
        raise BanksimError("The results of these two runs cannot be compared.") from error


def report_path(view: RunView, run_id: str, name: str) -> Path | None:
    """The file, if both names are plain and it really lies in that run's folder."""
    if not (PLAIN_NAME.fullmatch(run_id) and PLAIN_NAME.fullmatch(name)):
        return None
    path = view.report_file(run_id, name)
    if path is None:
        return None
    path = path.resolve()
    inside = path.name == name and path.parent.name == run_id
    return path if inside and path.is_file() else None


MAX_BODY_BYTES = 4096
#: Points of the curve, one a second, that the metrics bring along.
TAIL = 300

#: What a start may contain in addition to "switch"; each means what the option of the same name means.
START_OPTIONS = (
    *("scenario", "speed", "seed", "customers", "target_mode", "nexum_url", "bastion_url"),
    *("threshold", "transaction_log"),
)


def add_api(blueprint: Blueprint, site: Site) -> None:
    _add_reading(blueprint, site)
    _add_results(blueprint, site)
    _add_control(blueprint, site)


def _add_reading(blueprint: Blueprint, site: Site) -> None:
    view = site.view

    @blueprint.get("/api/status")
    def status() -> Response:
        return json_response(view.status())

    @blueprint.get("/api/metrics")
    def metrics() -> Response:
        found = view.snapshot()
        if found is None:
            return json_response({})
        return json_response(encode(found) | {"timeline_tail": view.timeline().points[-TAIL:]})

    @blueprint.get("/api/timeline")
    def timeline() -> Response:
        return json_response(view.schedule())

    @blueprint.get("/api/feed")
    def feed() -> Response:
        since = request.args.get("since", "0")
        if not since.isdecimal():
            return problem(f"since: expected a number from 0, got {since[:40]!r}", 400)
        return json_response(view.feed(int(since)))

    @blueprint.get("/api/feed.csv")
    def feed_as_csv() -> Response:
        response = Response(feed_csv(view.feed(0).items), mimetype="text/csv")
        run_id = view.status().run_id or "no-run"
        response.headers["Content-Disposition"] = f'attachment; filename="banksim-feed-{run_id}.csv"'
        response.headers["Cache-Control"] = "no-store"
        return response

    @blueprint.get("/api/customers")
    def customers() -> Response:
        asked = request.args
        sort, start, truth = (
            asked.get("sort", "transactions"),
            asked.get("from", "0"),
            asked.get("truth") == "1",
        )
        known = CustomerCounts.COLUMNS if truth else CustomerCounts.COLUMNS[:-1]
        if sort not in known:
            return problem(f"sort: expected one of {', '.join(known)}, got {sort[:40]!r}", 400)
        if not (start.isascii() and start.isdecimal() and len(start) < 10):
            return problem(f"from: expected a number from 0, got {start[:40]!r}", 400)
        return json_response(view.customers(sort, int(start), truth))

    @blueprint.get("/api/scenarios")
    def scenarios() -> Response:
        return json_response(view.scenarios())

    @blueprint.get("/api/health")
    def health() -> Response:
        now, counts = view.status(), site.hub.counts
        failing = [target.name for target in now.targets if target.ok is False]
        answer = {
            "status": "degraded" if failing or now.state == "failed" else "ok",
            "state": now.state,
            "run_id": now.run_id,
            "failing": failing,
            "targets": now.targets,
            "clients": {
                "pages": site.hub.clients,
                "websocket": site.hub.sockets,
                "refused": counts.refused,
                "evicted": counts.evicted,
                "resyncs": counts.resyncs,
                "skipped": counts.skipped,
            },
        }
        return json_response(answer)


def _add_results(blueprint: Blueprint, site: Site) -> None:
    view = site.view

    @blueprint.get("/api/results.json")
    def results() -> Response:
        run_id = request.args.get("run")
        if run_id is not None and run_id != view.status().run_id:
            path = report_path(view, run_id, "results.json")
            if path is None:
                return problem("No finished run of this name left its results.", 404)
            return flask_send_file(path, mimetype="application/json", conditional=True, max_age=0)
        found = view.results()
        if found is None:
            return problem("No run has begun yet, so there are no results. Start one first.", 404)
        return json_response(found)

    @blueprint.post("/api/render")
    def render() -> Response:
        body = _body("render")
        run_id, kind = body.get("run"), body.get("kind")
        if not isinstance(run_id, str) or kind not in ("pdf", "png"):
            raise UsageError('render: expected {"run": "its name", "kind": "pdf" or "png"}')
        report = report_path(view, run_id, "report.html")
        if report is None:
            return problem("No finished run of this name left its report.", 404)
        return json_response({"run": run_id, "file": rendered(report, kind).name})

    @blueprint.get("/api/runs")
    def runs() -> Response:
        return json_response({"runs": view.runs()})


def _add_control(blueprint: Blueprint, site: Site) -> None:
    view = site.view

    def steer(action: str) -> Response:
        value = _speed_asked() if action == "speed" else None
        try:
            return json_response(view.control(action, value))
        except BanksimError as error:
            return problem(str(error), 409)

    for action in ACTIONS:
        blueprint.add_url_rule(
            f"/api/control/{action}",
            f"control_{action}",
            steer,
            methods=["POST"],
            defaults={"action": action},
        )

    @blueprint.post("/api/control/start")
    def start() -> Response:
        options, switch = _start_asked(_body("start"))
        return json_response(view.start(options, switch), 202)

    @blueprint.post("/api/control/check")
    def check() -> Response:
        options, _ = _start_asked(_body("check"))
        return json_response({"message": view.check(options)})

    @blueprint.post("/api/control/scenario")
    def scenario() -> Response:
        body = _body("scenario")
        name = body.get("scenario")
        if not isinstance(name, str) or not name:
            raise UsageError('scenario: expected {"scenario": "its name"}')
        return json_response(view.select(name))


def _body(action: str) -> Mapping[str, Any]:
    """The request's JSON object; an empty body is an empty object.  Raises UsageError."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise UsageError(f"{action}: expected a short JSON object, got {request.content_length} bytes")
    request.max_content_length = MAX_BODY_BYTES  # a chunked body has no length before it is read
    data = request.get_data()
    try:
        body = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{action}: expected a JSON object, got no valid JSON") from error
    if not isinstance(body, dict):
        raise UsageError(f"{action}: expected a JSON object, got {_shown(body)}")
    return body


def _start_asked(body: Mapping[str, Any]) -> tuple[dict[str, str], bool]:
    """Options as a form would send them, and whether an active run may be ended for this one."""
    switch = body.get("switch", False)
    if not isinstance(switch, bool):
        raise UsageError(f"switch: expected true or false, got {_shown(switch)}")
    options = {}
    for name, value in body.items():
        if name == "switch":
            continue
        if name not in START_OPTIONS:
            raise UsageError(f"{name[:40]}: expected one of {', '.join(START_OPTIONS)}, switch")
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise UsageError(f"{name}: expected text or a number, got {_shown(value)}")
        options[name] = f"{value:g}" if isinstance(value, float) else str(value)
    return options, switch


def _speed_asked() -> float:
    """The multiplier in the request's JSON body.  Raises UsageError with what was expected."""
    expected = f'expected {{"multiplier": a number from {MIN_SPEED:g} to {MAX_SPEED:g}}}'
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise UsageError(f"speed: {expected}, got a body of {request.content_length} bytes")
    request.max_content_length = MAX_BODY_BYTES
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError as error:
        raise UsageError(f"speed: {expected}, got no valid JSON") from error
    value = body.get("multiplier") if isinstance(body, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"speed: {expected}, got {_shown(value)}")
    if not MIN_SPEED <= value <= MAX_SPEED:
        raise UsageError(f"speed: {expected}, got {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
    return to_json(value).decode()[:80]
