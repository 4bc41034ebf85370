"""CPU work beside the event loop, in gevent's pool of native threads.

gevent prints the traceback of whatever a thread raises, also when the caller handles it;
a full disk would then look like a crash.  So errors travel back as values and are raised
here, where they belong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent

Result = TypeVar("Result")


def in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a native thread while other greenlets go on; returns or raises what it does.

    ``work`` must not touch anything of gevent's.
    """

    def guarded() -> tuple[Result | None, BaseException | None]:
        try:
            return work(), None
        except Exception as error:
            return None, error

    result, error = gevent.get_hub().threadpool.apply(guarded)
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]
