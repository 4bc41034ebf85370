"""Names of the kinds of fraud a scenario may ask for.

Decoys have none here: they are no fraud, and `fraud.decoy_rate` alone says how many there are.

The names live here because a scenario is checked before any fraud code is loaded.  A
file of the user's own, named under `plugins:`, may add kinds; with plugins an unknown
name is therefore left for the fraud room to judge.
"""

from __future__ import annotations

KNOWN_PATTERN_TYPES: tuple[str, ...] = (
    "card_testing",
    "account_takeover",
    "velocity_attack",
    "large_amount",
    "unusual_location",
    "online_fraud",
    "identity_theft",
    "synthetic_identity",
    "mule_network",
    "layering",
    "structuring",
    "smurfing",
    "app_scam",
    "fan_in",
    "fan_out",
    "cycle",
    "scatter_gather",
    "gather_scatter",
    "bipartite",
    "stack",
)

#: Other words for the same thing, as scenario files use them.
PATTERN_ALIASES: dict[str, str] = {
    "small_probes": "card_testing",
    "money_laundering": "mule_network",
    "bust_out": "synthetic_identity",
    "push_payment_scam": "app_scam",
}


def canonical_type(name: str) -> str:
    """The name the fraud room knows: ``canonical_type("small_probes") == "card_testing"``."""
    return PATTERN_ALIASES.get(name, name)
