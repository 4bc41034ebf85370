"""One run in one process: wires world, activity, fraud, targets and measures together.

Knows gevent, because it waits and runs many things at once; knows no Locust.
"""

from __future__ import annotations
