"""What the routes of one web UI share."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from flask import Response, request

from banksim.report.theme import PLOTLY, plotly_js, template_text
from web_ext.guard import Guard
from web_ext.run_view import RunView
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
