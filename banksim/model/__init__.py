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
from banksim.model.transaction import (
    CREDIT_KINDS,
    INVENTED,
    NOT_SCORED,
    NOT_SENT,
    AccountRef,
    At,
    BankReply,
    BankStatus,
    Channel,
    Decision,
    Decline,
    Ended,
    FraudStage,
    Kind,
    Label,
    LocalLimit,
    Merchant,
    Outcome,
    Place,
    Planned,
    ScoreReply,
    Transaction,
    Truth,
    refusal_reason,
)
