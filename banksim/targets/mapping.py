"""A system described by a mapping file: requests built of named fields, answers read by tables.

    kind: detector
    name: My detector
    score: {post: /score, body: {id: "{reference}", amount: "{amount_units}"}}
    answer: {score: risk, decision: verdict, words: {ok: approve, stop: block}}

The file is checked as a whole before anything is sent; every mistake names file, line, field and what
was expected.  The compiled adapter does no more per call than the built-in ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gevent.lock import BoundedSemaphore
from pydantic import ValidationError

from banksim.model import (
    AccountRef,
    BankStatus,
    Channel,
    Kind,
    ScenarioError,
    ScoreReply,
    Transaction,
)
from banksim.model.money import from_wire
from banksim.scenario.errors import Problem, problems_of, read_yaml
from banksim.targets.adapters import BalanceReply, Names, Opening, Verdict
from banksim.targets.bastion import is_usable
from banksim.targets.calls import HEALTH, Reply, Request, detail_of, failure_text
from banksim.targets.fields import (
    FIELDS,
    HISTORY_FIELDS,
    Body,
    Get,
    History,
    Scope,
    Text,
    UnknownField,
    names_used,
)
from banksim.targets.mapping_format import (
    BankMapping,
    CallBlock,
    CompletionBlock,
    DetectorMapping,
    RuleBlock,
    Rules,
    ScoreReader,
    StepBlock,
    System,
    id_in,
    statuses,
    walk,
)
from banksim.targets.nexum_wire import movement_of
from banksim.world import Customer


class _Wrong(Exception):
    """A mistake that only compiling finds."""

    def __init__(self, path: Sequence[str | int], text: str) -> None:
        self.path = tuple(path)
        super().__init__(text)


# -- Compiled parts ---------------------------------------------------------------------------------------


class _Call:
    def __init__(self, block: CallBlock, fields: Mapping[str, Get], where: Sequence[str | int]) -> None:
        self.block = block
        self.method = block.method.upper()
        try:
            key: str | int = block.method
            self._path = Text(block.path, fields, quoted=True)
            key = "headers"
            self._headers = [(name, Text(text, fields)) for name, text in block.headers.items()]
            key = "body"
            self.body = Body(block.body, fields) if block.body is not None else None
        except UnknownField as error:
            raise _Wrong((*where, key), str(error)) from None
        self.expected = statuses(block.expect)

    def request(self, scope: Scope, *, repeatable: bool = False) -> Request:
        headers = ""
        if self._headers:
            headers = _ascii("".join(f"{name}: {text.of(scope)}\r\n" for name, text in self._headers))
        body = self.body.of(scope) if self.body is not None else None
        path = self._path.of(scope)
        return Request(self.method, path, self._path.template, body, None, repeatable, None, _ascii(headers))


def _ascii(headers: str) -> str:
    return headers if headers.isascii() else headers.encode("ascii", "replace").decode()


class _Late:
    """How a mapped system completes later."""

    def __init__(self, block: CompletionBlock, name: str) -> None:
        self.block = block
        self.name = name
        self.deadline_s = block.deadline_seconds
        self.every_s = block.every_ms / 1000.0 if block.by == "poll" else 0.0
        where = ("completion",)
        self._poll = (
            _Call(CallBlock(get=block.get), FIELDS["completion"], where) if block.get is not None else None
        )
        self._id_at = walk(block.id_at) if block.id_at else None
        try:
            self._id = Text(block.id, FIELDS["correlation"]) if block.id else None
        except UnknownField as error:
            raise _Wrong((*where, "id"), str(error)) from None
        self._message_id = walk(block.message_id_at) if block.message_id_at else None
        self._before, _, self._after = (block.path or "").partition("{completion_id}")

    def id_of(self, reference: str, reply: Reply) -> str:
        if self._id_at is not None:
            return id_in(self._id_at(reply.data))
        return self._id.of(Scope(completion_id=reference)) if self._id is not None else ""

    def poll(self, awaited: str) -> Request:
        assert self._poll is not None
        return self._poll.request(Scope(completion_id=awaited))

    def awaited_in(self, path: str, data: Any) -> str:
        if self._message_id is not None:
            return id_in(self._message_id(data))
        if path.startswith(self._before) and path.endswith(self._after):
            found = path[len(self._before) : len(path) - len(self._after)]
            return found if "/" not in found else ""
        return ""


# -- The two adapters -------------------------------------------------------------------------------------


class _Mapped:
    """What both have.  The fields that need a run are set by whoever connects."""

    def __init__(self, mapping: System) -> None:
        self.mapping = mapping
        self.name = mapping.name
        self.headers = mapping.headers
        self.run = ""
        self.callback_url = ""
        health = mapping.health
        self._health = _Call(health, FIELDS["completion"], ("health",)) if health is not None else None
        self.healthy = statuses(health.expect) if health is not None else frozenset({200})

    def health(self) -> Request:
        return HEALTH if self._health is None else self._health.request(Scope())


_STATUS = {
    "posted": BankStatus.POSTED,
    "refused": BankStatus.REFUSED,
    "failed": BankStatus.FAILED,
    "unknown": BankStatus.UNKNOWN,
    "accepted": BankStatus.UNKNOWN,  # until its completion says more
}


class MappedBank(_Mapped):
    """A bank out of a mapping file."""

    def __init__(self, mapping: BankMapping) -> None:
        super().__init__(mapping)
        self._mapping = mapping
        self._taken: dict[str, Any] = {}
        self._is_set_up = not mapping.setup
        self._setting_up = BoundedSemaphore(1)
        names = {name for step in _steps(mapping) for name in step.take}
        taken = {name: _taken(name) for name in names}
        opening = FIELDS["open"] | taken
        self._setup = self._compiled("setup", mapping.setup, opening)
        self._customer = self._compiled("open_customer", mapping.open_customer, opening)
        self._account = self._compiled("open_account", mapping.open_account, opening)
        moving = taken | FIELDS["move"]
        self._moves = {}
        for name in ("deposit", "withdraw", "transfer"):
            own: CallBlock | None = getattr(mapping.move, name)
            block = own or mapping.move.any
            assert block is not None  # the format's own check
            self._moves[name] = _Call(block, moving, ("move", name if own else "any"))
        account = FIELDS["account"] | {
            n: get for n, get in taken.items() if n not in ("account_id", "customer_id")
        }
        self.checks_cards = "{card_check" in mapping.move.model_dump_json()
        self._balance = _Call(mapping.balance, account, ("balance",)) if mapping.balance else None
        try:
            self._outside = Text(mapping.outside, FIELDS["move"])
            self._account_id = Text(mapping.account_id, opening | FIELDS["account"])
        except UnknownField as error:
            raise _Wrong(("outside",), str(error)) from None
        self._rules = Rules(mapping.answers)
        self._detail = walk(mapping.detail_at) if mapping.detail_at else None
        self.late: _Late | None = None
        if mapping.completion is not None:
            self.late = _Late(mapping.completion, self._moves["transfer"].block.path)
            self._late_rules = Rules(mapping.completion.answers or mapping.answers)
        elif any(rule.means == "accepted" for rule in mapping.answers):
            raise _Wrong(("answers",), "means: accepted needs a completion block that says how it ends")

    @staticmethod
    def _compiled(
        key: str, steps: Sequence[StepBlock], fields: Mapping[str, Get]
    ) -> list[tuple[_Call, dict[str, Callable[[Any], Any]]]]:
        return [
            (_Call(step, fields, (key, place)), {name: walk(path) for name, path in step.take.items()})
            for place, step in enumerate(steps)
        ]

    def _do(self, steps: Any, scope: Scope, opening: Opening) -> None:
        for call, takes in steps:
            reply = opening.step(call.request(scope), tuple(call.expected))
            for name, read in takes.items():
                found = id_in(read(reply.data))
                if not found:
                    path = call.block.take[name]
                    raise opening.failed(
                        f"The answer to {call.method} {call.block.path} has nothing at {path!r}, from which "
                        f"{name} is taken: {str(reply.data)[:80]!r}"
                    )
                scope.taken = {**(scope.taken or {}), name: found}

    def open(self, customer: Customer, approved: bool, opening: Opening) -> tuple[str, list[str]] | None:
        scope = Scope(self.run, opening.currency, customer, opening.number(0), callback_url=self.callback_url)
        with self._setting_up:
            if not self._is_set_up:
                self._do(self._setup, scope, opening)
                self._taken = dict(scope.taken or {})
                self._is_set_up = True
        scope.taken = dict(self._taken)
        self._do(self._customer, scope, opening)
        if not approved:
            return None
        account_ids: list[str] = []
        customer_id = (scope.taken or {}).get("customer_id") or opening.number(0)
        for slot, spec in enumerate(customer.accounts):
            cents = spec.opening_balance_cents
            mine = replace(
                scope,
                number=opening.number(slot),
                product=spec.product,
                opening_cents=cents,
                account_id=opening.number(slot),
                taken=scope.taken,
            )
            self._do(self._account, mine, opening)
            account_id = (mine.taken or {}).get("account_id") or self._account_id.of(mine)
            account_ids.append(account_id)
            if cents > 0 and self._mapping.opening_balance == "with_account":
                opening.fund(None, account_id, cents)
            elif cents > 0 and self._mapping.opening_balance == "deposit":
                tx = _opening_deposit(customer, slot, cents, opening)
                opening.fund(self._movement(tx, customer_id, account_id), account_id, cents)
        return customer_id, account_ids

    def movement(
        self, tx: Transaction, names: Names, account_id: str, counterparty_id: str | None
    ) -> Request:
        customer_id = names.wire_customer_id(tx.account.customer_index)
        return self._movement(tx, customer_id, account_id, counterparty_id, names)

    def _movement(
        self,
        tx: Transaction,
        customer_id: str,
        account_id: str,
        counterparty_id: str | None = None,
        names: Names | None = None,
    ) -> Request:
        other = tx.counterparty
        scope = Scope(
            self.run,
            tx.currency,
            tx=tx,
            customer_id=customer_id,
            account_id=account_id,
            counterparty_id=counterparty_id,
            counterparty_customer_id=names.wire_customer_id(other.customer_index) if names and other else "",
            callback_url=self.callback_url,
            taken=self._taken,
        )
        scope.outside = self._outside.template if self._outside.fixed else self._outside.of(scope)
        return self._moves[movement_of(tx)].request(scope)

    def judge(self, reply: Reply, reference: str) -> Verdict:
        if reply.status == 0:
            return Verdict(BankStatus.UNKNOWN if reply.sent else BankStatus.FAILED, failure_text(reply))
        rule = None if reply.error and reply.data is None else self._rules.of(reply)
        if rule is None:
            unsure = 200 <= reply.status < 300 or reply.status in (502, 504)
            status = BankStatus.UNKNOWN if unsure else BankStatus.FAILED
            return Verdict(status, f"no rule of the mapping fits: {failure_text(reply)}")
        if rule.means != "accepted" or self.late is None:
            return self._verdict(rule, reply)
        awaited = self.late.id_of(reference, reply)
        if not awaited:
            return Verdict(BankStatus.UNKNOWN, "accepted, without the id that its completion is known by")
        return Verdict(BankStatus.UNKNOWN, "accepted, not completed", awaited)

    def judge_late(self, reply: Reply) -> Verdict | None:
        rule = self._late_rules.of(reply) if reply.status else None
        return None if rule is None or rule.means in ("accepted", "waiting") else self._verdict(rule, reply)

    def _verdict(self, rule: RuleBlock, reply: Reply) -> Verdict:
        if rule.means == "posted":
            return Verdict(BankStatus.POSTED)
        said = self._detail(reply.data) if self._detail is not None else detail_of(reply.data)
        text = (said if isinstance(said, str) else "") or failure_text(reply)
        return Verdict(_STATUS[rule.means], f"{rule.reason}: {text}" if rule.reason else text)

    def balance(self, account_id: str) -> Request | None:
        if self._balance is None:
            return None
        return self._balance.request(Scope(self.run, account_id=account_id, taken=self._taken))

    def read_balance(self, reply: Reply, currency: str) -> BalanceReply:
        block = self._mapping.balance
        assert block is not None
        if block.gone and reply.status in statuses(block.gone):
            return BalanceReply(None, failure_text(reply), gone=True)
        if reply.status not in statuses(block.expect) or reply.error:
            return BalanceReply(None, failure_text(reply))
        stated = walk(block.currency_at)(reply.data) if block.currency_at else currency
        if stated != currency:
            return BalanceReply(None, f"the account is in {stated}, not {currency}")
        value = walk(block.at)(reply.data)
        try:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError
            return BalanceReply(int(value) if block.unit == "cents" else from_wire(str(value), currency))
        except ValueError:
            return BalanceReply(None, f"the answer has no balance at {block.at!r}: {str(reply.data)[:80]!r}")


class MappedDetector(_Mapped):
    """A detector out of a mapping file."""

    is_bastion = False

    def __init__(self, mapping: DetectorMapping) -> None:
        super().__init__(mapping)
        self._mapping = mapping
        fields = FIELDS["score"]
        self._calls = [_Call(call, fields, ("score", place)) for place, call in enumerate(mapping.score)]
        self.uses_history = bool(names_used([call.body for call in mapping.score]) & HISTORY_FIELDS)
        self.history = History()
        self._read = ScoreReader(mapping.answer)
        self.late: _Late | None = None
        if mapping.completion is not None:
            self.late = _Late(mapping.completion, mapping.score[-1].path)
            self._read_late = ScoreReader(mapping.completion.answer or mapping.answer)
        elif mapping.answer.accepted is not None:
            raise _Wrong(("answer", "accepted"), "needs a completion block that says where the verdict comes")

    def score(self, tx: Transaction, names: Names) -> Sequence[Request]:
        counterparty = tx.counterparty
        scope = Scope(
            self.run,
            tx.currency,
            tx=tx,
            customer_id=names.wire_customer_id(tx.account.customer_index),
            account_id=names.wire_account_id(tx.account),
            counterparty_id=names.wire_account_id(counterparty) if counterparty else None,
            outside="world",
            callback_url=self.callback_url,
            history=self.history,
        )
        requests = [call.request(scope, repeatable=True) for call in self._calls]
        if self.uses_history:
            self.history.add(tx)
        return requests

    def read(self, reply: Reply) -> ScoreReply:
        return self._read(reply)

    def awaits(self, reply: Reply, transaction_id: str) -> str:
        accepted = self._mapping.answer.accepted
        if self.late is None or accepted is None or reply.status not in statuses(accepted):
            return ""
        return self.late.id_of(transaction_id, reply)

    def read_late(self, reply: Reply) -> ScoreReply | None:
        found = self._read_late(reply)
        return found if is_usable(found) else None


def _steps(mapping: BankMapping) -> Iterable[StepBlock]:
    return (*mapping.setup, *mapping.open_customer, *mapping.open_account)


def _taken(name: str) -> Get:
    return lambda scope: scope.taken.get(name) if scope.taken else None


def _opening_deposit(customer: Customer, slot: int, cents: int, opening: Opening) -> Transaction:
    return Transaction(
        transaction_id=f"opening-{opening.number(slot)}",
        kind=Kind.DEPOSIT,
        account=AccountRef(customer.index, slot),
        amount_cents=cents,
        currency=opening.currency,
        channel=Channel.BRANCH,
        timestamp_s=0.0,
        place=customer.home,
        device_id="",
        description="Opening balance",
    )


# -- Reading a file -------------------------------------------------------------------------------------


def read_mapping(path: Path) -> MappedBank | MappedDetector:
    """The adapter that a file describes.  Raises ScenarioError with one line per mistake."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ScenarioError([f"{path}: cannot be read: {error.strerror}"]) from None
    document = read_yaml(text)
    problems = list(document.problems)
    data = document.data or {}
    models: dict[str, type[System]] = {"bank": BankMapping, "detector": DetectorMapping}
    model = models.get(str(data.get("kind")))
    adapter: MappedBank | MappedDetector | None = None
    if model is None and not problems:
        problems.append(Problem(("kind",), f"expected bank or detector, got {data.get('kind')!r}"))
    elif model is not None:
        try:
            mapping = model.model_validate(data)
            if isinstance(mapping, BankMapping):
                adapter = MappedBank(mapping)
            elif isinstance(mapping, DetectorMapping):
                adapter = MappedDetector(mapping)
        except ValidationError as error:
            problems += problems_of(error, data, model)
        except _Wrong as error:
            problems.append(Problem(error.path, str(error)))
    if adapter is None or problems:
        lines = []
        for problem in problems:
            line = problem.line or document.line_of(problem.path)
            place = f"{path} line {line}" if line else str(path)
            text_of = problem.text.removeprefix("Value error, ")
            lines.append(f"{problem.where}: {text_of} ({place})" if problem.path else f"{text_of} ({place})")
        raise ScenarioError(lines)
    return adapter
