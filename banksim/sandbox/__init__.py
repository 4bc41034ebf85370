"""The stand-in core bank and fraud detector, and their HTTP faces.

`BankApi` and `DetectorApi` are pure: ``handle(method, path, query, body) -> (status, JSON-able)``.
``python -m banksim.sandbox.server`` serves them over HTTP.
"""

from banksim.sandbox.bank import BankApi
from banksim.sandbox.detector import DetectorApi, FraudModel, Score
from banksim.sandbox.ledger import Ledger, TrialBalance

__all__ = ["BankApi", "DetectorApi", "FraudModel", "Ledger", "Score", "TrialBalance"]
