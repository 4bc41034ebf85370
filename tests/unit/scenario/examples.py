"""Scenario texts as the original description prints them, and how fragments become whole files."""

from __future__ import annotations

HEADER = 'name: "Fragment"\nduration_hours: 24\n'
RATES = "transaction_rate:\n  peak_tps: 10\n  off_peak_tps: 2\n"

MINIMAL = HEADER + RATES

#: The "complete schema".  `follows: other_pattern` there stands for any other pattern, so one is added.
BASIC = """\
# Required fields
name: "Scenario Display Name"                    # String: Shown in dashboard and logs
description: "What this scenario simulates"     # String: Documentation
duration_hours: 24                              # Number: How long to simulate (real hours)
speed_multiplier: 100                           # Number: Time acceleration (100x = 24h in ~14min)

# Customer generation
customers: 500                                  # Number: How many customer profiles to create
accounts_per_customer: 2                       # Number: Bank accounts per customer (1-5)
initial_balance: 5000.00                       # Number: Starting balance per account (USD)
currency: "USD"                                # String: Currency code (USD, EUR, GBP, etc.)

# Transaction patterns
transaction_rate:
  peak_tps: 10                                 # Number: Peak transactions per second
  off_peak_tps: 2                             # Number: Off-peak transactions per second
  business_hours: [8, 18]                     # Array: Peak hours [start, end] (24h format)
  weekend_multiplier: 0.3                     # Number: Weekend transaction reduction (0.0-1.0)

# Fraud configuration
fraud:
  rate: 0.001                                 # Number: Base fraud rate (0.001 = 0.1%)
  attack_window: [2, 4]                       # Array: Optional concentrated attack hours
  patterns:                                   # Array: Fraud pattern definitions
    - type: card_testing                      # String: Pattern type (see below)
      weight: 0.4                            # Number: Relative frequency (0.0-1.0)
      intensity: 1.0                         # Number: Attack intensity multiplier
      count: 100                             # Number: Optional specific transaction count
      duration_minutes: 30                   # Number: Optional time limit
      follows: other_pattern                 # String: Optional dependency on other pattern

# System connections
connections:
  nexum_url: "http://localhost:8090"          # String: Nexum API endpoint
  bastion_url: "http://localhost:8080"        # String: Bastion API endpoint
  kafka_bootstrap_servers: "localhost:9092"   # String: Kafka brokers (optional)
  timeout_seconds: 30                         # Number: API timeout
  max_retries: 3                             # Number: API retry attempts

# Dashboard settings
dashboard:
  enabled: true                               # Boolean: Enable dashboard
  port: 8095                                  # Number: Dashboard port
  host: "0.0.0.0"                            # String: Dashboard bind address

# Metrics collection
metrics:
  enabled: true                               # Boolean: Enable metrics collection
  collect_interval_seconds: 1                 # Number: Metrics collection frequency
  retention_minutes: 60                       # Number: How long to keep metrics in memory
  export_csv: true                           # Boolean: Export metrics to CSV files
"""

OTHER_PATTERN = "    - {type: online_fraud, name: other_pattern}\n"
BASIC_WITH_OTHER_PATTERN = BASIC.replace("\n# System connections", OTHER_PATTERN + "\n# System connections")

PATTERN_TYPES = (
    MINIMAL
    + """\
fraud:
  patterns:
    # Card testing - Testing stolen card numbers with small amounts
    - type: card_testing
      weight: 0.3              # 30% of fraud attacks
      intensity: 1.0           # Normal intensity
      count: 500              # Exactly 500 test transactions
      duration_minutes: 10    # Complete within 10 minutes
      amount_range: [0.01, 5.00]  # Small test amounts
    # Account takeover - Compromised credentials, large transfers
    - type: account_takeover
      weight: 0.2
      intensity: 1.5          # 50% more aggressive
      follows: card_testing   # Happens after successful card tests
      delay_minutes: 30       # 30 minutes after card testing
      target_balance_pct: 0.8 # Transfer 80% of available balance
    # Velocity attack - Rapid-fire transactions
    - type: velocity_attack
      weight: 0.3
      intensity: 2.0          # Double normal velocity
      transaction_burst: 50   # 50 transactions in rapid succession
      time_window_seconds: 60 # Within 60 seconds
    # Large amount fraud - Unusual high-value transactions
    - type: large_amount
      weight: 0.1
      amount_multiplier: 10.0 # 10x normal transaction amounts
      suspicious_threshold: 5000.00  # Flag amounts over $5000
    # Unusual location - Geographic anomalies
    - type: unusual_location
      weight: 0.1
      location_jump_km: 1000  # Transactions 1000km+ from normal location
      time_window_hours: 1    # Impossible travel times
"""
)

