"""The scenario: one YAML file, everything a run needs.

load_scenario("demo")          read, merged with overrides, checked
list_scenarios()               every scenario by name
Scenario                       the result; attribute names are the file's keys
"""

from banksim.scenario.connections import Connections
from banksim.scenario.dashboard import Dashboard, Metrics
from banksim.scenario.finder import find_scenario
from banksim.scenario.fraud import FraudSettings, Pattern, Phase
from banksim.scenario.loader import (
    BrokenScenario,
    list_scenarios,
    load_scenario,
    parse_scenario,
    survey_scenarios,
)
from banksim.scenario.models import Scenario
from banksim.scenario.onboarding import Onboarding
from banksim.scenario.pattern_types import KNOWN_PATTERN_TYPES, PATTERN_ALIASES, canonical_type
from banksim.scenario.rates import TransactionRate

__all__ = [
    "KNOWN_PATTERN_TYPES",
    "PATTERN_ALIASES",
    "BrokenScenario",
    "Connections",
    "Dashboard",
    "FraudSettings",
    "Metrics",
    "Onboarding",
    "Pattern",
    "Phase",
    "Scenario",
    "TransactionRate",
    "canonical_type",
    "find_scenario",
    "list_scenarios",
    "load_scenario",
    "parse_scenario",
    "survey_scenarios",
]
