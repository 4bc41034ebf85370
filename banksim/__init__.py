"""banksim: a flight simulator for banks.

It drives a core-banking system and a fraud detector with realistic customers and
fraudsters on an accelerated clock, and measures both how much load they carry and how
well the detector still catches fraud at that load.

What each folder holds, and which may import which, is in docs/architecture.md.
"""

__version__ = "0.1.0"
