"""The end of a run on a terminal: how it went in a few figures, then one table of thresholds.

    Fraud attack: completed in 14.4 s, 2 of 3 thresholds passed

      ✓ passed  recall >= 90%            94.2%   at least 90%
      ✗ failed  errors < 5% for 30s      11%     less than 5%
                measured 11%, expected less than 5% for 30 s, 74 s into the run

Colour only adds to the words, and only on a terminal that has not asked for none (NO_COLOR).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from banksim.model.money import to_wire
from banksim.report.formats import THIN, count, duration, interval, milliseconds, percent, rate
from banksim.report.story import FEW_POSITIVES

# -- The comparison of balances in words: for the console, the log and `banksim reconcile` ----------


#: Accounts listed in a text; results.json has more.
LISTED = 20


def exact(amount_cents: int, currency: str) -> str:
    """To the cent, whatever the size: "USD -1234.50"."""
    return f"{currency} {to_wire(amount_cents, currency)}"


def headline(found: Mapping[str, Any] | None, currency: str) -> str:
    """One line: the verdict and what it rests on."""
    if found is None:
        return "not checked"
    verdict = found["verdict"]
    if verdict == "not checked":
        return f"not checked: {found['reason']}" if found["reason"] else "not checked"
    if verdict == "balanced":
        text = f"balanced: {found['accounts']:,} accounts hold what the bank acknowledged"
    else:
        text = (
            f"differences: {found['differing']:,} of {found['accounts']:,} accounts, "
            f"{exact(found['difference_cents'], currency)} in sum ({_faults(found, currency)})"
        )
    if found["tolerated"]:
        text += f"; {found['tolerated']:,} only within movements that were never answered"
    if found["unread"]:
        text += f"; {found['reason'] or str(found['unread']) + ' accounts could not be read'}"
    return text


def violated(found: Mapping[str, Any]) -> str:
    """One line about the balances that were read while the run went on."""
    text = f"{found['readings']:,} balances read in {found['rounds']:,} rounds while the run went on, "
    text += f"{found['violations']:,} violations" if found["violations"] else "all agreed"
    return text + (f", {found['late']:,} only at a second look" if found["late"] else "")


def account_lines(found: Mapping[str, Any], currency: str, most: int = LISTED) -> list[str]:
    """A line for each account that differs, the largest first."""
    rows = found["differences"]
    lines = []
    for row in rows[:most]:
        low, high = row["expected_low_cents"], row["expected_high_cents"]
        expected = (
            exact(low, currency) if low == high else f"{exact(low, currency)} to {exact(high, currency)}"
        )
        lines.append(
            f"{row['account']}  expected {expected}, holds {exact(row['actual_cents'], currency)}: "
            f"{exact(row['difference_cents'], currency)} {row['fault']}"
        )
    if found["differing"] > len(lines):
        lines.append(f"and {found['differing'] - len(lines):,} more")
    return lines


def _faults(found: Mapping[str, Any], currency: str) -> str:
    return ", ".join(
        f"{name}: {entry['accounts']:,} accounts, {exact(entry['cents'], currency)}"
        for name, entry in found["by_fault"].items()
    )


_GREEN, _RED, _DIM, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """On a terminal, unless NO_COLOR is set (to anything but nothing) or it is a dumb one."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def print_summary(results: Mapping[str, Any], stream: TextIO, environ: Mapping[str, str]) -> None:
    """Write the summary to ``stream``; signs it cannot encode are replaced by plain ones."""
    text = summary(results, wants_colour(stream, environ))
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("✓ ", "").replace("✗ ", "").replace(THIN, " ").replace("–", "-")
        text = text.encode(encoding, errors="replace").decode(encoding)
    stream.write(text)
    stream.flush()


def summary(results: Mapping[str, Any], colour: bool = False) -> str:
    """The whole text, ending in a line break."""
    rows = results["thresholds"]
    run = results["run"]
    title = f"{run['scenario'].get('title') or run['scenario']['name']}: {run['end']}"
    title += f" in {duration(run['wall_s'])}"
    if rows:
        title += f", {sum(row['passed'] for row in rows)} of {len(rows)} thresholds passed"
    lines = ["", title, "", *_figures(results)]
    if rows:
        lines += ["", *_table(rows, colour)]
    return "\n".join([*lines, "", ""])


def _figures(results: Mapping[str, Any]) -> list[str]:
    sent, found = results["transactions"], results["detection"]
    lost = sent["failed"] + sent["unknown"]
    response = results["latency_ms"]["response"]
    pairs = [
        (
            "transactions",
            f"{count(sent['sent'])} sent at {rate(results['rate']['achieved_tps'])}, "
            f"{count(lost)} failed or unanswered, {count(sent['dropped'])} dropped",
        ),
        ("response", f"p50 {milliseconds(response['p50'])}, p99 {milliseconds(response['p99'])}"),
        ("recall", _recall(found)),
        ("false alerts", f"{percent(found['false_positive_rate'])} of honest transactions"),
        *((("invariant", violated(results["invariant"])),) if results.get("invariant") else ()),
        ("balances", headline(results["reconciliation"], results["run"].get("currency", "USD"))),
    ]
    return [f"  {name:<13} {text}" for name, text in pairs]


def _recall(found: Mapping[str, Any]) -> str:
    positives = found["confusion"]["tp"] + found["confusion"]["fn"]
    text = f"{percent(found['recall'])} of {count(positives)} frauds"
    if 0 < positives < FEW_POSITIVES:
        text += f" (95{THIN}% interval {interval(found['recall_low'], found['recall_high'])})"
    return text


def _table(rows: Sequence[Mapping[str, Any]], colour: bool) -> list[str]:
    columns = [
        [str(row["expression"]) for row in rows],
        [str(row.get("measured") or row["value"]) for row in rows],
        [str(row.get("bound") or "") for row in rows],
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row, *cells in zip(rows, *columns, strict=True):
        word = "✓ passed" if row["passed"] else "✗ failed"
        padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        sign = _painted(word, _GREEN if row["passed"] else _RED, colour)
        lines.append(f"  {sign}  {padded}".rstrip())
        if (
            row.get("reason")
            and row["reason"] != f"measured {row.get('measured')}, expected {row.get('bound')}"
        ):
            lines.append(_painted(f"            {row['reason']}", _DIM, colour))
    return lines


def _painted(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{_RESET}" if colour else text
