"""Runs recorded by record.py, as typed results."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

from banksim.measure.results import Results, decode

NAMES = (
    "calm",
    "slow_bank",
    "hung_detector",
    "frozen_generator",
    "interrupted",
    "failed_threshold",
    "money_differs",
    "outage",
    "capacity",
    "two_workers",
)


@cache
def recorded(name: str) -> Results:
    """The results of one of ``NAMES``."""
    packed = (Path(__file__).parent / f"{name}.json.gz").read_bytes()
    return decode(Results, json.loads(gzip.decompress(packed)))
