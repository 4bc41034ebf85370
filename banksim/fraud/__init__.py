"""Fraud: which campaigns a run has, and what each of them does, step by step.

FraudDesk(world, scenario, seed, offered, speed)   the plan: share, planned, windows
    .open(spec) -> CampaignRun                     first(), advance(outcome)
    .finished(run, at_s) -> followers
typology                                           marks a generator function as a kind of fraud
"""

from banksim.fraud.campaign import Campaign
from banksim.fraud.desk import FraudDesk
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
    "typology",
]
