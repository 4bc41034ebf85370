"""Every message arrives as it was sent, nothing odd is taken for one, and every key is read by something."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from locust.argument_parser import get_parser

from banksim.load.options import add_options, from_form, run_settings
from banksim.measure.figures import BalanceTotal, Reconciliation
from banksim.measure.results import Account, Circuit, FaultMade, Feedback, LogFile, TargetRow
from banksim.run.plan import KafkaUse, Mode, RunSettings
from banksim.run.timekeeper import Change
from banksim.run.workers import messages
from banksim.run.workers.messages import (
    FROM_MASTER,
    FROM_WORKER,
    Ack,
    Assigned,
    Bye,
    ClockState,
    Directory,
    EndRun,
    Final,
    FromMaster,
    FromWorker,
    Hello,
    Opened,
    Orders,
    PlayHistory,
    Pulse,
    Refused,
    Rejected,
    State,
    StepCounts,
    Welcome,
    WireBrokers,
    encode,
    from_master,
    from_worker,
    json_schema,
    settings_from_wire,
    settings_to_wire,
)
from banksim.scenario.loader import scenario_files
from tests.unit.run.makers import feed_item
from tests.unit.run.workers.post import over_the_wire

ROOT = Path(__file__).resolve().parents[4]

#: A value for each field of the start form, unlike its default.
FORM = {
    "scenario": "fraud_attack",
    "speed": "123",
    "seed": "99",
    "customers": "321",
    "target_mode": "live",
    "nexum_url": "http://127.0.0.1:9001",
    "bastion_url": "http://127.0.0.1:9002",
    "kafka_servers": "127.0.0.1:9093",
}


def orders(settings: RunSettings) -> Orders:
    return Orders(
        run=settings.run_id,
        number=3,
        settings=settings_to_wire(settings),
        addresses={"nexum": "http://bank"},
        brokers=WireBrokers(servers="", wanted=False, asked_for="", reason="none"),
        workers=2,
        directory=0,
    )


def arrived(settings: RunSettings) -> RunSettings:
    return settings_from_wire(over_the_wire(orders(settings)).settings)


def shown_in_the_form() -> set[str]:
    parser = get_parser()
    before = set(parser.args_included_in_web_ui)
    add_options(parser)
    return set(parser.args_included_in_web_ui) - before


def test_every_field_of_the_start_form_reaches_the_workers() -> None:
    assert shown_in_the_form() == set(FORM), "a new field needs a value here, and a line below"
    settings = arrived(run_settings(from_form(FORM, {}), {}))
    scenario = settings.scenario
    values = {
        "scenario": scenario.source_path.stem if scenario.source_path else "",
        "speed": f"{settings.speed:g}",
        "seed": str(settings.seed),
        "customers": str(scenario.customers),
        "target_mode": str(settings.mode),
        "nexum_url": scenario.connections.nexum_url,
        "bastion_url": scenario.connections.bastion_url,
        "kafka_servers": scenario.connections.kafka_bootstrap_servers,
    }
    assert values == FORM


def test_options_of_the_command_line_reach_the_workers(tmp_path: Path) -> None:
    options = {
        "scenario": "demo",
        "flow": "score_then_post",
        "threshold": ["recall >= 1%"],
        "transaction_log": True,
        "report_dir": str(tmp_path),
        "target_mode": "dry-run",
        "no_kafka": True,
    }
    settings = run_settings(options, {})
    found = arrived(settings)
    assert found == settings
    assert found.scenario.flow == "score_then_post"
    assert "recall >= 1%" in found.scenario.thresholds
    assert found.folder == settings.folder
    assert (found.mode, found.kafka) == (Mode.DRY_RUN, KafkaUse.OFF)


@pytest.mark.parametrize("name", scenario_files())
def test_every_shipped_scenario_arrives_as_it_was_sent(name: str) -> None:
    settings = run_settings({"scenario": name, "speed": "77"}, {})
    found = arrived(settings)
    assert found.scenario.hash == settings.scenario.hash
    assert found.scenario.source_path == settings.scenario.source_path


# -- Every kind -------------------------------------------------------------------------------------

RUN = "run-1"
ACCOUNT = Account(
    circuits=[Circuit("bank", "closed", None, "", 1, 0.0, 0)],
    faults=[FaultMade("a fault", "bank", "hang", 1.0, 0.0, 9.0, begun=True, affected=2)],
    feedback=Feedback(2, 0, 2, 0, 0, 0, 0),
    onboarding={"joined": 1},
    fraud_not_made={"missed": 1},
    transaction_log=LogFile("transactions-0.csv", lines=3, lost=0),
)
COMPARED = Reconciliation("balanced", "", True, 1, 0, 0, 0, 0, {}, BalanceTotal(5, 5, 5), [], 0)
EVERY_KIND: tuple[FromWorker | FromMaster, ...] = (
    Hello(version="1", host="host", pid=4, run=""),
    Refused(run=RUN, reason="no plugin"),
    Pulse(run=RUN, at_s=1.5, prepared=True, cpu_percent=4.0, items=[feed_item(0, "a")]),
    State(run=RUN, seq=1, wall_s=2.0, from_s=0.5, counts=b"{}", targets=[TargetRow(name="Nexum", url="u")]),
    State(run=RUN, seq=1, wall_s=2.0, from_s=0.5, counts=b"", targets=[], step=StepCounts(3, 1, b"{}")),
    Opened(run=RUN, rows=[(3, "c-3", ["a-3"])], joined=True),
    Final(run=RUN, seq=2, wall_s=2.0, counts=b"{}", end="stopped", account=ACCOUNT, reconciliation=COMPARED),
    Welcome(number=2),
    Rejected(reason="another version"),
    orders(run_settings({"scenario": "demo"}, {})),
    Directory(run=RUN, rows=[(3, "c-3", ["a-3", "b-3"])], joined=False),
    Assigned(run=RUN, number=4, from_sim_s=8.0, table=b"\x00\xff", lost={2: 1.5}),
    ClockState(
        run=RUN, segments=[(1.0, 0.0, 10.0)], speed=10.0, paused=False, changes=[Change(5.0, tps=20.0)]
    ),
    Ack(run=RUN, at_s=1.0, master_s=2.0, pulse_s=0.1, state_s=0.25),
    PlayHistory(run=RUN),
    EndRun(run=RUN, end="stopped"),
    Bye(run=RUN),
)


def test_there_is_an_example_of_every_kind() -> None:
    assert {type(message) for message in EVERY_KIND} == {*FROM_WORKER, *FROM_MASTER}
    kinds = [kind.kind for kind in (*FROM_WORKER, *FROM_MASTER)]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: message.kind)
def test_a_message_arrives_as_it_was_sent(message: FromWorker | FromMaster) -> None:
    assert over_the_wire(message) == message


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: message.kind)
def test_a_message_is_read_at_its_own_end_only(message: FromWorker | FromMaster) -> None:
    other = from_worker if isinstance(message, FROM_MASTER) else from_master
    with pytest.raises(ValueError, match="there is no kind"):
        other(encode(message))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "no dictionary"),
        ([1, 2], "no dictionary"),
        ({}, "no kind 'None'"),
        ({"kind": ["pulse"]}, "no kind"),
        ({"kind": "x" * 10_000}, "no kind"),
        ({"kind": "pulse"}, "pulse: run: Field required"),
        ({"kind": "pulse", "run": RUN, "at_s": "soon"}, "pulse: at_s"),
        ({"kind": "pulse", "run": RUN, "at_s": 1.0, "mood": "good"}, "pulse: mood"),
        ({"kind": "opened", "run": RUN, "joined": False, "rows": [[1, "c"]]}, "opened: rows.0"),
        ({"kind": "state", "run": RUN, "seq": None}, "state"),
    ],
)
def test_what_is_no_message_is_refused_with_a_short_reason(data: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        from_worker(data)
    assert len(str(caught.value)) < 200


def test_the_schema_is_current_and_describes_every_example(request: pytest.FixtureRequest) -> None:
    file = ROOT / "docs" / "worker-messages.json"
    text = json.dumps(json_schema(), indent=2) + "\n"
    if request.config.getoption("--update-docs"):
        file.write_text(text)
    assert file.read_text() == text, "run the tests with --update-docs"
    checker = jsonschema.Draft202012Validator(json_schema())
    for message in EVERY_KIND:
        checker.validate(
            json.loads(json.dumps(encode(message), default=lambda value: value.decode("latin-1")))
        )
    with pytest.raises(jsonschema.ValidationError):
        checker.validate({"kind": "bye", "run": RUN, "mood": "good"})


# -- Every key is read ------------------------------------------------------------------------------

READERS = [
    *(ROOT / "banksim" / "run" / "workers").glob("*.py"),
    *(ROOT / "banksim" / "load" / name for name in ("distributed.py",)),
]
#: Names of variables and attributes that hold values of a class, besides annotated parameters.
NAMES = {
    "Orders": {"orders"},
    "WireSettings": {"wire"},
    "WireBrokers": {"brokers"},
    "Pulse": {"pulse"},
    "Counts": {"counted"},
    "Final": {"final"},
    "StepCounts": {"one"},
}


def keys_read(kind: type[Any]) -> set[str]:
    """Attributes that are read of values of a class or of its bases."""
    classes = {base.__name__ for base in kind.__mro__}
    known = set().union(*(NAMES.get(name, set()) for name in classes))
    return {
        node.attr
        for path in READERS
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and _name(node.value) in known | _annotated(function, classes)
    }


def _annotated(function: ast.FunctionDef, classes: set[str]) -> set[str]:
    arguments = function.args.args
    return {one.arg for one in arguments if one.annotation is not None and _name(one.annotation) in classes}


def _name(node: ast.expr) -> str:
    return str(getattr(node, "id", None) or getattr(node, "attr", ""))


def with_keys() -> list[type[Any]]:
    own = (one for one in vars(messages).values() if isinstance(one, type) and dataclasses.is_dataclass(one))
    return [one for one in own if one.__module__ == messages.__name__ and one is not messages.Message]


@pytest.mark.parametrize("kind", with_keys(), ids=lambda kind: kind.__name__)
def test_every_key_is_read_by_something(kind: type[Any]) -> None:
    keys = {field.name for field in dataclasses.fields(kind)} - {"run"}  # read before the kind is known
    unread = keys - keys_read(kind)
    assert not unread, f"nothing reads {sorted(unread)} of {kind.__name__}"


def test_a_key_that_nothing_reads_is_found() -> None:
    made = dataclasses.make_dataclass("Pulse", ["at_s", "mood"])
    assert {"at_s", "mood"} - keys_read(made) == {"mood"}
