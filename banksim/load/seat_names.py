"""Which seats a locustfile's users take."""

from __future__ import annotations

from collections.abc import Iterable


def seat_names(user_classes: Iterable[type]) -> set[str]:
    """The seats of those classes that have one; users that are none of ours have none."""
    return {seat for cls in user_classes if (seat := getattr(cls, "seat", None))}
