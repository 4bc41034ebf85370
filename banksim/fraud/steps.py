"""The steps a campaign can take: purchases, cash, deposits, pay and transfers.

A typology says who pays whom how much; everything else that the bank would see is filled
in here as an honest customer would have it: an opaque id, a channel that is open at that
hour, whole notes from a machine, an amount within the payer's limit, a few plain words.
Every step is labelled with its campaign and with the role of the account's holder.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod

from banksim.fraud.attacker import Customs, Scene
from banksim.fraud.calendar import CampaignSpec
from banksim.fraud.money import Wallet
from banksim.fraud.typology import Typology
from banksim.model import AccountRef, Channel, Kind, Merchant, Place, Planned, Transaction, Truth
from banksim.world import Customer, World, opaque_id

# -- The description of a step: the few plain words an honest transaction would have ----------------
#
# The words are those of the honest side (`activity.drafts`); a test compares the two.


TRANSFER_WORDS = (
    "Transfer",
    "Thanks",
    "Dinner",
    "My share",
    "Birthday",
    "Groceries",
    "Trip",
    "Tickets",
    "Loan",
)
DEPOSIT_WORDS = {Channel.MOBILE: "Check deposit", Channel.ACH: "Incoming payment"}


def describe(
    kind: Kind, channel: Channel, merchant: Merchant | None, is_pensioner: bool, rng: random.Random
) -> str:
    """Text for the bank statement; says no more than the honest one would."""
    if merchant is not None:
        return f"Purchase at {merchant.name}"
    if kind is Kind.SALARY:
        return "Pension payment" if is_pensioner else "Salary"
    if kind is Kind.TRANSFER:
        return rng.choice(TRANSFER_WORDS)
    if kind is Kind.WITHDRAWAL:
        return "Counter withdrawal" if channel is Channel.BRANCH else "Cash withdrawal"
    return DEPOSIT_WORDS.get(channel, "Cash deposit")


#: A persona whose youngest are this old lives on a pension (as in `activity.drafts`).
PENSION_FROM_AGE = 60


class StepMaker(ABC):
    """Builds labelled transactions; the part of a `Campaign` that knows how a bank's records look."""

    def __init__(
        self,
        spec: CampaignSpec,
        typology: Typology,
        world: World,
        customs: Customs,
        rng: random.Random,
        wallet: Wallet,
        scene: Scene,
    ) -> None:
        self.spec = spec
        self.world = world
        self.rng = rng
        self.wallet = wallet
        self.scene = scene
        self._customs = customs
        self._label = typology.label

    @abstractmethod
    def next_moment(self, mean_gap_s: float | None = None) -> float:
        """The moment of a step that was given none."""

    @abstractmethod
    def online_shop(self, customer: Customer) -> Merchant:
        """The shop of an online purchase that was given none."""

    @abstractmethod
    def shop(self, customer: Customer, place: Place, moment_s: float) -> Merchant:
        """The shop of a purchase in a city that was given none."""

    def purchase(
        self,
        customer: Customer,
        amount_cents: float,
        at: float | None = None,
        *,
        merchant: Merchant | None = None,
        online: bool = True,
        device: str | None = None,
        place: Place | None = None,
        role: str = "victim",
    ) -> Planned:
        """The customer's card pays ``merchant`` (an online shop when not given)."""
        moment_s = self.next_moment() if at is None else at
        if merchant is None:
            here = place or customer.home
            merchant = self.online_shop(customer) if online else self.shop(customer, here, moment_s)
        if place is None:
            place = self.scene.base(customer) if online else merchant.place
        channel = self._channel(customer, Kind.PURCHASE, (Channel.ONLINE, Channel.MOBILE), moment_s)
        return self.step(
            Kind.PURCHASE,
            customer,
            amount_cents,
            moment_s,
            channel if online else Channel.POS,
            place,
            device=device,
            merchant=merchant,
            role=role,
        )

    def withdrawal(
        self,
        customer: Customer,
        amount_cents: float,
        at: float | None = None,
        *,
        place: Place | None = None,
        device: str | None = None,
        role: str = "victim",
    ) -> Planned:
        """Cash in whole notes: from a machine, larger sums at the counter while that is open."""
        moment_s = self.next_moment() if at is None else at
        channels: tuple[Channel, ...] = (Channel.ATM,)
        if amount_cents > self.wallet.machine_most:
            channels = (Channel.BRANCH, Channel.ATM)
        channel = self._channel(customer, Kind.WITHDRAWAL, channels, moment_s)
        most = self.wallet.machine_most if channel is Channel.ATM else 0.95 * self.wallet.limit(customer)
        here = customer.home
        if channel is Channel.ATM:
            here = place or self.rng.choice(self._customs.of_customer(customer).cash_machines)
        return self.step(
            Kind.WITHDRAWAL,
            customer,
            self.wallet.notes(min(amount_cents, most)),
            moment_s,
            channel,
            here,
            device=device,
            role=role,
        )

    def deposit(
        self,
        customer: Customer,
        amount_cents: float,
        at: float | None = None,
        *,
        cash: bool = True,
        device: str | None = None,
        role: str = "accomplice",
    ) -> Planned:
        """Money paid in: cash at a counter or machine, or a cheque by photo."""
        moment_s = self.next_moment() if at is None else at
        channel = self._channel(
            customer, Kind.DEPOSIT, (Channel.BRANCH, Channel.ATM) if cash else (Channel.MOBILE,), moment_s
        )
        device = customer.devices[0] if device is None else device
        return self.step(
            Kind.DEPOSIT, customer, amount_cents, moment_s, channel, customer.home, device=device, role=role
        )

    def transfer(
        self,
        customer: Customer,
        payee: Customer,
        amount_cents: float,
        at: float | None = None,
        *,
        device: str | None = None,
        place: Place | None = None,
        role: str = "victim",
    ) -> Planned:
        """Money to ``payee``'s main account; cash, should payer and payee be one person."""
        if payee.index == customer.index:  # only in a population of one
            return self.withdrawal(customer, amount_cents, at, device=device, role=role)
        moment_s = self.next_moment() if at is None else at
        channel = self._channel(
            customer, Kind.TRANSFER, (Channel.MOBILE, Channel.ONLINE, Channel.WEB), moment_s
        )
        here = self.scene.base(customer) if place is None else place
        return self.step(
            Kind.TRANSFER,
            customer,
            amount_cents,
            moment_s,
            channel,
            here,
            device=device,
            payee=payee,
            role=role,
        )

    def salary(
        self, customer: Customer, amount_cents: float, at: float, *, role: str = "accomplice"
    ) -> Planned:
        """A month's, week's or fortnight's pay, or a pension, from outside the bank."""
        return self.step(
            Kind.SALARY,
            customer,
            amount_cents,
            at,
            Channel.ACH,
            customer.home,
            device=customer.devices[0],
            role=role,
        )

    def step(
        self,
        kind: Kind,
        customer: Customer,
        amount_cents: float,
        at: float,
        channel: Channel,
        place: Place,
        *,
        device: str | None = None,
        merchant: Merchant | None = None,
        payee: Customer | None = None,
        role: str = "victim",
    ) -> Planned:
        """Any step, labelled as this campaign's; the amount is kept below the customer's limit."""
        transaction = Transaction(
            transaction_id=opaque_id(self.rng),
            kind=kind,
            account=AccountRef(customer.index),
            amount_cents=self.wallet.capped(customer, amount_cents),
            currency=self.world.currency,
            channel=channel,
            timestamp_s=self.world.timestamp_s(at),
            place=place,
            device_id=self.scene.device(customer) if device is None else device,
            description=describe(kind, channel, merchant, self._is_pensioner(customer), self.rng),
            counterparty=None if payee is None else AccountRef(payee.index),
            merchant=merchant,
        )
        truth = Truth(self._label, customer.persona, self.spec.typology, self.spec.campaign_id, role)
        return Planned(transaction, truth, at)

    def _channel(self, customer: Customer, kind: Kind, allowed: tuple[Channel, ...], at: float) -> Channel:
        """One of ``allowed`` that is open then, as often as the customer's persona uses it."""
        return self._customs.channel(self.world, customer, kind, allowed, at, self.rng)

    def _is_pensioner(self, customer: Customer) -> bool:
        return self.world.personas[customer.persona].ages[0] >= PENSION_FROM_AGE
