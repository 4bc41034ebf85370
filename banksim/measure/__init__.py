"""Counts that add up: latency, detection, the tally, the timeline and the books."""

from banksim.measure.detection import DEFAULT_PREVALENCE, Detection
from banksim.measure.intervals import share, wilson
from banksim.measure.latency import LatencyHistogram
from banksim.measure.measures import Measures, MeasureSettings
from banksim.measure.reconciliation import Books, compare
from banksim.measure.roster import Roster
from banksim.measure.tally import Fate, Tally, fate_of
from banksim.measure.timeline import Timeline

__all__ = [
    "DEFAULT_PREVALENCE",
    "Books",
    "Detection",
    "Fate",
    "LatencyHistogram",
    "MeasureSettings",
    "Measures",
    "Roster",
    "Tally",
    "Timeline",
    "compare",
    "fate_of",
    "share",
    "wilson",
]
