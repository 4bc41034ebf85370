"""The end of a run on a terminal: its verdict, the four words, and the thresholds.

    ✗ FAILED  Fraud attack: 1 of 2 thresholds failed; recall >= 90%, measured 65.1%.       14.4 s

      Load      ✓ kept up                336 of 336 due transactions were sent ...
      Bank      ✓ holds                  No transaction failed; 99 % of the calls took at most 57 ms.
      Money     ✓ agrees                 All 1,000 accounts hold what the bank acknowledged.
      Detector  ✗ misses its threshold   100 % scored; 65.1 % of 43 frauds caught ...
      response  p99 57 ms: own queue 3 ms, bank 20 ms, detector 40 ms

      ✗ failed  recall >= 90%            65.1%   at least 90%
      report    reports/20261128-002535/report.html

Colour only adds to the words, and only on a terminal that has not asked for none (NO_COLOR).

A terminal: one line that rewrites itself (a bar, its share, and text), and lengths of time as text.

    ██████████░░░░░░░░░░  43%  2 min 5 s left  recall 81 % of 57  lag 3.1 ms  12.4 TPS  day 1, 14:23

The parts of the text come in the order of their worth: on a narrow terminal the last ones are left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

from banksim.measure.figures import Invariant, Reconciliation
from banksim.measure.formats import THIN, count, duration, money, percent
from banksim.measure.results import Kind, Results, ThresholdRow
from banksim.model.money import to_wire

# -- The comparison of balances in words: for the console, the log and `banksim reconcile` ----------


#: Accounts listed in a text; results.json has more.
LISTED = 20


def exact(amount_cents: int, currency: str) -> str:
    """To the cent, whatever the size: "USD -1234.50"."""
    return f"{currency} {to_wire(amount_cents, currency)}"


def headline(found: Reconciliation | None, currency: str) -> str:
    """One line: the verdict and what it rests on."""
    if found is None:
        return "not checked"
    verdict = found.verdict
    if verdict == "not checked":
        return f"not checked: {found.reason}" if found.reason else "not checked"
    if not found.differing:
        text = f"{verdict}: {found.accounts:,} accounts hold what the bank acknowledged"
    else:
        text = (
            f"differences: {found.differing:,} of {found.accounts:,} accounts, "
            f"{exact(found.gross_cents, currency)} misplaced, "
            f"{exact(found.difference_cents, currency)} in sum ({_faults(found, currency)})"
        )
    if found.tolerated:
        text += f"; {found.tolerated:,} only within movements that were never answered"
    if found.unread:
        text += f"; {found.reason or str(found.unread) + ' accounts could not be read'}"
    return text


def violated(found: Invariant) -> str:
    """One line about the balances that were read while the run went on."""
    text = f"{count(found.readings)} balances read in {count(found.rounds)} rounds while the run went on, "
    text += f"{count(found.violations)} violations" if found.violations else "all agreed"
    return text + (f", {count(found.late)} only at a second look" if found.late else "")


def account_lines(found: Reconciliation, currency: str, most: int = LISTED) -> list[str]:
    """A line for each account that differs, the largest first."""
    rows = found.differences
    lines = []
    for row in rows[:most]:
        low, high = row.expected_low_cents, row.expected_high_cents
        expected = (
            exact(low, currency) if low == high else f"{exact(low, currency)} to {exact(high, currency)}"
        )
        lines.append(
            f"{row.account}  expected {expected}, holds {exact(row.actual_cents, currency)}: "
            f"{exact(row.difference_cents, currency)} {row.fault}"
        )
    if found.differing > len(lines):
        lines.append(f"and {found.differing - len(lines):,} more")
    return lines


def _faults(found: Reconciliation, currency: str) -> str:
    return ", ".join(
        f"{name}: {entry.accounts:,} accounts, {exact(entry.cents, currency)}"
        for name, entry in found.by_fault.items()
    )


_GREEN, _YELLOW, _RED, _DIM, _RESET = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """On a terminal, unless NO_COLOR is set (to anything but nothing) or it is a dumb one."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def print_summary(results: Results, stream: TextIO, environ: Mapping[str, str], page: str = "") -> None:
    """Write the summary to ``stream``; signs it cannot encode are replaced by plain ones."""
    text = summary(results, wants_colour(stream, environ), page)
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for sign in SIGNS.values():
            text = text.replace(f"{sign} ", "")
        text = text.replace(THIN, " ").replace("–", "-")
        text = text.encode(encoding, errors="replace").decode(encoding)
    stream.write(text)
    stream.flush()


SIGNS: dict[Kind, str] = {"pass": "✓", "warn": "!", "fail": "✗", "none": "–"}
_COLOURS: dict[Kind, str] = {"pass": _GREEN, "warn": _YELLOW, "fail": _RED, "none": _DIM}


