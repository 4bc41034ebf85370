"""The stand-in core bank and fraud detector, and their HTTP faces.

`BankApi` and `DetectorApi` are pure: ``handle(method, path, query, body) -> (status, JSON-able)``.
``python -m banksim.sandbox.server`` serves them over HTTP.
"""

from banksim.sandbox.bank.api import BankApi
from banksim.sandbox.bank.ledger import Ledger, TrialBalance
from banksim.sandbox.detector.api import DetectorApi
from banksim.sandbox.detector.model import FraudModel, Score
