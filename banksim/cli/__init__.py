"""The `banksim` command."""
