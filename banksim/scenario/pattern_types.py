"""Names of the kinds of fraud a scenario may ask for.

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
    "mule_network",
    "structuring",
)

#: Other words for the same thing, as scenario files use them.
PATTERN_ALIASES: dict[str, str] = {
    "small_probes": "card_testing",
    "money_laundering": "mule_network",
}


def canonical_type(name: str) -> str:
    """The name the fraud room knows: ``canonical_type("small_probes") == "card_testing"``."""
    return PATTERN_ALIASES.get(name, name)
