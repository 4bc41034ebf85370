"""The bank's day as Locust users.

Run it with Locust's command line, which also takes banksim's options:

    locust -f locustfiles/banking.py --scenario demo --dry-run
    locust -f locustfiles/banking.py --headless --scenario fraud_attack --sandbox

Who acts when, and what they do, comes from the scenario file: the clock and the offered
rate decide when a transaction is due, the personas' task weights decide which.  The
classes here are the cast.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installing

from locust import task

from banksim.load import AcceleratedClockShape, CampaignUser, PersonaUser
from banksim.load.install import install
from web_ext.app import attach

install(on_ready=attach)


class BankDay(AcceleratedClockShape):
    """Seats enough users for the offered rate, on the accelerated clock, until the scenario ends."""


class BankCustomer(PersonaUser):
    """What a genuine customer does.  Each task is woken for by an arrival that asks for it."""

    abstract = True

    @task
    def purchase(self) -> None:
        """Pay by card, at a shop or on the web."""
        self.carry_out()

    @task
    def withdrawal(self) -> None:
        """Take cash out."""
        self.carry_out()

    @task
    def deposit(self) -> None:
        """Pay cash or a cheque in."""
        self.carry_out()

    @task
    def salary(self) -> None:
        """Be paid."""
        self.carry_out()

    @task
    def transfer(self) -> None:
        """Send money to another account."""
        self.carry_out()

    @task
    def bill_payment(self) -> None:
        """Pay rent or a bill."""
        self.carry_out()


class Student(BankCustomer):
    persona = "student"


class Salaried(BankCustomer):
    persona = "salaried"


class Family(BankCustomer):
    persona = "family"


class Retiree(BankCustomer):
    persona = "retiree"


class SmallBusiness(BankCustomer):
    persona = "small_business"


class HighNetWorth(BankCustomer):
    persona = "high_net_worth"


class OtherCustomer(BankCustomer):
    """Plays every persona that a scenario adds."""

    persona = "*"


class FraudActor(CampaignUser):
    """Carries out campaigns: one labelled transaction after the other, each after the last one's outcome."""

    @task
    def next_step(self) -> None:
        self.carry_out()
