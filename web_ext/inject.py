"""A banksim tab in Locust's own page.

Locust's page lets an extension name a tab but fill it only with tables; a tab without a
table shows nothing.  That empty tab is ours: one small script (static/inject.js), added to
the page's HTML, puts a frame with the live page into it.  The script touches nothing until
it has found what it knows; should a later Locust look different, the tab stays empty and a
plain link remains.
"""

from __future__ import annotations

from html import escape
from typing import Any

from flask import Flask, Response, request

from web_ext.site import assets

TAB_KEY = "banksim"
TAB_TITLE = "banksim"


def add_tab(web_ui: Any, base_path: str) -> None:
    """Name the tab and add the script to Locust's page, once per web UI."""
    tabs = web_ui.template_args.setdefault("extended_tabs", [])
    if any(tab.get("key") == TAB_KEY for tab in tabs):
        return
    tabs.append({"title": TAB_TITLE, "key": TAB_KEY})

    app: Flask = web_ui.app

    @app.after_request
    def add_script(response: Response) -> Response:
        if request.endpoint != "locust.index" or response.status_code != 200 or response.is_streamed:
            return response
        html = response.get_data(as_text=True)
        head, found, tail = html.rpartition("</body>")
        # Without #root this is not the page (an error text, say), and it is left alone.
        if found and 'id="root"' in head:
            response.set_data(head + script_tag(base_path) + found + tail)
        return response


def script_tag(base_path: str) -> str:
    """The one element added to Locust's page."""
    source = f"{base_path}/banksim/static/{assets().digest}/inject.js"
    return (
        f'<script type="module" src="{escape(source)}" data-page="{escape(base_path)}/banksim/" '
        f'data-tab="{TAB_KEY}" id="banksim-inject"></script>'
    )
