"""Counts that add up: latency, detection, the tally, the timeline and the books."""

from banksim.measure.books import ExpectedBalances
from banksim.measure.comparison import compare
from banksim.measure.counts import Fate, Tally, fate_of
from banksim.measure.detection import DEFAULT_PREVALENCE, Detection
from banksim.measure.latency import LatencyHistogram
from banksim.measure.measures import Measures, MeasureSettings, Roster
from banksim.measure.scores import share, wilson
from banksim.measure.timeline import Timeline
