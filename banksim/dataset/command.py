"""`banksim generate`: a labelled data set of a scenario, without a target.

scenario ─► parts ─► stream ─► lines ─► (a public set's columns) ─► .csv, .jsonl or .parquet
                       │         └─► further tables        customers and accounts beside it
                       └─► tally ─► data card
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TextIO

from banksim.dataset.card import CardContents, Tally, write_card
from banksim.dataset.check import Checker, report
from banksim.dataset.files import ACCOUNTS, CUSTOMERS, TRANSACTIONS, Column
from banksim.dataset.lines import BatchLines, PeopleLines, join_for
from banksim.dataset.public_forms import FORMS, FormSink, dict_rows
from banksim.dataset.sinks import STDOUT, Outputs, Sink, beside, ending_of
from banksim.dataset.stream import Batch, Entry, Stream
from banksim.dataset.tables import TABLES, Reports, Table, croissant, line_of
from banksim.model import BanksimError, ExitCode, UsageError
from banksim.report.console import Line, can_rewrite, wants_colour
from banksim.run.plan import Parts, build_parts, build_past, past_of
from banksim.scenario import Scenario, load_scenario

# -- How far the writing is: one line that rewrites itself on a terminal, nothing elsewhere ---------


_EVERY_S = 0.2


class Progress:
    """Shows itself on ``out`` (standard error) when that is a terminal; colour unless NO_COLOR is set."""

    def __init__(self, duration_s: float, out: TextIO | None = None) -> None:
        stream = sys.stderr if out is None else out
        self._line = Line(stream, wants_colour(stream, os.environ))
        self._shown = can_rewrite(stream, os.environ)
        self._duration_s = duration_s
        self._started_s = time.monotonic()
        self._next_s = 0.0

    def rows(self, sim_s: float, rows: int) -> None:
        """``rows`` are written, the last one at ``sim_s`` simulated seconds."""
        if self._is_due():
            rate = rows / max(1e-9, time.monotonic() - self._started_s)
            days, rest = divmod(int(sim_s), 86_400)
            moment = f"day {days + 1} {rest // 3600:02d}:{rest // 60 % 60:02d}"
            self._line.draw(sim_s / self._duration_s, [moment, f"{rows:,} rows", f"{rate:,.0f} rows/s"])

    def step(self, name: str, done: int, total: int) -> None:
        """A step beside the rows: ``done`` of ``total``."""
        if self._is_due():
            self._line.draw(done / max(1, total), [f"{name} {done:,} of {total:,}"])

    def clear(self) -> None:
        """Take the line away."""
        self._line.clear()

    def _is_due(self) -> bool:
        now_s = time.monotonic()
        if not self._shown or now_s < self._next_s:
            return False
        self._next_s = now_s + _EVERY_S
        return True


#: Rows handled between two looks at the progress line.
BLOCK_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Files:
    """Where a data set goes: transactions in one file or in one per split, and tables by name.

    Without a card nothing but transactions is written.
    """

    transactions: tuple[Path, ...]
    tables: Mapping[str, Path]
    card: Path | None = None
    croissant: Path | None = None

    @property
    def all(self) -> list[Path]:
        kept = [path for path in (self.card, self.croissant) if path is not None]
        return [*self.transactions, *self.tables.values(), *kept]


#: The parts of a set split by time.
SPLITS = ("train", "validation", "test")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `banksim generate`."""
    parser.add_argument("--scenario", required=True, metavar="S", help="a scenario's name or YAML file")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write: .csv, .jsonl (both also .gz), .parquet, or -"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="decides everything random (default: the scenario's)"
    )
    parser.add_argument("--customers", type=int, metavar="N", help="size of the population")
    parser.add_argument(
        "--speed", type=float, metavar="X", help="10 times slower makes 10 times as many rows"
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="write the days before the run (history_days), for import, instead of the run",
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="stop after N transactions")
    parser.add_argument("--accounts", type=Path, metavar="FILE", help="accounts (default: beside --out)")
    parser.add_argument(
        "--customers-out", type=Path, metavar="FILE", help="customers (default: beside --out)"
    )
    parser.add_argument(
        "--format", choices=["banksim", *FORMS], default="banksim", help="columns of a public data set"
    )
    parser.add_argument(
        "--tables",
        type=_tables,
        default=(),
        metavar="NAMES",
        help=f"{', '.join(TABLES)}, or all, beside --out",
    )
    parser.add_argument(
        "--split",
        type=_split,
        metavar="A,B,C",
        help="percent of the time for train, validation and test files",
    )
    parser.add_argument(
        "--label-delay-days",
        type=_days,
        metavar="D",
        help="write when frauds are reported: D days later on average",
    )
    parser.add_argument(
        "--label-noise", type=_share, metavar="P", help="share of frauds nobody reports, and as many mistakes"
    )
    parser.add_argument("--croissant", action="store_true", help="write Croissant metadata beside --out")
    parser.add_argument(
        "--check", action="store_true", help="compare with calibration and try to cheat; exit 99 on a miss"
    )
    parser.add_argument(
        "--seeds", type=_positive, default=2, metavar="N",
        help="sets that --check looks at, of as many seeds in a row (default: 2)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Carry the command out; returns its exit code.  Raises BanksimError."""
    if options.out is None and not options.check:
        raise UsageError("generate: give --out FILE.csv or FILE.parquet, or --check")
    scenario = _scenario(options)
    files = None if options.out is None else _files(options)
    try:
        with _interruptible(), _few_collections():
            return _generate(options, scenario, files)
    except KeyboardInterrupt:
        print("Interrupted: nothing was written", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:  # the reader of standard output has seen enough
        return int(ExitCode.COMPLETED)
    except OSError as error:
        raise BanksimError(f"{options.out}: cannot be written: {error.strerror or error}") from error


def _generate(options: argparse.Namespace, scenario: Scenario, files: Files | None) -> int:
    seed = scenario.seed if scenario.seed is not None else secrets.randbelow(1_000_000)
    parts = _parts(options, scenario, seed)
    stream, tally = Stream(parts), Tally()
    progress = Progress(parts.clock.duration_s)
    checker = Checker(parts) if options.check else None
    with Outputs() as outputs:
        try:
            form = None if options.format == "banksim" else FORMS[options.format](parts)
            columns = TRANSACTIONS if form is None else form.columns
            tables = _wanted_tables(options, seed)
            rows = _Rows(parts, tables)
            for number, path in enumerate(() if files is None else files.transactions):
                sink = outputs.open(path, columns, parts.world.currency)
                end_s = math.inf if options.split is None else options.split[number] * parts.clock.duration_s
                rows.sinks.append((end_s, sink if form is None else FormSink(sink, form)))
            _write_rows(options.limit, stream, tally, progress, rows, checker.add if checker else None)
            _refuse_faults(stream)
            if files is not None and files.card is not None:
                made: dict[Path, Sequence[Column]] = dict.fromkeys(files.transactions, columns)
                made |= _write_people(parts, progress, outputs, files)
                made |= _write_tables(parts, outputs, files, tables)
                command, told = _command(options, seed), past_of(scenario) if options.history else scenario
                contents = CardContents(told, seed, parts, stream, tally, made, command, options.limit)
                write_card(outputs.temporary(files.card), contents)
                if files.croissant is not None:
                    now = outputs.close()
                    text = croissant(
                        files.card.name.removesuffix(".md"),
                        f"Invented bank transactions with their truth, made by `{command}`.",
                        {place: (now[place], its) for place, its in made.items()},
                    )
                    outputs.temporary(files.croissant).write_text(text, encoding="utf-8")
            outputs.commit()
        finally:
            progress.clear()
    if files is not None:
        said = sys.stderr if STDOUT in files.transactions else sys.stdout
        name = ", ".join("standard output" if path == STDOUT else str(path) for path in files.transactions)
        print(f"{name}: {tally.rows:,} transactions, {tally.fraud:,} fraud, seed {seed}", file=said)
        if files.card is not None:
            print(f"Data card: {files.card}")
    if checker is None:
        return int(ExitCode.COMPLETED)
    more = [_checked(options, scenario, seed + nth) for nth in range(1, options.seeds)]
    found = report([checker, *more])
    print(found.text)
    return int(ExitCode.COMPLETED if found.passed else ExitCode.THRESHOLD_FAILED)


def _parts(options: argparse.Namespace, scenario: Scenario, seed: int) -> Parts:
    build = build_past if options.history else build_parts
    return build(scenario, seed, scenario.speed_multiplier)


def _checked(options: argparse.Namespace, scenario: Scenario, seed: int) -> Checker:
    """The same set of another seed, which is looked at and not written."""
    parts = _parts(options, scenario, seed)
    checker, progress = Checker(parts), Progress(parts.clock.duration_s)
    _write_rows(options.limit, Stream(parts), Tally(), progress, _Rows(parts, {}), checker.add)
    progress.clear()
    return checker


class _Rows:
    """Writes batches to the file of their time, and shows them to the tables."""

    def __init__(self, parts: Parts, tables: Mapping[str, Table]) -> None:
        expected = parts.offered.total() / parts.clock.speed
        self._lines = BatchLines(parts.activity.rows.legend, join_for(expected))
        self._tables = list(tables.values())
        #: Until which simulated second, exclusive, each takes rows; in order of time.
        self.sinks: list[tuple[float, Sink]] = []

    def write(self, batch: Batch) -> None:
        """Rows in order of time."""
        for end_s, sink in self.sinks:
            count = len(batch) if end_s == math.inf else batch.before(end_s)
            if count:
                now = batch if count == len(batch) else batch.first(count)
                chunks = self._lines.chunks(now)
                sink.write(chunks, count)
                for row in dict_rows(chunks) if self._tables else ():
                    for table in self._tables:
                        table.add(row)
            if count == len(batch):
                return
            batch = batch.rest(count)


def _write_rows(
    limit: int | None,
    stream: Stream,
    tally: Tally,
    progress: Progress,
    rows: _Rows,
    watch: Callable[[list[Entry]], None] | None,
) -> None:
    left = math.inf if limit is None else limit
    for whole in stream.batches():
        batch = whole if len(whole) <= left else whole.first(int(left))
        left -= len(batch)
        tally.add(batch)
        if len(batch):
            rows.write(batch)
        if watch is not None:
            watch(list(batch.entries()))
        progress.rows(tally.last_s, tally.rows)
        if left <= 0:
            return


def _wanted_tables(options: argparse.Namespace, seed: int) -> dict[str, Table]:
    tables: dict[str, Table] = {name: TABLES[name]() for name in options.tables}
    if options.label_delay_days is not None or options.label_noise is not None:
        tables["reports"] = Reports(seed, options.label_delay_days or 0.0, options.label_noise or 0.0)
    return tables


def _write_tables(
    parts: Parts, outputs: Outputs, files: Files, tables: Mapping[str, Table]
) -> dict[Path, Sequence[Column]]:
    made: dict[Path, Sequence[Column]] = {}
    for name, table in tables.items():
        path = files.tables[name]
        sink, found = outputs.open(path, table.columns, parts.world.currency), table.finish()
        while block := list(islice(found, BLOCK_ROWS)):
            sink.write(["".join(line_of(table.columns, cells) for cells in block).encode()], len(block))
        made[path] = table.columns
    return made


def _refuse_faults(stream: Stream) -> None:
    """A data set that lacks fraud it should have is wrong: raise BanksimError."""
    if stream.faults:
        name, fault = next(iter(stream.faults.items()))
        raise BanksimError(f"{len(stream.faults)} campaigns failed, the first was {name}: {fault}")


def _write_people(
    parts: Parts, progress: Progress, outputs: Outputs, files: Files
) -> dict[Path, Sequence[Column]]:
    if "customers" not in files.tables:
        return {}
    currency, size = parts.world.currency, parts.world.population.size
    customers = outputs.open(files.tables["customers"], CUSTOMERS, currency)
    accounts = outputs.open(files.tables["accounts"], ACCOUNTS, currency)
    done = 0
    everybody = PeopleLines(parts).all()
    while block := list(islice(everybody, BLOCK_ROWS)):
        customers.write(["".join([customer for customer, _ in block]).encode()], len(block))
        text = "".join([lines for _, lines in block])
        accounts.write([text.encode()], text.count("\n"))
        done += len(block)
        progress.step("Customers", done, size)
    return {files.tables["customers"]: CUSTOMERS, files.tables["accounts"]: ACCOUNTS}


def _scenario(options: argparse.Namespace) -> Scenario:
    overrides: dict[str, Any] = {
        "seed": options.seed,
        "customers": options.customers,
        "speed": options.speed,
    }
    scenario = load_scenario(options.scenario, overrides)
    if options.history and not scenario.history_days:
        raise UsageError(f"generate: --history: {options.scenario} has no history_days")
    return scenario


def _files(options: argparse.Namespace) -> Files:
    out: Path = options.out
    if out == STDOUT:
        extra = (
            "accounts",
            "customers_out",
            "tables",
            "split",
            "label_delay_days",
            "label_noise",
            "croissant",
        )
        asked = [f"--{name.replace('_', '-')}" for name in extra if getattr(options, name)]
        if asked:
            raise UsageError(f"generate: {asked[0]} needs files; give --out a file name")
        return Files((STDOUT,), {})
    names = ["customers", "accounts"] if options.format == "banksim" else []
    own = {"customers": options.customers_out, "accounts": options.accounts}
    names = [name for name in own if name in names or own[name] is not None]
    tables = {name: own[name] or beside(out, name) for name in names}
    tables |= {name: beside(out, name) for name in options.tables}
    if options.label_delay_days is not None or options.label_noise is not None:
        tables["reports"] = beside(out, "reports")
    transactions = (out,) if options.split is None else tuple(beside(out, part) for part in SPLITS)
    card = out.with_name(f"{out.name}.md")
    metadata = out.with_name(f"{out.name}.croissant.json") if options.croissant else None
    files = Files(transactions, tables, card, metadata)
    for path in (*transactions, *tables.values()):
        ending_of(path)
    if len({path.resolve() for path in files.all}) < len(files.all):
        raise UsageError("generate: --out, --accounts and --customers-out must be different files")
    return files


def _command(options: argparse.Namespace, seed: int) -> str:
    words = ["banksim", "generate", "--scenario", str(options.scenario), "--out", options.out.name]
    words += ["--seed", str(seed), *(["--history"] if options.history else [])]
    for name in ("customers", "speed", "limit", "label_delay_days", "label_noise"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    words += [] if options.format == "banksim" else ["--format", options.format]
    words += ["--tables", ",".join(options.tables)] if options.tables else []
    if options.split is not None:
        shares = [100 * (b - a) for a, b in pairwise((0.0, *options.split[:-1], 1.0))]
        words += ["--split", ",".join(f"{share:g}" for share in shares)]
    return shlex.join(words)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return value


def _number(text: str, expected: str, holds: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not holds(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def _days(text: str) -> float:
    return _number(text, "a number of days from 0 to 3650", lambda value: 0 <= value <= 3650)


def _share(text: str) -> float:
    return _number(text, "a share from 0 to 1", lambda value: 0 <= value <= 1)


def _tables(text: str) -> tuple[str, ...]:
    names = tuple(TABLES) if text == "all" else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in TABLES:
            raise argparse.ArgumentTypeError(f"expected {', '.join(TABLES)} or all, got {name!r}")
    return tuple(dict.fromkeys(names))


def _split(text: str) -> tuple[float, ...]:
    """The ends of the three parts as shares of the time."""
    shares = [_number(part, "three percentages", lambda value: value > 0) for part in text.split(",")]
    if len(shares) != len(SPLITS) or not math.isclose(sum(shares), 100):
        raise argparse.ArgumentTypeError(f"expected three percentages that add up to 100, got {text!r}")
    return (shares[0] / 100, (shares[0] + shares[1]) / 100, math.inf)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does."""

    def stop(signum: int, frame: object) -> None:  # noqa: ARG001 - the form signal handlers have
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Rows make no cycles, and looking for some over and over takes a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
