"""The comparison of balances in words: for the console, the log and `banksim reconcile`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banksim.domain.money import to_wire

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
