"""The topics between the core bank and the fraud detector."""

TRANSACTIONS = "nexum.transactions"  # key: transaction id
CUSTOMERS = "nexum.customers"  # key: customer id
DECISIONS = "bastion.fraud.decisions"  # key: transaction id
ALERTS = "bastion.fraud.alerts"
