"""Labelled data sets: a scenario as files, without a target.

A data set is driven by the same world, activity and fraud as a live run; only the bank's
answers come from one simple rule (`bank`).  This room knows nothing of engine, load or
systems.
"""

from banksim.dataset.stream import Entry, Stream
