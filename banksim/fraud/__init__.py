"""Fraud: which campaigns a run has, and what each of them does, step by step.

FraudProgram(world, scenario, seed, offered, speed) the plan: shares, planned, windows
    .open(spec) -> CampaignRun                     first(), advance(outcome)
    .finished(run, at_s) -> followers
check_fraud(scenario)                              whether plugins load and all types exist
typology                                           marks a generator function as a kind of fraud
"""

from banksim.fraud.calendar import AttackWindow, CampaignSpec
from banksim.fraud.campaign import Campaign
from banksim.fraud.patterns import build_registry
from banksim.fraud.program import CampaignRun, FraudProgram, check_fraud
from banksim.fraud.typology import Registry, Steps, Typology, typology
