"""banksim: a flight simulator for banks.

It drives a core-banking system and a fraud detector with realistic customers and
fraudsters on an accelerated clock, and measures both how much load they carry and how
well the detector still catches fraud at that load.

The folders import one way, down this list:

    domain      the words everyone shares
    scenario    one YAML file: everything a run needs
    clock, demand, arrivals      when things happen
    world       who and what exists
    activity, fraud              what genuine customers and fraudsters do
    sandbox     the stand-in bank and detector
    systems     clients of the bank and the detector
    measure     counts that add up
    engine      one run in one process
    report, load                 files for people and machines; Locust
"""

__version__ = "0.1.0"