def summary(results: Results, colour: bool = False, page: str = "") -> str:
    """The whole text, ending in a line break.  ``page``: where the report is."""
    run, verdict = results.run, results.verdict
    overall = _painted(f"{SIGNS[verdict.kind]} {verdict.overall}", verdict.kind, colour)
    took = f"{duration(run.wall_s)}, {run.end}"
    lines = ["", f"{overall}  {run.scenario.title or run.scenario.name}: {verdict.sentence}  ({took})", ""]
    wide = max(len(word.word) for word in verdict.words)
    for word in verdict.words:
        shown = _painted(f"{SIGNS[word.kind]} {word.word:<{wide}}", word.kind, colour)
        lines.append(f"  {word.subject:<9} {shown}  {word.sentence}")
    response = next(tile for tile in results.tiles if tile.key == "response")
    lines.append(f"  response  p99 {response.value}: {response.note}")
    found = results.detection
    if found.tried_cents:
        tried, stopped, lost, in_reach = (
            money(cents, run.currency)
            for cents in (found.tried_cents, found.stopped_cents, found.lost_cents, found.in_reach_cents)
        )
        lines.append(
            f"  fraud     {tried} tried, {stopped} stopped, {lost} lost; {in_reach} in reach at the first "
            f"alerts; recall on harm {percent(found.harm_recall)} of {found.harm:,}"
        )
    if (contest := results.contest) is not None:
        lines.append(
            f"  rinha     {contest.points:,.2f} points by the contest's rules: {contest.latency_points:,.2f} "
            f"for p99 {contest.p99_ms:.2f} ms, {contest.detection_points:,.2f} for "
            f"{contest.false_positives} FP, {contest.false_negatives} FN, {contest.errors} errors "
            f"of {count(contest.asked)}"
        )
    if results.invariant is not None:
        lines.append(f"  invariant {violated(results.invariant)}")
    if results.thresholds:
        lines += ["", *_table(results.thresholds, colour)]
    lines += [f"  report    {page}"] if page else []
    return "\n".join([*lines, "", ""])


def _table(rows: Sequence[ThresholdRow], colour: bool) -> list[str]:
    columns = [
        [row.expression for row in rows],
        [row.measured for row in rows],
        [row.bound for row in rows],
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row, *cells in zip(rows, *columns, strict=True):
        padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        kind: Kind = "pass" if row.passed else "fail"
        sign = _painted(f"{SIGNS[kind]} {'passed' if row.passed else 'failed'}", kind, colour)
        lines.append(f"  {sign}  {padded}".rstrip())
        if row.reason and row.reason != f"measured {row.measured}, expected {row.bound}":
            lines.append(_painted(f"            {row.reason}", "none", colour))
    return lines


def _painted(text: str, kind: Kind, colour: bool) -> str:
    return f"{_COLOURS[kind]}{text}{_RESET}" if colour else text


BAR_WIDTH = 20

CLEAR = "\r\x1b[K"
_CYAN, _PLAIN = "\x1b[36m", "\x1b[0m"


def can_rewrite(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and environ.get("TERM") != "dumb"


def bar(share: float) -> str:
    """BAR_WIDTH signs, of which ``share`` (0..1) are full."""
    full = round(BAR_WIDTH * min(1.0, max(0.0, share)))
    return "█" * full + "░" * (BAR_WIDTH - full)


def length_text(length_s: float) -> str:
    """Wall time: "14 min 24 s", "2 h 5 min", "0.9 s"."""
    if length_s < 60:
        return f"{length_s:.3g} s"
    total_s = round(length_s)
    if total_s < 3600:
        return f"{total_s // 60} min {total_s % 60} s" if total_s % 60 else f"{total_s // 60} min"
    minutes = round(length_s / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


class Line:
    """The line on one terminal."""

    def __init__(self, stream: TextIO, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._drawn = False
        self._gone = False

    def draw(self, share: float, parts: Sequence[str]) -> None:
        width = shutil.get_terminal_size().columns - 1
        drawn = f"{_CYAN}{bar(share)}{_PLAIN}" if self._colour else bar(share)
        text = f" {share:4.0%}"
        for part in parts:
            if BAR_WIDTH + len(text) + 2 + len(part) > width:
                break
            text += f"  {part}"
        self._write(f"{CLEAR}{drawn}{text}")
        self._drawn = True

    def clear(self, anyway: bool = False) -> None:
        """Take the line away, if it is there; ``anyway``: another process may have drawn one."""
        if self._drawn or anyway:
            self._write(CLEAR)
            self._drawn = False

    def _write(self, text: str) -> None:
        if self._gone:
            return
        encoding = getattr(self._stream, "encoding", None) or "ascii"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.replace("█", "#").replace("░", ".").encode(encoding, "replace").decode(encoding)
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal has gone away; the program goes on
            self._gone = True
