"""A real Locust web UI, never started: its Flask app answers through the test client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_login import UserMixin, login_user
from locust.env import Environment

from tests.unit.web_ext.fakes import DemoView, ManualClock
from web_ext import Hub, register


class Site:
    """One web UI with banksim in it, its clock in the test's hand."""

    def __init__(self, *, base: str = "", login: bool = False, host: str = "127.0.0.1", **view: Any) -> None:
        self.clock = ManualClock()
        self.view = DemoView(self.clock, **view)
        self.hub = Hub(self.view, clock=self.clock, start=lambda work: None, max_clients=3)
        environment = Environment(user_classes=[])
        environment.parsed_options = SimpleNamespace(
            web_base_path=base, num_users=1, spawn_rate=1, run_time=None, stats_history_enabled=False
        )
        environment.create_local_runner()
        self.web_ui = environment.create_web_ui(
            host=host, port=0, web_base_path=base, web_login=login, delayed_start=True
        )
        register(environment, self.view, hub=self.hub)
        self.app = self.web_ui.app
        self.base = base

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def set_up_login(self) -> None:
        """What a locustfile must do for --web-login, and a door for the tests."""
        self.app.secret_key = "not a secret"

        class User(UserMixin):
            id = "ana"

        self.web_ui.login_manager.user_loader(lambda name: User())

        @self.app.get("/test-door")
        def door() -> str:
            login_user(User())
            return "in"


@pytest.fixture(autouse=True)
def locust_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust reads sys.argv again for each page; pytest's own options are none of its business."""
    monkeypatch.setattr("sys.argv", ["locust"])


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def make_site() -> Callable[..., Site]:
    return Site


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A folder with one finished run, and a secret beside it."""
    run = tmp_path / "reports" / "run-1"
    run.mkdir(parents=True)
    (run / "report.html").write_text("<h1>Report</h1>")
    (run / "timeline.csv").write_text("a,b\n")
    (tmp_path / "secret.txt").write_text("secret")
    (run / "link.txt").symlink_to(tmp_path / "secret.txt")
    return tmp_path / "reports"
