"""What a typology is handed: one campaign, its people, money, places, clock and steps.

A typology never builds a transaction or reads a clock itself:

    for card in campaign.stolen_cards():
        outcome = yield campaign.purchase(card, amount_cents=campaign.small_amount())
        if outcome.approved:
            campaign.loot.add(card)

Everything drawn here comes from the campaign's own stream, a function of the run's seed
and the campaign's id, and of the outcomes so far; never from the wall clock.

What the bank sees of a step must not give it away: ids come from the same source as
honest ones, merchants from the same directory, amounts from the same price tags, texts
from the same few words.  What does give it away is behaviour, and `sophistication`
(0 clumsy … 1 careful) moves that towards the victim's own habits.

Parts: `pace` (time), `cast` (people), `wallet` (money), `scene` (devices and places).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from banksim.domain import (
    AccountRef,
    Channel,
    Kind,
    Merchant,
    Outcome,
    Place,
    Planned,
    Transaction,
    Truth,
)
from banksim.fraud.cast import Cast
from banksim.fraud.customs import Customs
from banksim.fraud.loot import Loot
from banksim.fraud.pace import Pace
from banksim.fraud.registry import Typology
from banksim.fraud.scene import Scene
from banksim.fraud.spec import CampaignSpec
from banksim.fraud.wallet import Wallet
from banksim.fraud.wording import describe
from banksim.scenario import Pattern
from banksim.world import Customer, World, opaque_id, stream

#: Card testing amounts when the scenario gives none, in dollar-like units.
SMALL_UNITS = (0.20, 5.00)
#: People a campaign remembers having used; in a larger one some may come up twice.
MAX_USED = 100_000
#: The most accomplices one campaign has.
MAX_CREW = 200
#: Categories whose goods are easily turned into money.
RESALE_CATEGORIES = ("electronics", "jewellery", "department", "clothing", "online_retail", "digital_goods")


class Campaign:
    """One campaign under way.  All moments are simulated seconds since the start of the run."""

    def __init__(
        self,
        spec: CampaignSpec,
        options: Pattern,
        typology: Typology,
        world: World,
        cast: Cast,
        customs: Customs,
        inherited: tuple[int, ...] = (),
        onboarded: Callable[[int], bool] | None = None,
    ) -> None:
        """``inherited`` is the parent's loot (indices); ``onboarded`` says who is a customer already."""
        self.spec = spec
        self.options = options
        self.world = world
        self.rng: random.Random = stream(world.seed, "campaign", spec.campaign_id)
        self.size = spec.size
        self.intensity = spec.intensity
        self.sophistication = spec.sophistication
        self.made = 0
        self.loot = Loot()
        self.inherited = inherited
        self.wallet = Wallet(world, self.rng)
        self.scene = Scene(world, self.rng, spec.sophistication)
        self._cast = cast
        self._customs = customs
        self._onboarded = onboarded
        self._pace = Pace(
            self.rng, spec.start_s, spec.deadline_s, typology.mean_gap_s, spec.intensity, spec.sophistication
        )
        self._label = typology.label
        self._used: set[int] = set()
        self._turn = 0
        self._crew: list[Customer] = []

    # -- time -----------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """The moment of the last step drawn."""
        return self._pace.now_s

    @property
    def left(self) -> int:
        """Transactions still to make, the next one included."""
        return self.size - self.made

    def next_moment(self, mean_gap_s: float | None = None) -> float:
        """The moment of the next step: about ``mean_gap_s`` (÷ intensity) on, sooner when time is short."""
        return self._pace.next_moment(self.left, mean_gap_s)

    def moment_within(self, until_s: float, steps: int) -> float:
        """The next of ``steps`` moments spread evenly up to ``until_s``, never later than that."""
        return self._pace.within(until_s, steps, self.left)

    # -- people ---------------------------------------------------------------------------

    def victim(self, least_limit_cents: int = 0, least_balance_cents: int = 0) -> Customer:
        """The next victim: inherited ones first, each once; then exposed customers, none twice.

        With `requires_successful` only inherited ones, over and over.  The limits are wishes: where
        nobody fulfils them somebody else is taken.
        """
        turn, self._turn = self._turn, self._turn + 1
        if self.inherited and (turn < len(self.inherited) or self.options.requires_successful):
            index = self.inherited[turn % len(self.inherited)]
            return self._remembered(self.world.population.customer(index))

        def suits(customer: Customer) -> bool:
            return (
                self.wallet.limit(customer) >= least_limit_cents
                and self.wallet.balance(customer) >= least_balance_cents
                and self._is_customer(customer)
            )

        return self._remembered(self._cast.victim(self.rng, suits, self._used))

    def stolen_cards(self) -> Iterator[Customer]:
        """Victims without end; the campaign stops by itself at its size."""
        while True:
            yield self.victim()

    def accomplice(self, least_limit_cents: int = 0) -> Customer:
        """Somebody who lends an account, not yet used in this campaign if there is one left."""

        def suits(customer: Customer) -> bool:
            return self.wallet.limit(customer) >= least_limit_cents and self._is_customer(customer)

        return self._remembered(self._cast.accomplice(self.rng, suits, self._used))

    def crew(self, count: int, least_limit_cents: int = 0) -> list[Customer]:
        """``count`` accomplices who stay the same for the whole campaign; fewer in a small population."""
        if not self._crew:
            tries = (self.accomplice(least_limit_cents) for _ in range(min(count, MAX_CREW)))
            self._crew = list({person.index: person for person in tries}.values())
        return self._crew[:count]

    def _remembered(self, customer: Customer) -> Customer:
        if len(self._used) < MAX_USED:
            self._used.add(customer.index)
        return customer

    def _is_customer(self, customer: Customer) -> bool:
        return self._onboarded is None or self._onboarded(customer.index)

    # -- places, devices, shops -----------------------------------------------------------

    def device(self, customer: Customer) -> str:
        """The attacker's device, or the customer's own, taken over."""
        return self.scene.device(customer)

    def hour(self, moment_s: float) -> int:
        return self.world.hour(moment_s)

    def online_shop(self, customer: Customer, categories: tuple[str, ...] = RESALE_CATEGORIES) -> Merchant:
        """A shop on the net; a careful attacker prefers the customer's regular ones."""
        if self.rng.random() < 0.7 * self.sophistication:
            return self._customs.of_customer(customer).regular_online_shop(self.rng)
        return self.world.merchants.pick(self.rng, customer.home, self.rng.choice(categories), online=True)

    def testing_shops(self, count: int) -> list[Merchant]:
        """Different online shops of all kinds, as many as ``count`` if there are."""
        anywhere = self.world.places.cities[0].place
        picks = (self.world.merchants.pick(self.rng, anywhere, online=True) for _ in range(3 * count))
        return list({shop.merchant_id: shop for shop in picks}.values())[:count]

    def shop(self, customer: Customer, place: Place, moment_s: float) -> Merchant:
        """An open shop in the city of ``place``, of a kind the customer goes to."""
        mix = tuple(self.world.personas[customer.persona].merchants)
        return self.scene.shop(place, self.hour(moment_s), mix)

    # -- amounts --------------------------------------------------------------------------

    def chosen_amount(self) -> int | None:
        """An amount from the scenario's `amount_range` or `amounts`; None when it gives none."""
        span, choice = self.options.amount_range, self.options.amounts
        if span is None and choice and len(choice) == 2 and choice[0] < choice[1]:
            span = (choice[0], choice[1])
        if span is not None:
            return self.rng.randint(self.wallet.cents(span[0]), self.wallet.cents(span[1]))
        return self.wallet.cents(self.rng.choice(choice)) if choice else None

    def small_amount(self) -> int:
        """A probe in cents, from `amount_range` or up to five dollars; rarely the same one twice."""
        given = self.chosen_amount()
        if given is not None:
            return given
        low, high = (self.wallet.scaled_cents(units) for units in SMALL_UNITS)
        amount = self.rng.randint(low, high)
        tag = self.wallet.price(amount)
        return tag if low <= tag <= high else amount

    # -- steps ----------------------------------------------------------------------------

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
            device_id=self.device(customer) if device is None else device,
            description=describe(kind, channel, merchant, self.rng),
            counterparty=None if payee is None else AccountRef(payee.index),
            merchant=merchant,
        )
        truth = Truth(self._label, customer.persona, self.spec.typology, self.spec.campaign_id, role)
        return Planned(transaction, truth, at)

    def note(self, planned: Planned, outcome: Outcome) -> None:
        """Remember what a step did; called by the run, not by typologies."""
        self.wallet.note(planned.transaction, outcome)

    def _channel(self, customer: Customer, kind: Kind, allowed: tuple[Channel, ...], at: float) -> Channel:
        """One of ``allowed`` that is open then, as often as the customer's persona uses it."""
        return self._customs.channel(self.world, customer, kind, allowed, at, self.rng)
