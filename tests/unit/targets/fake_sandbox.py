"""Stands in for the stand-ins: a child process that behaves as its last argument says."""

from __future__ import annotations

import signal
import sys
import time

if __name__ == "__main__":
    how = sys.argv[-1]
    print("starting with", *sys.argv[1:-1], flush=True)
    if how == "fails":
        print("the port is taken", flush=True)
        sys.exit(3)
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how != "silent":
        print("bank listening on http://127.0.0.1:4001", flush=True)
        print("detector listening on http://127.0.0.1:4002", flush=True)
    if how == "chatty":
        print("x" * 200_000, flush=True)  # more than a pipe holds
        print("done talking", flush=True)
    time.sleep(60)
