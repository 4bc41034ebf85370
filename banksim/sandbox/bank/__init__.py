"""The stand-in bank: a double-entry ledger with an HTTP interface."""
