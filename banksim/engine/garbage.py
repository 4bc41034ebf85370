"""Fewer collections of cyclic garbage while a run is under way.

Python looks for cycles after every 700 new containers, and now and then through everything
there is.  A transaction makes some fifty containers and no cycle, so under load a seventh
of the CPU went into looking (measured, see docs/performance.md).  While a run is under way
what was built for it is left alone, and the looks are rare; they are not given up, since
greenlets that fail do leave cycles.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New containers between two looks at the young ones; a look at this many takes some milliseconds.
YOUNG = 50_000
#: Looks at one generation before the next older one is looked at too.
OLDER = 20


@contextmanager
def rare_collections() -> Iterator[None]:
    """Inside, what exists now is not looked at, and new objects are looked at rarely."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
