"""A campaign as its typology sees it: people, money, places, time and steps.

A typology never builds a transaction or reads a clock itself:

    for card in campaign.stolen_cards():
        outcome = yield campaign.purchase(card, amount_cents=campaign.small_amount())
        if outcome.approved:
            campaign.loot.add(card)

All draws come from the campaign's own random stream, a function of the run's seed and the campaign's
id, and depend on the outcomes so far, never on the wall clock.

What the bank sees of a step must not give it away: ids come from the same source as genuine ones,
merchants from the same directory, amounts from the same price tags, texts from the same words.
Behaviour does give it away, and `sophistication` (0 clumsy … 1 careful) moves that towards the
victim's own habits.

A decoy is a campaign of genuine people: its steps come from their own devices and homes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from banksim.activity import payments
from banksim.activity.habits import Habits
from banksim.activity.journeys import Trip
from banksim.fraud.calendar import CampaignSpec, Pace
from banksim.fraud.money import Wallet
from banksim.fraud.people import Accomplices, Attacker, Compromised, NormalBehaviour, Suits, VictimPool
from banksim.fraud.typology import Typology
from banksim.model import (
    CREDIT_KINDS,
    INVENTED,
    AccountRef,
    Channel,
    Decision,
    FraudStage,
    Kind,
    Label,
    Merchant,
    Outcome,
    Place,
    Planned,
    Transaction,
    Truth,
)
from banksim.scenario import Pattern
from banksim.world import Customer, World, opaque_id, stream

#: Card testing amounts when the scenario gives none, in dollar-like units.
SMALL_UNITS = (0.20, 5.00)
#: Bound: people a campaign remembers having used; in a larger one some may come up twice.
MAX_USED = 100_000
#: Bound: accomplices of one campaign.
MAX_CREW = 200
#: Whose accounts the money of others passes through; what leaves any other account is a loss.
LAUNDERERS = frozenset({"mule", "source", "smurf", "depositor", "accomplice"})
#: Categories whose goods are easily turned into money.
RESALE_CATEGORIES = ("electronics", "jewellery", "department", "clothing", "online_retail", "digital_goods")


@dataclass(frozen=True, slots=True)
class Stage:
    """What all campaigns of a run share: the world, its potential victims, its genuine behaviour."""

    world: World
    pool: VictimPool
    normal: NormalBehaviour


class Campaign:
    """One running campaign.  All moments are simulated seconds since the start of the run."""

    def __init__(
        self,
        spec: CampaignSpec,
        options: Pattern,
        typology: Typology,
        stage: Stage,
        inherited: tuple[int, ...] = (),
        onboarded: Callable[[int], bool] | None = None,
    ) -> None:
        """``inherited``: indices the parent compromised; ``onboarded(index)``: has that customer joined."""
        world = stage.world
        self.spec = spec
        self.options = options
        self.world = world
        self.rng = stream(world.seed, "campaign", spec.campaign_id)
        self.scene = Attacker(world, self.rng, spec.sophistication, genuine=typology.is_decoy)
        self.wallet = Wallet(world, self.rng)
        self.size = spec.size
        self.intensity = spec.intensity
        self.sophistication = spec.sophistication
        self.made = 0
        self.loot = Compromised()
        self.inherited = inherited
        self._label: Label = typology.label
        self._pool = stage.pool
        self._normal = stage.normal
        self._onboarded = onboarded
        self._pace = Pace(
            self.rng,
            spec.start_s,
            spec.deadline_s,
            typology.mean_gap_s,
            spec.intensity,
            spec.sophistication,
            awake=1.0 if typology.victims_pay else spec.sophistication,
            midnight_s=-world.timestamp_s(0.0) % 86_400,
        )
        self._used: set[int] = set()
        self._turn = 0
        self._crew: Accomplices | None = None

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
        """The moment of the next step: about ``mean_gap_s`` ÷ intensity later, sooner if time is short."""
        return self._pace.next_moment(self.left, mean_gap_s)

    def moment_within(self, until_s: float, steps: int) -> float:
        """The next of ``steps`` moments spread evenly up to ``until_s``, never later than that."""
        return self._pace.within(until_s, steps, self.left)

    def wait_until(self, moment_s: float) -> None:
        """Let time pass: later steps are not before ``moment_s``, nor after the deadline."""
        self._pace.skip_to(moment_s)

    def fair_span_s(self, steps: int) -> float:
        """The time to the deadline that ``steps`` of the transactions left may take."""
        return max(0.0, self.spec.deadline_s - self.now_s) * min(1.0, steps / max(1, self.left))

    def hour(self, moment_s: float) -> int:
        """The clock hour (0..23) at that moment."""
        return self.world.hour(moment_s)

    def story_size(self, least: int, usual: tuple[int, int]) -> int:
        """Transactions of the next story: about ``usual``, or all if fewer than ``least`` would remain."""
        steps = min(self.left, self.rng.randint(*usual))
        return self.left if self.left - steps < least else steps

    # -- people ---------------------------------------------------------------------------

    def victim(
        self, least_limit_cents: int = 0, least_balance_cents: int = 0, suits: Suits = lambda _: True
    ) -> Customer:
        """The next victim: inherited ones first, each once; then exposed customers, none twice.

        With `requires_successful` only inherited ones, over and over.  The minimums are preferences:
        if no customer meets them, another one is taken.
        """
        turn, self._turn = self._turn, self._turn + 1
        if self.inherited and (turn < len(self.inherited) or self.options.requires_successful):
            index = self.inherited[turn % len(self.inherited)]
            return self._remembered(self.world.population.customer(index))
        able = self._able_to_pay(least_limit_cents, least_balance_cents)
        found = self._pool.victim(self.rng, lambda c: able(c) and suits(c), self._used)
        return self._remembered(found)

    def stolen_cards(self) -> Iterator[Customer]:
        """Victims without end; the campaign stops by itself at its size."""
        while True:
            yield self.victim()

    def accomplice(self, least_limit_cents: int = 0, least_balance_cents: int = 0) -> Customer:
        """A customer who lends an account, if possible one not yet used in this campaign."""
        suits = self._able_to_pay(least_limit_cents, least_balance_cents)
        return self._remembered(self._pool.accomplice(self.rng, suits, self._used))

    def crew(self, posts: int, least_limit_cents: int = 0) -> Accomplices:
        """Accomplices who stay the same for the whole campaign, except those who get blocked."""
        if self._crew is None:
            self._crew = self.new_crew(posts, least_limit_cents)
        return self._crew

    def new_crew(self, posts: int, least_limit_cents: int = 0, least_balance_cents: int = 0) -> Accomplices:
        """Replace the crew with other accomplices, as far as there are any."""
        self._crew = Accomplices(
            lambda: self.accomplice(least_limit_cents, least_balance_cents), min(posts, MAX_CREW)
        )
        return self._crew

    def bystander(self, suits: Suits = lambda _: True) -> Customer:
        """A genuine customer for a decoy, exposed or not; ``suits`` is a preference, not a requirement."""
        found = self._pool.bystander(self.rng, lambda c: self._is_customer(c) and suits(c), self._used)
        return self._remembered(found)

    def habits(self, customer: Customer) -> Habits:
        """The customer's regular shops, payees, cash machines and pay."""
        return self._normal.of_customer(customer)

    def journey(self, customer: Customer, moment_s: float) -> Trip | None:
        """The customer's own journey around that moment, in unix seconds, if there is one."""
        return self._normal.trips.trip(customer, self.world.timestamp_s(moment_s))

    def _able_to_pay(self, least_limit_cents: int, least_balance_cents: int) -> Suits:
        return lambda customer: (
            self.wallet.limit(customer) >= least_limit_cents
            and self.wallet.balance(customer) >= least_balance_cents
            and self._is_customer(customer)
        )

    def _remembered(self, customer: Customer) -> Customer:
        if len(self._used) < MAX_USED:
            self._used.add(customer.index)
        return customer

    def _is_customer(self, customer: Customer) -> bool:
        return self._onboarded is None or self._onboarded(customer.index)

    # -- devices and shops ----------------------------------------------------------------

    def device(self, customer: Customer) -> str:
        """The attacker's device, or the customer's own, taken over."""
        return self.scene.device(customer)

    def online_shop(self, customer: Customer, categories: tuple[str, ...] = RESALE_CATEGORIES) -> Merchant:
        """An online shop; a careful attacker prefers the customer's regular ones."""
        if self.rng.random() < 0.7 * self.sophistication:
            return self.habits(customer).regular_online_shop(self.rng)
        return self.world.merchants.pick(self.rng, customer.home, self.rng.choice(categories), online=True)

    def testing_shops(self, count: int) -> list[Merchant]:
        """Up to ``count`` different online shops of all kinds."""
        anywhere = self.world.places.cities[0].place
        picks = (self.world.merchants.pick(self.rng, anywhere, online=True) for _ in range(3 * count))
        return list({shop.merchant_id: shop for shop in picks}.values())[:count]

    def shop(self, customer: Customer, place: Place, moment_s: float) -> Merchant:
        """An open shop in the city of ``place``, of a kind the customer goes to."""
        mix = tuple(self.world.personas[customer.persona].merchants)
        return self.scene.shop(place, self.hour(moment_s), mix)

    # -- amounts --------------------------------------------------------------------------

    def chosen_amount(self) -> int | None:
        """An amount in cents from the scenario's `amount_range` or `amounts`; None if it gives none."""
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

    # -- outcomes -------------------------------------------------------------------------

    def note(self, planned: Planned, outcome: Outcome) -> None:
        """Record the effect of a step; called by `CampaignRun`, not by typologies.

        A blocked step costs one mule the account: the one that paid, else the one to be paid.
        """
        tx = planned.transaction
        self.wallet.note(tx, outcome)
        if self._crew is None or outcome.detector.decision is not Decision.BLOCK:
            return
        parties = (tx.account, *(() if tx.counterparty is None else (tx.counterparty,)))
        burned = next((p.customer_index for p in parties if self._crew.holds(p.customer_index)), None)
        if burned is not None:
            self._crew.replace(burned)

    # -- steps ----------------------------------------------------------------------------
    #
    # A typology decides who pays whom how much.  Everything else the bank sees is filled in here as
    # for a genuine customer: an opaque id, a channel that is open at that hour, whole notes from a
    # machine, an amount within the payer's limit, a few plain words.

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
            here = place or self.rng.choice(self.habits(customer).cash_machines)
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
        refund: bool = False,
        device: str | None = None,
        role: str = "accomplice",
    ) -> Planned:
        """Money paid in: cash at a counter or machine, or a cheque by photo; or a shop's ``refund``."""
        moment_s = self.next_moment() if at is None else at
        channel = self._channel(
            customer, Kind.DEPOSIT, (Channel.BRANCH, Channel.ATM) if cash else (Channel.MOBILE,), moment_s
        )
        device = customer.devices[0] if device is None else device
        paid_in = self.step(
            Kind.DEPOSIT, customer, amount_cents, moment_s, channel, customer.home, device=device, role=role
        )
        if not refund:
            return paid_in
        return replace(paid_in, transaction=replace(paid_in.transaction, description="Refund"))

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
        """Money to ``payee``'s main account; cash if payer and payee are one person."""
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
            self.wallet.written(amount_cents),
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
            device_id=self._own_device(
                customer, self.scene.device(customer) if device is None else device, at
            ),
            description=self._description(kind, customer, channel, merchant),
            counterparty=None if payee is None else AccountRef(payee.index),
            merchant=merchant,
        )
        stage = self._stage(kind, role) if self._label is Label.FRAUD else FraudStage.NONE
        truth = Truth(self._label, customer.persona, self.spec.typology, self.spec.campaign_id, role, stage)
        return Planned(transaction, truth, at)

    def _own_device(self, customer: Customer, device: str, at: float) -> str:
        """``device``, or what the customer has in its place by now."""
        if device not in customer.devices:
            return device
        return self._normal.habits.columns.device_id(customer.index, customer.devices.index(device), at)

    @staticmethod
    def preparation(step: Planned) -> Planned:
        """The step as one that only prepares: a probe, a payment for trust, the history of an identity."""
        return replace(step, truth=replace(step.truth, stage=FraudStage.PREPARATION))

    @staticmethod
    def owners_own(step: Planned) -> Planned:
        """The step as the account holder's own: genuine, and not counted in the campaign's size."""
        return replace(step, truth=Truth(Label.GENUINE, step.truth.persona))

    @staticmethod
    def _stage(kind: Kind, role: str) -> FraudStage:
        if role in LAUNDERERS:
            return FraudStage.LAUNDERING
        return FraudStage.PREPARATION if kind in CREDIT_KINDS or role == INVENTED else FraudStage.HARM

    def _channel(self, customer: Customer, kind: Kind, allowed: tuple[Channel, ...], at: float) -> Channel:
        return self._normal.channel(self.world, customer, kind, allowed, at, self.rng)

    def _description(
        self, kind: Kind, customer: Customer, channel: Channel, merchant: Merchant | None
    ) -> str:
        if merchant is not None:
            return payments.purchase_words(merchant.name)
        if kind is Kind.SALARY:
            return payments.pay_words(self.world.personas[customer.persona])
        if kind is Kind.TRANSFER:
            return self.rng.choice(payments.TRANSFER_WORDS)
        if kind is Kind.WITHDRAWAL:
            return payments.withdrawal_words(channel)
        return payments.deposit_words(channel)
