"""Every key of the scenario's dashboard block has an effect somewhere, and the test of it is named here."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
from locust.env import Environment

from banksim.run.monitor import History
from banksim.run.sink import Feed
from banksim.scenario import Dashboard, parse_scenario
from tests.unit.web_ext.fakes import DemoView, ManualClock
from web_ext.app import attach
from web_ext.run_view import RunView
from web_ext.stream import Hub
from web_ext.websocket import Listener

TESTS = Path(__file__).resolve().parents[2]

#: (file below tests/, test) for each key.
TESTED = {
    "enabled": ("unit/web_ext/test_dashboard_keys.py", "test_pages_are_left_out_when_the_scenario_says_so"),
    "port": ("unit/cli/test_launch.py", "test_flags_become_locusts"),
    "host": ("unit/cli/test_launch.py", "test_flags_become_locusts"),
    "theme": ("browser/test_pages.py", "test_refresh_and_theme_follow_the_scenarios_dashboard"),
    "refresh_rate_ms": ("browser/test_pages.py", "test_refresh_and_theme_follow_the_scenarios_dashboard"),
    "max_feed_items": ("browser/test_dashboard_block.py", "test_the_block_reaches_feed_charts_and_sound"),
    "chart_retention_hours": ("unit/web_ext/test_dashboard_keys.py", "test_older_points_are_not_told"),
    "chart_resolution_seconds": (
        "browser/test_dashboard_block.py",
        "test_the_block_reaches_feed_charts_and_sound",
    ),
    "fraud_alert_threshold": ("unit/web_ext/test_dashboard_keys.py", "test_alerts_follow_the_threshold"),
    "sound_alerts": ("browser/test_dashboard_block.py", "test_the_block_reaches_feed_charts_and_sound"),
    "record": ("unit/web_ext/test_recorder.py", "test_the_scenario_may_say_no"),
}

SHORT = """
name: Short
duration_hours: 1
transaction_rate: {peak_tps: 1, off_peak_tps: 1}
"""


@pytest.fixture
def quiet_recorder(monkeypatch):
    monkeypatch.setattr("web_ext.app.Recorder.start", lambda recorder: None)


def test_every_key_is_named_with_a_test_that_exists():
    assert set(TESTED) == set(Dashboard.model_fields)
    for file, name in TESTED.values():
        tree = ast.parse((TESTS / file).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.usefixtures("quiet_recorder")
def test_pages_are_left_out_when_the_scenario_says_so(tmp_path, monkeypatch, enabled):
    scenario = tmp_path / "short.yaml"
    scenario.write_text(f"{SHORT}dashboard: {{enabled: {str(enabled).lower()}}}\n")
    environment = Environment(user_classes=[])
    environment.parsed_options = SimpleNamespace(
        web_base_path="",
        num_users=1,
        spawn_rate=1,
        run_time=None,
        stats_history_enabled=False,
        scenario=str(scenario),
        dashboard=False,
    )
    environment.create_local_runner()
    environment.create_web_ui(host="127.0.0.1", port=0, delayed_start=True)
    session = SimpleNamespace(
        environment=environment,
        selected=str(scenario),
        report_dir=tmp_path,
        last_run=None,
        prepare_form=None,
        worker_rows=list,
        idle_message="No run yet",
    )
    attach(session)
    client = environment.web_ui.app.test_client()
    assert client.get("/banksim/").status_code == (200 if enabled else 404)
    assert client.get("/").status_code == 200
    # Locust's own posts are guarded all the same.
    assert client.post("/swarm", headers={"Origin": "http://evil.example"}).status_code == 403


def test_older_points_are_not_told(tmp_path):
    history = History()
    for wall_s in range(0, 7200, 60):
        history.add({"wall_s": float(wall_s)})
    scenario = parse_scenario(f"{SHORT}dashboard: {{chart_retention_hours: 1}}\n")
    run = SimpleNamespace(
        settings=SimpleNamespace(scenario=scenario), history=history, moment=lambda: (7200.0, 0.0)
    )
    view = RunView(SimpleNamespace(last_run=run, report_dir=tmp_path))
    told = view.timeline(0).points
    assert (told[0]["wall_s"], told[-1]["wall_s"]) == (3600.0, 7140.0)


@pytest.mark.parametrize(("threshold", "some"), [(0.3, True), (1.0, False)])
def test_alerts_follow_the_threshold(threshold, some):
    clock = ManualClock()
    view = DemoView(clock, dashboard={"fraud_alert_threshold": threshold})
    hub = Hub(view, clock=clock, start=lambda work: None)
    listener = Listener(hub)
    listener.join()
    listener.hear('{"type": "subscribe", "topics": ["fraud_alerts"]}')
    listener.take()
    clock.now_s += 60
    hub.tick()
    assert (b"fraud_alert" in listener.take(timeout_s=0.01)) is some


def test_the_feed_keeps_what_the_block_says():
    assert Feed(None, Dashboard(max_feed_items=7).max_feed_items)._items.maxlen == 7
