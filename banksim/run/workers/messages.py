"""What master and workers send each other: one class per kind, and its form on the wire.

    worker ──► master                               master ──► worker
    hello     sign of life, every second            welcome     the worker's number
    refused   cannot take part in a run             rejected    may not work for this master
    pulse     several times a second                orders      a run begins, or has begun
    state     all counts so far                     directory   customers opened by other workers
    opened    customers that the bank has opened    assignment  who owns what, from when on
    final     the last counts, books, accounts      history     play your customers' days before the run
                                                    clock       segments and changes of speed
                                                    ack         answers a pulse, renews the lease
                                                    end         offer nothing more, drain, send the final
                                                    bye         the final has arrived

Messages between two processes keep their order.  Any of them may be lost when a process dies, and
none is needed twice: pulses and states are cumulative, hellos and finals are repeated.

``*_s`` are wall seconds unless named ``*_sim_s``; ``at_s`` is the worker's monotonic clock,
``master_s`` and ``segments`` the master's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

import banksim
from banksim.measure.figures import Reconciliation
from banksim.measure.results import Account, FeedItem, TargetRow
from banksim.run.plan import KafkaUse, Mode, RunSettings
from banksim.run.timekeeper import Change
from banksim.scenario import parse_scenario

#: A message on the wire: plain values.
Wire = dict[str, Any]
#: A customer that the bank has opened: index, customer id, account ids by slot.
OpenedRow = tuple[int, str, list[str]]

#: Wall seconds between two pulses of a worker, with few workers; with many they share a budget.
PULSE_S = 0.1
#: Wall seconds between two states of a worker, with few workers: what a worker that dies takes with it.
STATE_S = 0.25
#: Pulses and states a second that a master reads from all workers together.
PULSES_A_SECOND = 200.0
STATES_A_SECOND = 80.0
#: A worker offers nothing once its last answered pulse is this old …
LEASE_S = 2.0
#: … and only later the master gives its share to others: never two for one customer.
LOST_AFTER_S = 3.0
#: Customers in one message.
ROWS = 1000


def pulse_every_s(workers: int) -> float:
    """Wall seconds between two pulses of each of ``workers`` workers."""
    return max(PULSE_S, workers / PULSES_A_SECOND)


def state_every_s(workers: int) -> float:
    """Wall seconds between two states of each of ``workers`` workers."""
    return max(STATE_S, workers / STATES_A_SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base of every message.  A key that its class does not have is refused."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    kind: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMessage(Message):
    """About one run; one about another run than the present one is not read."""

    run: str


@cache
def build() -> str:
    """The version of this program with a digest of its sources: what a master and its workers must share."""
    digest = blake2b(digest_size=4)
    for path in sorted(Path(banksim.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{banksim.__version__}+{digest.hexdigest()}"


# -- Worker to master -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """``run`` is the run this worker is in, or empty."""

    kind: ClassVar[str] = "hello"
    version: str
    host: str
    pid: int
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(RunMessage):
    """This worker cannot take part, and why."""

    kind: ClassVar[str] = "refused"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse(RunMessage):
    """How far the worker is, and the transactions it shows.

    ``known`` customers are in its directory; ``opened_done`` of ``opened_total`` have been opened here
    for assignment ``opened_for`` (while the history is played: transactions of it); ``items`` are new
    rows of the feed, out of ``seen`` transactions.
    """

    kind: ClassVar[str] = "pulse"
    at_s: float
    prepared: bool = False
    opened_done: int = 0
    opened_total: int = 0
    opened_for: int = 0
    history_played: bool = False
    known: int = 0
    shortage_ms: float = 0.0
    cpu_percent: float | None = None
    rss_bytes: float | None = None
    seen: int = 0
    items: list[FeedItem] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(RunMessage):
    """``counts``: {measures, kafka} up to ``wall_s`` as JSON.

    ``seq`` numbers a worker's counts from 1; an older one than the last is not read.
    """

    seq: int
    wall_s: float
    counts: bytes


@dataclass(frozen=True, slots=True)
class StepCounts:
    """A step of a search for capacity, as one worker counted it: ``counts`` are measures as JSON.

    ``segments`` of the clock were known then, and ``in_flight`` transactions had not ended.
    """

    segments: int
    in_flight: int
    counts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Counts):
    """Counts so far, without the expected balances; of the timeline only stretches since ``from_s``.

    ``step`` is there while a search for capacity has paused the clock.
    """

    kind: ClassVar[str] = "state"
    from_s: float
    targets: list[TargetRow]
    step: StepCounts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(RunMessage):
    """Customers opened by this worker; ``joined``: while simulated time ran."""

    kind: ClassVar[str] = "opened"
    rows: list[OpenedRow]
    joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Final(Counts):
    """Everything, with the expected balances; nothing follows.

    ``end`` is an `End` of the run; ``reconciliation`` is there where the worker has a bank of its own.
    """

    kind: ClassVar[str] = "final"
    end: str
    account: Account
    reconciliation: Reconciliation | None = None


FromWorker = Hello | Refused | Pulse | State | Opened | Final


# -- Master to worker -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Message):
    """The number is the worker's for as long as the master lives."""

    kind: ClassVar[str] = "welcome"
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Message):
    """The worker may not work for this master, and why; it ends."""

    kind: ClassVar[str] = "rejected"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSettings:
    """A run's settings as text and numbers.

    The scenario travels as the master merged it (file, environment, command line or start form), so
    every worker runs the same, whatever its own environment says; ``source`` is its path.
    """

    scenario: str
    source: str
    seed: int
    speed: float
    mode: str
    report_dir: str
    run_id: str
    transaction_log: bool
    kafka: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WireBrokers:
    """The fields of `Brokers` that workers need."""

    servers: str
    wanted: bool
    asked_for: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders(RunMessage):
    """All a worker must know of a run.

    ``addresses`` of the targets by name, ``workers`` that share the run now, and how many customers of
    other workers the ``directory`` messages that follow will bring.
    """

    kind: ClassVar[str] = "orders"
    number: int
    settings: WireSettings
    addresses: dict[str, str]
    brokers: WireBrokers
    workers: int
    directory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory(RunMessage):
    """Customers opened by other workers; ``joined``: while simulated time ran."""

    kind: ClassVar[str] = "directory"
    rows: list[OpenedRow]
    joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned(RunMessage):
    """See `banksim.run.workers.members`; ``table`` holds two bytes per slot."""

    kind: ClassVar[str] = "assignment"
    number: int
    from_sim_s: float
    table: bytes
    lost: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayHistory(RunMessage):
    """All customers are open: play what those of the last assignment did in the days before the run."""

    kind: ClassVar[str] = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState(RunMessage):
    """The master's clock: ``segments`` are (wall_s, sim_s, speed)."""

    kind: ClassVar[str] = "clock"
    segments: list[tuple[float, float, float]]
    speed: float
    paused: bool
    changes: list[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(RunMessage):
    """Answers the pulse sent at ``at_s``; says how often pulses and states are wanted."""

    kind: ClassVar[str] = "ack"
    at_s: float
    master_s: float
    pulse_s: float
    state_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRun(RunMessage):
    """``end`` is an `End` of the run."""

    kind: ClassVar[str] = "end"
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(RunMessage):
    """The master has the final."""

    kind: ClassVar[str] = "bye"


FromMaster = (
    Welcome | Rejected | Orders | Directory | Assigned | PlayHistory | ClockState | Ack | EndRun | Bye
)


# -- On the wire ------------------------------------------------------------------------------------


FROM_WORKER: tuple[type[FromWorker], ...] = get_args(FromWorker)
FROM_MASTER: tuple[type[FromMaster], ...] = get_args(FromMaster)
_ADAPTERS = {kind: TypeAdapter[Any](kind) for kind in (*FROM_WORKER, *FROM_MASTER)}
_OF_WORKERS = {kind.kind: _ADAPTERS[kind] for kind in FROM_WORKER}
_OF_MASTERS = {kind.kind: _ADAPTERS[kind] for kind in FROM_MASTER}


def encode(message: FromWorker | FromMaster) -> Wire:
    """Plain values: numbers, text, bytes, lists, dictionaries."""
    fields: Wire = _ADAPTERS[type(message)].dump_python(message)
    return {"kind": message.kind, **fields}


def from_worker(data: object) -> FromWorker:
    """What a worker sent.  Raises ValueError, with a short reason, for anything else."""
    message: FromWorker = _decoded(data, _OF_WORKERS)
    return message


def from_master(data: object) -> FromMaster:
    """What the master sent.  Raises ValueError, with a short reason, for anything else."""
    message: FromMaster = _decoded(data, _OF_MASTERS)
    return message


def _decoded(data: object, adapters: Mapping[str, TypeAdapter[Any]]) -> Any:
    if not isinstance(data, dict):
        raise ValueError("it is no dictionary")
    kind = data.get("kind")
    adapter = adapters.get(kind) if isinstance(kind, str) else None
    if adapter is None:
        raise ValueError(f"there is no kind {str(kind)[:40]!r}")
    try:
        return adapter.validate_python({key: value for key, value in data.items() if key != "kind"})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        raise ValueError(f"{kind}: {place}: {first['msg']}") from None


def json_schema() -> Wire:
    """All kinds as one JSON Schema; bytes are strings of format "binary"."""
    kinds = (*FROM_WORKER, *FROM_MASTER)
    _, made = TypeAdapter.json_schemas([(kind.__name__, "validation", _ADAPTERS[kind]) for kind in kinds])
    definitions = made["$defs"]
    for kind in kinds:
        definition = definitions[kind.__name__]
        definition["properties"] = {"kind": {"const": kind.kind}, **definition["properties"]}
        definition["required"] = ["kind", *definition.get("required", [])]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages between a master and its workers",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds],
        "$defs": definitions,
    }


# -- A run's settings -------------------------------------------------------------------------------


def settings_to_wire(settings: RunSettings) -> WireSettings:
    scenario = settings.scenario
    return WireSettings(
        scenario=scenario.model_dump_json(exclude_unset=True),
        source=str(scenario.source_path) if scenario.source_path is not None else "",
        seed=settings.seed,
        speed=settings.speed,
        mode=str(settings.mode),
        report_dir=str(settings.report_dir),
        run_id=settings.run_id,
        transaction_log=settings.transaction_log,
        kafka=str(settings.kafka),
    )


def settings_from_wire(wire: WireSettings) -> RunSettings:
    """The same settings.  Raises ScenarioError for a scenario that this version does not understand."""
    scenario = parse_scenario(wire.scenario, wire.source or "the master's scenario")
    return RunSettings(
        scenario=scenario.with_source(Path(wire.source) if wire.source else None),
        seed=wire.seed,
        speed=wire.speed,
        mode=Mode(wire.mode),
        report_dir=Path(wire.report_dir),
        run_id=wire.run_id,
        transaction_log=wire.transaction_log,
        kafka=KafkaUse(wire.kafka),
    )
