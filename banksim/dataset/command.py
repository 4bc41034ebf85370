"""`banksim generate`: a labelled data set of a scenario, without a target.

scenario ─► parts ─► stream ─► lines ─► file.csv or .parquet
                       └─► tally ─► data card        └─ customers and accounts beside it
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from banksim.dataset.card import CardContents, Tally, write_card
from banksim.dataset.files import ACCOUNTS, CUSTOMERS, TRANSACTIONS, Outputs, check_format
from banksim.dataset.lines import BatchLines, PeopleLines, join_for
from banksim.dataset.stream import Entry, Stream
from banksim.model import BanksimError, ExitCode, UsageError
from banksim.report.console import wants_colour
from banksim.report.terminal import Line, can_rewrite
from banksim.run.plan import Parts, build_parts
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
    """Where a data set goes."""

    transactions: Path
    customers: Path
    accounts: Path

    @property
    def card(self) -> Path:
        return self.transactions.with_name(self.transactions.name + ".md")

    @property
    def tables(self) -> tuple[Path, Path, Path]:
        return self.transactions, self.customers, self.accounts


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `banksim generate`."""
    parser.add_argument("--scenario", required=True, metavar="S", help="a scenario's name or YAML file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file.csv or file.parquet to write")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="decides everything random (default: the scenario's)"
    )
    parser.add_argument("--customers", type=int, metavar="N", help="size of the population")
    parser.add_argument(
        "--speed", type=float, metavar="X", help="10 times slower makes 10 times as many rows"
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="stop after N transactions")
    parser.add_argument("--accounts", type=Path, metavar="FILE", help="accounts (default: beside --out)")
    parser.add_argument(
        "--customers-out", type=Path, metavar="FILE", help="customers (default: beside --out)"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare with calibration and try to cheat; exit 99 on a miss"
    )


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
    except OSError as error:
        raise BanksimError(f"{options.out}: cannot be written: {error.strerror or error}") from error


def _generate(options: argparse.Namespace, scenario: Scenario, files: Files | None) -> int:
    seed = scenario.seed if scenario.seed is not None else secrets.randbelow(1_000_000)
    parts = build_parts(scenario, seed, scenario.speed_multiplier)
    stream, tally = Stream(parts), Tally()
    progress = Progress(scenario.duration_s)
    watch: Callable[[list[Entry]], None] | None = None
    checker = None
    if options.check:
        from banksim.dataset.check import Checker

        checker = Checker(parts)
        watch = checker.add
    with Outputs() as outputs:
        try:
            _write_rows(options.limit, parts, stream, tally, progress, outputs, files, watch)
            _refuse_faults(stream)
            if files is not None:
                _write_people(parts, progress, outputs, files)
                contents = CardContents(
                    scenario, seed, parts, stream, tally, files.tables, _command(options, seed), options.limit
                )
                write_card(outputs.temporary(files.card), contents)
            outputs.commit()
        finally:
            progress.clear()
    if files is not None:
        print(f"{files.transactions}: {tally.rows:,} transactions, {tally.fraud:,} fraud, seed {seed}")
        print(f"Data card: {files.card}")
    if checker is None:
        return int(ExitCode.COMPLETED)
    report = checker.report()
    print(report.text)
    return int(ExitCode.COMPLETED if report.passed else ExitCode.THRESHOLD_FAILED)


def _write_rows(
    limit: int | None,
    parts: Parts,
    stream: Stream,
    tally: Tally,
    progress: Progress,
    outputs: Outputs,
    files: Files | None,
    watch: Callable[[list[Entry]], None] | None,
) -> None:
    currency, left = parts.world.currency, math.inf if limit is None else limit
    sink = None if files is None else outputs.open(files.transactions, TRANSACTIONS, currency)
    expected = min(left, parts.offered.total() / parts.clock.speed)
    lines = BatchLines(parts.activity.rows.legend, join_for(expected))
    for whole in stream.batches():
        batch = whole if len(whole) <= left else whole.first(int(left))
        left -= len(batch)
        tally.add(batch)
        if sink is not None:
            sink.write(lines.chunks(batch), len(batch))
        if watch is not None:
            watch(list(batch.entries()))
        progress.rows(tally.last_s, tally.rows)
        if left <= 0:
            return


def _refuse_faults(stream: Stream) -> None:
    """A data set that lacks fraud it should have is wrong: raise BanksimError."""
    if stream.faults:
        name, fault = next(iter(stream.faults.items()))
        raise BanksimError(f"{len(stream.faults)} campaigns failed, the first was {name}: {fault}")


def _write_people(parts: Parts, progress: Progress, outputs: Outputs, files: Files) -> None:
    currency, size = parts.world.currency, parts.world.population.size
    customers = outputs.open(files.customers, CUSTOMERS, currency)
    accounts = outputs.open(files.accounts, ACCOUNTS, currency)
    done = 0
    everybody = PeopleLines(parts).all()
    while block := list(islice(everybody, BLOCK_ROWS)):
        customers.write(["".join([customer for customer, _ in block]).encode()], len(block))
        text = "".join([lines for _, lines in block])
        accounts.write([text.encode()], text.count("\n"))
        done += len(block)
        progress.step("Customers", done, size)


def _scenario(options: argparse.Namespace) -> Scenario:
    overrides: dict[str, Any] = {
        "seed": options.seed,
        "customers": options.customers,
        "speed": options.speed,
    }
    return load_scenario(options.scenario, overrides)


def _files(options: argparse.Namespace) -> Files:
    out: Path = options.out
    files = Files(
        out,
        options.customers_out or out.with_name(f"{out.stem}.customers{out.suffix}"),
        options.accounts or out.with_name(f"{out.stem}.accounts{out.suffix}"),
    )
    for path in files.tables:
        check_format(path)
    if len({path.resolve() for path in (*files.tables, files.card)}) < 4:
        raise UsageError("generate: --out, --accounts and --customers-out must be different files")
    return files


def _command(options: argparse.Namespace, seed: int) -> str:
    words = ["banksim", "generate", "--scenario", str(options.scenario), "--out", options.out.name]
    words += ["--seed", str(seed)]
    for name in ("customers", "speed", "limit"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return value


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
