"""The business event that everything here is about, and what the bank and the detector answered to it.

A `Transaction` says who moves how much money, how and when.  It knows nothing of fraud: its `Truth` travels
beside it in a `Planned` and is never handed to a client, so no wire format can leak it.  Customers and
accounts are named by their place in the population (index, account slot); the clients translate that to
the bank's own ids.

An `Outcome` may be *unknown*: a money movement whose answer never came may or may not have been booked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar, dataclass_transform

# -- Ground truth: fixed before a transaction is sent, never on the wire ----------------------------


class Label(StrEnum):
    """Fraud, genuine, or a decoy: genuine behaviour that looks like fraud (counts as genuine)."""

    GENUINE = "genuine"
    FRAUD = "fraud"
    DECOY = "decoy"


class FraudStage(StrEnum):
    """What a step of a fraud does.  Money is lost by steps before laundering, once."""

    NONE = ""  # not fraud
    PREPARATION = "preparation"  # a probe, a trust payment, the history of a false identity
    HARM = "harm"  # takes money from a victim or the bank
    LAUNDERING = "laundering"  # moves money that is gone already, or criminals' own


#: Whose own money it is when an invented person lives like a good customer: nobody loses by it.
INVENTED = "invented customer"


@dataclass(frozen=True, slots=True)
class Truth:
    """What only the simulator knows about a transaction.

    ``typology`` is the fraud's (or decoy's) name, empty for genuine ones; ``campaign_id``
    groups the transactions of one attack; ``role`` says whose transaction it is
    ("victim", "mule", "attacker", …); ``persona`` is the account holder's.  ``stage`` is what
    a step of a fraud does.
    """

    label: Label
    persona: str
    typology: str = ""
    campaign_id: str = ""
    role: str = ""
    stage: FraudStage = FraudStage.NONE

    @property
    def is_fraud(self) -> bool:
        return self.label is Label.FRAUD


# -- Records: frozen to the type checker, plain to the interpreter ----------------------------------
#
# A frozen dataclass sets each field by a call, so one of twelve fields takes four times as long
# to make as a plain one, and a transaction is made, answered and counted some thousand times
# a second.  Nobody may change one all the same: mypy sees these as frozen.


Record = TypeVar("Record")


@dataclass_transform(frozen_default=True)
def record(cls: type[Record]) -> type[Record]:
    """A dataclass with slots that is equal and hashed by value.  No field may be set afterwards."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


class Kind(StrEnum):
    """What a transaction is, in the words of the event schema."""

    PURCHASE = "purchase"
    WITHDRAWAL = "withdrawal"
    DEPOSIT = "deposit"
    SALARY = "salary"
    TRANSFER = "transfer"
    BILL_PAYMENT = "bill_payment"


#: Kinds that put money into the customer's account; every other kind takes it out.
CREDIT_KINDS = frozenset({Kind.DEPOSIT, Kind.SALARY})


class Channel(StrEnum):
    """Where the customer was standing.  The core bank knows fewer words; its client maps them."""

    POS = "pos"
    WEB = "web"
    ATM = "atm"
    BRANCH = "branch"
    ONLINE = "online"
    MOBILE = "mobile"
    WIRE = "wire"
    ACH = "ach"


class Decline(StrEnum):
    """Why a genuine payment is refused, as it was planned; in words that `refusal_reason` knows."""

    NONE = ""
    FUNDS = "insufficient funds"
    LIMIT = "over the limit"  # more than the customer's tier may pay at once
    WRONG_PIN = "wrong PIN"
    EXPIRED_CARD = "expired card"


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the map: degrees, city and two-letter country."""

    city: str
    country: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Merchant:
    """A shop: its id, display name, ISO 18245 category code, category word, and place."""

    merchant_id: str
    name: str
    category_code: str
    category: str
    place: Place


@record
class AccountRef:
    """One account of one customer: population index and account slot (0 is the main one)."""

    customer_index: int
    slot: int = 0


@record
class Transaction:
    """One business event, before it is sent.

    ``timestamp_s`` is the intended *simulated* moment in unix seconds; waiting for an
    answer may delay the send, never this.  ``account`` is the payer (the payee for
    credit kinds), ``counterparty`` the other account of a transfer.  ``card_check`` is what the card
    system in front of a core bank finds wrong: ``WRONG_PIN``, ``EXPIRED_CARD``, or NONE.
    """

    transaction_id: str
    kind: Kind
    account: AccountRef
    amount_cents: int
    currency: str
    channel: Channel
    timestamp_s: float
    place: Place
    device_id: str
    description: str
    counterparty: AccountRef | None = None
    merchant: Merchant | None = None
    card_check: Decline = Decline.NONE


@record
class Planned:
    """A transaction with its ground truth, and its moment in seconds since the run's start."""

    transaction: Transaction
    truth: Truth
    sim_s: float

    @property
    def loss_cents(self) -> int:
        """What a victim or the bank loses by it, if it is booked: 0 for laundering and for money paid in."""
        stage, tx = self.truth.stage, self.transaction
        if stage is FraudStage.NONE or stage is FraudStage.LAUNDERING or tx.kind in CREDIT_KINDS:
            return 0
        return 0 if self.truth.role == INVENTED else tx.amount_cents


