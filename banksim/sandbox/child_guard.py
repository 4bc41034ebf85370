"""Runs a module as a child that never outlives its parent.

    python -m banksim.sandbox.child_guard MODULE [ARGUMENT…]

The child's standard input is a pipe whose other end only the parent holds.  When the
parent ends, for whatever reason, the pipe closes, a thread here notices, and the child
sends itself SIGTERM, then exits.  Unlike the kernel's parent-death signal this works on every
system and needs no code between fork and exec.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

GRACE_S = 3.0


def watch_parent(descriptor: int = 0, grace_s: float = GRACE_S) -> None:
    """Read until the end of file, then end this process: with SIGTERM, after ``grace_s`` at once."""
    try:
        while os.read(descriptor, 1024):
            pass
    except OSError:
        pass  # the descriptor is gone, which means the same
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os._exit(1)


def main(argv: list[str]) -> None:
    """``argv``: the module to run, then its arguments."""
    threading.Thread(target=watch_parent, daemon=True).start()
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