TIME_PATTERNS = (
    HEADER
    + """\
transaction_rate:
  # Basic pattern
  peak_tps: 15
  off_peak_tps: 3
  business_hours: [9, 17]

  # Advanced patterns
  hourly_multipliers:      # Custom multiplier for each hour
    6: 0.1    # 6 AM: 10% of base rate
    9: 1.5    # 9 AM: 150% of base rate (morning rush)
    12: 1.8   # Noon: 180% of base rate (lunch peak)
    17: 1.3   # 5 PM: 130% of base rate (evening rush)
    23: 0.05  # 11 PM: 5% of base rate (night)

  weekday_multipliers:     # Day-of-week variations
    monday: 1.2           # 20% higher on Mondays
    friday: 1.4           # 40% higher on Fridays
    saturday: 0.4         # 60% lower on weekends
    sunday: 0.3

  seasonal_multipliers:    # Monthly variations
    11: 1.3               # 30% higher in November (Black Friday)
    12: 1.6               # 60% higher in December (holidays)
    1: 0.8                # 20% lower in January
"""
)

MULTI_PHASE = (
    MINIMAL
    + """\
fraud:
  rate: 0.05
  phases:
    # Phase 1: Reconnaissance (hours 1-2)
    - name: "reconnaissance"
      start_hour: 1
      duration_hours: 1
      patterns:
        - type: small_probes
          count: 50
          intensity: 0.5

    # Phase 2: Card testing (hours 2-3)
    - name: "card_testing"
      start_hour: 2
      duration_hours: 1
      patterns:
        - type: card_testing
          count: 500
          intensity: 2.0

    # Phase 3: Account takeover (hours 3-4)
    - name: "exploitation"
      start_hour: 3
      duration_hours: 1
      patterns:
        - type: account_takeover
          count: 20
          intensity: 3.0
          requires_successful: card_testing  # Only if card testing succeeded
"""
)

FIVE_MINUTE_DEMO = """\
name: "5-Minute Demo"
description: "Complete business day compressed to 5 minutes"
duration_hours: 24
speed_multiplier: 288  # 24 hours in 5 minutes
customers: 100
accounts_per_customer: 1
initial_balance: 2000.00

transaction_rate:
  peak_tps: 20
  off_peak_tps: 5
  business_hours: [9, 17]

fraud:
  rate: 0.02  # 2% fraud rate for visible results
  patterns:
    - type: card_testing
      weight: 0.5
      intensity: 1.0
    - type: large_amount
      weight: 0.5
      intensity: 1.0
"""

STRESS_TEST = """\
name: "Load Test - 1000 TPS"
description: "High-volume load testing"
duration_hours: 1
speed_multiplier: 1  # Real-time
customers: 5000
accounts_per_customer: 3
initial_balance: 10000.00

transaction_rate:
  peak_tps: 1000    # Very high load
  off_peak_tps: 500
  business_hours: [0, 23]  # Always peak

fraud:
  rate: 0.005  # 0.5% fraud rate
  patterns:
    - type: velocity_attack
      weight: 1.0
      intensity: 2.0
"""

MY_TEST = """\
name: "My Test Scenario"
description: "Custom test with specific parameters"
duration_hours: 1
speed_multiplier: 60  # 1 hour in 1 minute
customers: 50
accounts_per_customer: 1
initial_balance: 1000.00

transaction_rate:
  peak_tps: 5
  off_peak_tps: 1
  business_hours: [9, 17]

fraud:
  rate: 0.05  # 5% fraud rate
  patterns:
    - type: velocity_attack
      weight: 1.0
      intensity: 1.0
"""

DASHBOARD = (
    MINIMAL
    + """\
dashboard:
  enabled: true
  port: 8095
  host: "0.0.0.0"        # Bind to all interfaces

  # UI customization
  theme: "dark"          # "light" or "dark"
  refresh_rate_ms: 1000  # Update frequency
  max_feed_items: 500    # Transaction feed history

  # Chart settings
  chart_retention_hours: 24    # How long to keep chart data
  chart_resolution_seconds: 5  # Chart data point frequency

  # Alerts
  fraud_alert_threshold: 0.8   # Show popup alerts for scores > 0.8
  sound_alerts: false          # Enable sound notifications
"""
)

#: Keys of the original's own scenario files, in the shapes a file may write them.
LAUNDERING_AND_ONBOARDING = (
    MINIMAL
    + """\
fraud:
  rate: 0.02
  patterns:
    - {type: mule_network, mule_accounts: 20, hops: 5, amounts: [1000, 2500, 9000]}
    - {type: money_laundering, hops: [3, 10], amounts: [500, 5000]}
    - {type: structuring, threshold: 10000, split_amounts: true}
    - {type: structuring, threshold: 10000, split_amounts: [9000, 9500, 9900]}
    - {type: identity_theft}
    - {type: online_fraud}
onboarding:
  kyc_approval_rate: 0.95
  first_transaction_delay_hours: [1, 24]
  initial_deposit_range: [100, 10000]
"""
)

ALL = {
    "basic structure": BASIC_WITH_OTHER_PATTERN,
    "pattern types": PATTERN_TYPES,
    "time patterns": TIME_PATTERNS,
    "multi-phase": MULTI_PHASE,
    "5-minute demo": FIVE_MINUTE_DEMO,
    "stress test": STRESS_TEST,
    "my_test": MY_TEST,
    "dashboard": DASHBOARD,
    "laundering and onboarding": LAUNDERING_AND_ONBOARDING,
}
