"""The words everyone shares.  Imports nothing of ours."""

from banksim.domain.errors import (
    BanksimError,
    ReportFolderError,
    ScenarioError,
    TargetUnreachable,
    UsageError,
)
from banksim.domain.exit_codes import ExitCode
from banksim.domain.outcome import (
    NOT_SCORED,
    NOT_SENT,
    BankReply,
    BankStatus,
    Decision,
    Outcome,
    ScoreReply,
)
from banksim.domain.transaction import (
    CREDIT_KINDS,
    AccountRef,
    Channel,
    Kind,
    Merchant,
    Place,
    Planned,
    Transaction,
)
from banksim.domain.truth import Label, Truth

__all__ = [
    "CREDIT_KINDS",
    "NOT_SCORED",
    "NOT_SENT",
    "AccountRef",
    "BankReply",
    "BankStatus",
    "BanksimError",
    "Channel",
    "Decision",
    "ExitCode",
    "Kind",
    "Label",
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
