"""Ground truth: fixed before a transaction is sent, never on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Label(StrEnum):
    """Fraud, genuine, or a decoy: honest behaviour that looks like fraud (counts as genuine)."""

    GENUINE = "genuine"
    FRAUD = "fraud"
    DECOY = "decoy"


@dataclass(frozen=True, slots=True)
class Truth:
    """What only the simulator knows about a transaction.

    ``typology`` is the fraud's (or decoy's) name, empty for genuine ones; ``campaign_id``
    groups the transactions of one attack; ``role`` says whose transaction it is
    ("victim", "mule", "attacker", …); ``persona`` is the account holder's.
    """

    label: Label
    persona: str
    typology: str = ""
    campaign_id: str = ""
    role: str = ""

    @property
    def is_fraud(self) -> bool:
        return self.label is Label.FRAUD
