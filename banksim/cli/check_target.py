"""`banksim check-target`: one customer's life at a system, call by call: sent, got, understood.

What a mapping gets wrong shows here before any load does.  The life is fixed: opened, salary in,
cash out, a purchase, a transfer to a second customer, a purchase beyond the balance, and the balance
read back; a detector is asked about the same transactions.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from banksim.model import AccountRef, BankStatus, Channel, ExitCode, Kind, Merchant, Transaction
from banksim.scenario import load_scenario
from banksim.scenario.targets import Target, TargetsBlock
from banksim.targets import ClientSettings, Targets, http_targets
from banksim.targets.bastion import is_usable
from banksim.targets.calls import Relay, Reply, Request, failure_text
from banksim.targets.connect import role_of
from banksim.world import World

#: Characters of a body that are shown.
SHOWN = 400
START_S = 1_767_625_200.0  # a Monday in January 2026, 15:00


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target",
        default="",
        metavar="NAME|FILE",
        help="a shipped mapping, a mapping file, or FILE.py:CLASS",
    )
    parser.add_argument("--url", required=True, help="address of the system")
    parser.add_argument(
        "--role",
        choices=["bank", "detector"],
        help="what it is; needed only for FILE.py:CLASS and no --target",
    )
    parser.add_argument(
        "--scenario", metavar="FILE", help="take the door (headers, certificates) from its targets"
    )


class Shown(Relay):
    """Prints each call."""

    def send(self, request: Request) -> Reply:
        body = request.body
        text = (
            body.decode("utf-8", "replace") if isinstance(body, bytes) else "" if body is None else str(body)
        )
        print(f"  sent  {request.method} {request.path} {text[:SHOWN]}".rstrip())
        reply = self._transport.send(request)
        said = str(reply.data)[:SHOWN] if reply.data is not None and not reply.error else failure_text(reply)
        print(f"  got   {reply.status or 'nothing'} in {reply.latency_ms:.1f} ms: {said}")
        return reply


def run(options: argparse.Namespace) -> int:
    """Exit code 0 when every answer was understood, else 1.  Raises UsageError for what cannot be right."""
    base, block = Path(), None
    if options.scenario:
        scenario = load_scenario(options.scenario, {}, {})
        base = scenario.source_path.parent if scenario.source_path else base
        block = scenario.targets
    name = options.target
    if Path(name.partition(":")[0]).is_file():
        name = str(Path(name).resolve())
    role = options.role or role_of(name)
    target = (getattr(block, role) if block is not None else None) or Target()
    blocks = TargetsBlock(**{role: target.model_copy(update={"adapter": name} if name else {})})
    world = World.from_scenario(load_scenario("normal_day", {"customers": 2}, {}), 1)
    settings = ClientSettings(
        seed=1,
        account_prefix=f"CHECK{abs(hash(object())) % 10**8}",
        max_retries=0,
        timeout_s=35.0,
        blocks=blocks,
        base=base,
        home_of=lambda index: world.population.customer(index).home,
    )
    targets = http_targets(
        options.url if role == "bank" else "", options.url if role == "detector" else "", settings
    )
    for client in (targets.bank, targets.detector):
        if client is not None:
            client.transport = Shown(client.transport)
    try:
        wrong = _live(targets, world)
    finally:
        targets.close()
    print("Everything was understood." if not wrong else f"{wrong} answers were not understood as expected.")
    return int(ExitCode.COMPLETED if not wrong else ExitCode.ERROR)


def _life(world: World) -> list[tuple[Transaction, BankStatus]]:
    customer = world.population.customer(0)
    shop = Merchant("m-check", "Corner shop", "5411", "grocery", customer.home)
    first = Transaction(
        transaction_id="",
        kind=Kind.SALARY,
        account=AccountRef(0),
        amount_cents=250_000,
        currency=world.currency,
        channel=Channel.ACH,
        timestamp_s=START_S,
        place=customer.home,
        device_id=customer.devices[0],
        description="Salary",
    )
    steps: tuple[tuple[dict[str, Any], BankStatus], ...] = (
        ({}, BankStatus.POSTED),
        ({"kind": Kind.WITHDRAWAL, "amount_cents": 8_000, "channel": Channel.ATM}, BankStatus.POSTED),
        ({"kind": Kind.PURCHASE, "amount_cents": 1_999, "merchant": shop}, BankStatus.POSTED),
        ({"kind": Kind.TRANSFER, "amount_cents": 5_000, "counterparty": AccountRef(1)}, BankStatus.POSTED),
        ({"kind": Kind.PURCHASE, "amount_cents": 900_000_000, "merchant": shop}, BankStatus.REFUSED),
    )
    stamp = abs(hash(object())) % 10**8
    return [
        (
            replace(
                first,
                **{"channel": Channel.POS, "description": str(changes.get("kind", "salary")), **changes},
                transaction_id=f"check-{stamp}-{number}",
                timestamp_s=START_S + 600.0 * number,
            ),
            expected,
        )
        for number, (changes, expected) in enumerate(steps)
    ]


def _live(targets: Targets, world: World) -> int:
    wrong = 0

    def understood(what: str, good: bool, text: str) -> None:
        nonlocal wrong
        wrong += not good
        print(f"  {'understood' if good else 'NOT AS EXPECTED'}  {what}: {text}\n")

    health = targets.health()[0]
    understood("health", health.ok, health.detail or "well")
    bank = targets.bank
    if bank is not None:
        for index in range(2):
            customer = world.population.customer(index)
            print(f"{customer.display_name} is opened:")
            bank.open_customer(customer)
            ids = ", ".join(
                account_id for ref, account_id in bank.directory.accounts() if ref.customer_index == index
            )
            understood("opened", True, f"account {ids}")
        account_id = bank.directory.account_id(AccountRef(0)) or ""
        before = bank.read_balance(account_id).cents
    expected_cents = 0
    for tx, expected in _life(world):
        print(f"{tx.description}, {tx.amount_cents / 100:,.2f} {tx.currency}:")
        if bank is not None:
            reply = bank.post(tx)
            expected_cents += (tx.amount_cents if tx.kind is Kind.SALARY else -tx.amount_cents) * (
                reply.status is BankStatus.POSTED
            )
            text = f"{reply.status} {reply.detail}".strip()
            understood("bank", reply.status is expected, f"{text} (expected {expected})")
        if targets.detector is not None:
            score = targets.detector.score(tx)
            understood(
                "detector", is_usable(score), score.error or f"{score.decision}, score {score.score:.3f}"
            )
    if bank is not None:
        print("The balance at the end:")
        now = bank.read_balance(account_id)
        if now.cents is None or before is None:
            understood("balance", bank.adapter.balance(account_id) is None, now.error)
        else:
            moved = now.cents - before
            good = moved == expected_cents
            understood("balance", good, f"moved by {moved / 100:,.2f}, expected {expected_cents / 100:,.2f}")
    return wrong
