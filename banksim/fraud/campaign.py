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

A decoy is a campaign of honest people: its steps come from their own devices and homes.

Parts: `pace` (time), `cast` and `crew` (people), `wallet` (money), `scene` (devices and places),
`steps` (the transactions themselves).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from banksim.activity.habits import Habits
from banksim.activity.trips import Trip
from banksim.domain import Decision, Label, Merchant, Outcome, Place, Planned
from banksim.fraud.cast import Cast, Suits
from banksim.fraud.crew import Crew
from banksim.fraud.customs import Customs
from banksim.fraud.loot import Loot
from banksim.fraud.pace import Pace
from banksim.fraud.registry import Typology
from banksim.fraud.scene import Scene
from banksim.fraud.spec import CampaignSpec
from banksim.fraud.steps import StepMaker
from banksim.fraud.wallet import Wallet
from banksim.scenario import Pattern
from banksim.world import Customer, World, stream

#: Card testing amounts when the scenario gives none, in dollar-like units.
SMALL_UNITS = (0.20, 5.00)
#: People a campaign remembers having used; in a larger one some may come up twice.
MAX_USED = 100_000
#: The most accomplices one campaign has.
MAX_CREW = 200
#: Categories whose goods are easily turned into money.
RESALE_CATEGORIES = ("electronics", "jewellery", "department", "clothing", "online_retail", "digital_goods")


class Campaign(StepMaker):
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
        rng: random.Random = stream(world.seed, "campaign", spec.campaign_id)
        scene = Scene(world, rng, spec.sophistication, honest=typology.label is Label.DECOY)
        super().__init__(spec, typology, world, customs, rng, Wallet(world, rng), scene)
        self.options = options
        self.size = spec.size
        self.intensity = spec.intensity
        self.sophistication = spec.sophistication
        self.made = 0
        self.loot = Loot()
        self.inherited = inherited
        self._cast = cast
        self._onboarded = onboarded
        self._pace = Pace(
            rng, spec.start_s, spec.deadline_s, typology.mean_gap_s, spec.intensity, spec.sophistication
        )
        self._used: set[int] = set()
        self._turn = 0
        self._crew: Crew | None = None

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

    def wait_until(self, moment_s: float) -> None:
        """Let time pass: later steps are not before ``moment_s``, nor after the deadline."""
        self._pace.skip_to(moment_s)

    def fair_span_s(self, steps: int) -> float:
        """The time to the deadline that ``steps`` of the transactions left may take."""
        return max(0.0, self.spec.deadline_s - self.now_s) * min(1.0, steps / max(1, self.left))

    def story_size(self, least: int, usual: tuple[int, int]) -> int:
        """Transactions of the next story: about ``usual``, or all when fewer than ``least`` would be left."""
        steps = min(self.left, self.rng.randint(*usual))
        return self.left if self.left - steps < least else steps

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

    def accomplice(self, least_limit_cents: int = 0, least_balance_cents: int = 0) -> Customer:
        """Somebody who lends an account, not yet used in this campaign if there is one left."""

        def suits(customer: Customer) -> bool:
            return (
                self.wallet.limit(customer) >= least_limit_cents
                and self.wallet.balance(customer) >= least_balance_cents
                and self._is_customer(customer)
            )

        return self._remembered(self._cast.accomplice(self.rng, suits, self._used))

    def crew(self, posts: int, least_limit_cents: int = 0) -> Crew:
        """Accomplices who stay the same for the whole campaign, but for those who get blocked."""
        if self._crew is None:
            self._crew = self.new_crew(posts, least_limit_cents)
        return self._crew

    def new_crew(self, posts: int, least_limit_cents: int = 0, least_balance_cents: int = 0) -> Crew:
        """Other accomplices than before, as far as there are any; from now on these are the crew."""
        self._crew = Crew(
            lambda: self.accomplice(least_limit_cents, least_balance_cents), min(posts, MAX_CREW)
        )
        return self._crew

    def bystander(self, suits: Suits = lambda _: True) -> Customer:
        """An honest customer for a decoy, exposed or not; ``suits`` is a wish."""
        found = self._cast.bystander(self.rng, lambda c: self._is_customer(c) and suits(c), self._used)
        return self._remembered(found)

    def habits(self, customer: Customer) -> Habits:
        """What the customer keeps coming back to."""
        return self._customs.of_customer(customer)

    def journey(self, customer: Customer, moment_s: float) -> Trip | None:
        """The customer's own journey around that moment, in unix seconds, if there is one."""
        return self._customs.trips.trip(customer, self.world.timestamp_s(moment_s))

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

    # -- outcomes -------------------------------------------------------------------------

    def note(self, planned: Planned, outcome: Outcome) -> None:
        """Remember what a step did; called by the run, not by typologies.

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
