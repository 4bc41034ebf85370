"""Fraud: which campaigns a run has, and what each of them does, step by step.

FraudDesk(world, scenario, seed, offered, speed)   the plan: shares, planned, windows
    .open(spec) -> CampaignRun                     first(), advance(outcome)
    .finished(run, at_s) -> followers
check_fraud(scenario)                              whether plugins load and all types exist
typology                                           marks a generator function as a kind of fraud
"""

from banksim.fraud.campaign import Campaign
from banksim.fraud.desk import FraudDesk, check_fraud
from banksim.fraud.registry import Registry, Steps, Typology, build_registry, typology
from banksim.fraud.run import CampaignRun
from banksim.fraud.spec import AttackWindow, CampaignSpec

__all__ = [
    "AttackWindow",
    "Campaign",
    "CampaignRun",
    "CampaignSpec",
    "FraudDesk",
    "Registry",
    "Steps",
    "Typology",
    "build_registry",
    "check_fraud",
    "typology",
]
