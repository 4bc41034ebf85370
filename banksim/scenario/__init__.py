"""The scenario: one YAML file, everything a run needs.

load_scenario("demo")          read, merged with overrides, checked
list_scenarios()               every scenario by name
Scenario                       the result; attribute names are the file's keys
"""

from banksim.scenario.fields import TransactionRate
from banksim.scenario.fraud import (
    KNOWN_PATTERN_TYPES,
    PATTERN_ALIASES,
    FraudSettings,
    Pattern,
    Phase,
    canonical_type,
)
from banksim.scenario.loader import (
    BrokenScenario,
    find_scenario,
    list_scenarios,
    load_scenario,
    parse_scenario,
    survey_scenarios,
)
from banksim.scenario.models import Connections, Dashboard, Metrics, Onboarding, Scenario
