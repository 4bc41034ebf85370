"""A good value for every key of the scenario format, as editors show it beside the description.

Keyed by block and key.  A key whose default says it already is not here.  A test loads
each one, so none can go stale.
"""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, list[Any]] = {
    "Scenario.name": ["Lunch rush"],
    "Scenario.description": ["Two hours around noon with a card-testing attack"],
    "Scenario.duration_hours": [24, 0.5],
    "Scenario.speed_multiplier": [1, 60, 288],
    "Scenario.seed": [42],
    "Scenario.start_at": ["2026-01-05 08:00:00"],
    "Scenario.locale": ["en_US", "de_DE"],
    "Scenario.plugins": [["my_fraud.py"]],
    "Scenario.thresholds": [["recall >= 90%", "response_time.p99 < 500ms", "errors < 1%"]],
    "Scenario.personas": [{"student": {"share": 0.3}}],
    "TransactionRate.peak_tps": [20],
    "TransactionRate.off_peak_tps": [5],
    "TransactionRate.business_hours": [[8, 18], [22, 4]],
    "TransactionRate.weekend_multiplier": [0.3],
    "TransactionRate.hourly_multipliers": [{"9": 1.5, "12": 1.8, "23": 0.1}],
    "TransactionRate.weekday_multipliers": [{"monday": 1.2, "saturday": 0.4, "sunday": 0.3}],
    "TransactionRate.seasonal_multipliers": [{"11": 1.3, "12": 1.6}],
    "FraudSettings.rate": [0.001, 0.15],
    "FraudSettings.baseline_rate": [0.001],
    "FraudSettings.attack_window": [[2, 4], [22, 3]],
    "FraudSettings.patterns": [
        [{"type": "card_testing", "weight": 0.7}, {"type": "large_amount", "weight": 0.3}]
    ],
    "FraudSettings.phases": [
        [
            {
                "name": "card testing",
                "start_hour": 2,
                "duration_hours": 1,
                "patterns": [{"type": "card_testing", "count": 500}],
            }
        ]
    ],
    "Pattern.name": ["morning_tests"],
    "Pattern.count": [500],
    "Pattern.duration_minutes": [30],
    "Pattern.follows": ["card_testing"],
    "Pattern.delay_minutes": [30],
    "Pattern.requires_successful": ["card_testing"],
    "Pattern.sophistication": [0.9],
    "Pattern.amount_range": [[0.01, 5.0]],
    "Pattern.amounts": [[800.0, 6000.0], [50.0, 100.0, 250.0]],
    "Pattern.target_balance_pct": [0.8],
    "Pattern.transaction_burst": [50],
    "Pattern.time_window_seconds": [60],
    "Pattern.amount_multiplier": [10.0],
    "Pattern.suspicious_threshold": [5000.0],
    "Pattern.location_jump_km": [1000],
    "Pattern.time_window_hours": [1],
    "Pattern.mule_accounts": [12],
    "Pattern.hops": [4, [3, 8]],
    "Pattern.threshold": [10000.0],
    "Pattern.split_amounts": [True, [9000.0, 9500.0]],
    "Phase.name": ["reconnaissance"],
    "Phase.start_hour": [2],
    "Phase.duration_hours": [1],
    "Phase.patterns": [[{"type": "card_testing", "count": 500}]],
    "Connections.nexum_url": ["http://localhost:8090", ""],
    "Connections.bastion_url": ["http://localhost:8080", ""],
    "Connections.kafka_bootstrap_servers": ["localhost:9092,broker2:9092", "embedded"],
    "Scenario.detector": [{"batch_size": 50}, {"feedback": True, "feedback_delay_hours": 2}],
    "Scenario.invariant": [{"every_seconds": 2}, {"enabled": False}],
    "Fault.target": ["detector"],
    "Fault.kind": ["hangs"],
    "Fault.start_hour": [2.5],
    "Fault.duration_minutes": [30],
    "Fault.name": ["Detector hangs"],
    "Fault.share": [0.1],
    "Fault.latency_ms": [300, [200, 600]],
    "Fault.status": [503],
    "Load.step": [25],
    "Onboarding.first_transaction_delay_hours": [2, [0.5, 6]],
}
