"""The words everyone shares.  Imports nothing of ours."""

from __future__ import annotations

from banksim.model.errors import (
    BanksimError,
    ExitCode,
    ReportFolderError,
    ScenarioError,
    TargetUnreachable,
    UsageError,
)
from banksim.model.outcome import (
    NOT_SCORED,
    NOT_SENT,
    At,
    BankReply,
    BankStatus,
    Decision,
    Ended,
    LocalLimit,
    Outcome,
    ScoreReply,
)
from banksim.model.transaction import (
    CREDIT_KINDS,
    AccountRef,
    Channel,
    Kind,
    Label,
    Merchant,
    Place,
    Planned,
    Transaction,
    Truth,
)

__all__ = [
    "CREDIT_KINDS",
    "NOT_SCORED",
    "NOT_SENT",
    "AccountRef",
    "At",
    "BankReply",
    "BankStatus",
    "BanksimError",
    "Channel",
    "Decision",
    "Ended",
    "ExitCode",
    "Kind",
    "Label",
    "LocalLimit",
    "Merchant",
    "Outcome",
    "Place",
    "Planned",
    "ReportFolderError",
    "ScenarioError",
    "ScoreReply",
    "TargetUnreachable",
    "Transaction",
    "Truth",
    "UsageError",
]