class BankStatus(StrEnum):
    """What became of the posting."""

    POSTED = "posted"
    REFUSED = "refused"  # a business answer: insufficient funds, blocked by a rule
    FAILED = "failed"  # an error: nothing was booked
    UNKNOWN = "unknown"  # no answer: it may have been booked
    SKIPPED = "skipped"  # not sent: no bank, or declined before posting


class LocalLimit(StrEnum):
    """What the load generator itself ran out of.  It says nothing about the system under test."""

    FILES = "this machine is out of file descriptors"
    PORTS = "this machine is out of ports"
    MEMORY = "this machine is out of memory for connections"
    RESOLVER = "this machine's name resolver does not answer"


class Decision(StrEnum):
    """The detector's word, in ours.  NONE means nobody scored: shown as "n/a"."""

    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"
    NONE = "n/a"

    @property
    def is_alert(self) -> bool:
        return self in (Decision.REVIEW, Decision.BLOCK)


@record
class BankReply:
    """One posting's answer.  ``detail`` is the refusal or error text, empty when posted.

    ``limit`` is set when it was not sent because the load generator ran out of something.
    """

    status: BankStatus
    detail: str = ""
    latency_ms: float = 0.0
    limit: LocalLimit | None = None


@record
class ScoreReply:
    """One score.  ``score`` is 0..1, None when there was no usable answer (then ``error`` says why).

    ``limit`` is set when it was not asked for because the load generator ran out of something.
    """

    score: float | None
    decision: Decision
    reasons: tuple[str, ...] = ()
    latency_ms: float = 0.0
    error: str = ""
    limit: LocalLimit | None = None


NOT_SENT = BankReply(BankStatus.SKIPPED)
NOT_SCORED = ScoreReply(None, Decision.NONE)


@record
class Outcome:
    """Both answers and the three times, in milliseconds of wall time.

    ``lag_ms`` runs from the intended start to the actual one, ``service_ms`` from the
    actual start to the last answer; their sum is the response time.
    """

    bank: BankReply
    detector: ScoreReply
    lag_ms: float
    service_ms: float

    @property
    def limit(self) -> LocalLimit | None:
        """What the load generator ran out of while it sent this; None when it did not."""
        return self.bank.limit or self.detector.limit

    @property
    def response_ms(self) -> float:
        return self.lag_ms + self.service_ms

    @property
    def stopped_by_bank(self) -> bool:
        """Whether the bank refused by fraud rules of its own, or of a detector that it asks by itself."""
        return self.bank.status is BankStatus.REFUSED and refusal_reason(self.bank.detail) == "fraud"

    @property
    def alert(self) -> bool:
        """Whether somebody objected: the detector, or the bank by fraud rules.  Once, if both did."""
        return self.detector.decision.is_alert or self.stopped_by_bank

    @property
    def approved(self) -> bool:
        """True when, as far as the sender can tell, the money moved and nobody objected."""
        if self.detector.decision is Decision.BLOCK:
            return False
        return self.bank.status in (BankStatus.POSTED, BankStatus.SKIPPED)


class At(NamedTuple):
    """A moment of a run: wall and simulated seconds since simulated time began."""

    wall_s: float
    sim_s: float


class Ended(NamedTuple):
    """A transaction that was sent, and what came of it."""

    planned: Planned
    outcome: Outcome


#: Words of a refusal by which its reason is known where no mapping names it; the first that fits.
_REASON_WORDS = {
    "fraud": ("fraud",),
    "funds": ("funds", "balance", "overdraft"),
    "compliance": ("compliance", "kyc", "sanction", "aml"),
    "limit": ("limit", "maximum"),
    "card": ("wrong pin", "expired card"),
}


def refusal_reason(detail: str) -> str:
    """Why a bank refused: a key of `_REASON_WORDS` or other; a mapping's own word leads the text."""
    named, colon, _ = detail.partition(":")
    if colon and named in (*_REASON_WORDS, "other"):
        return named
    text = detail.lower()
    return next(
        (reason for reason, words in _REASON_WORDS.items() if any(word in text for word in words)), "other"
    )
