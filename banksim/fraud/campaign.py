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
from collections.abc import Callable, Iterable, Iterator

from banksim.activity.habits import Habits
from banksim.activity.journeys import Trip
from banksim.fraud.attacker import Customs, Scene
from banksim.fraud.calendar import CampaignSpec
from banksim.fraud.money import Wallet
from banksim.fraud.people import Cast, Crew, Suits
from banksim.fraud.steps import StepMaker
from banksim.fraud.typology import Typology
from banksim.model import Decision, Label, Merchant, Outcome, Place, Planned
from banksim.scenario import Pattern
from banksim.world import Customer, World, stream

# -- A campaign's own clock: when its next step happens, in simulated seconds -----------------------
#
# Steps come at the typology's natural tempo × intensity as long as there is time.  When what
# is left to do would not fit before the deadline, the steps are squeezed, never dropped: with
# k mean gaps still wanted in a remaining time T, the next gap is
#
#     T · (1 − U^(1/k))      U uniform in (0, 1)
#
# which is the spacing of k uniform moments in T.  It is never longer than T, so the deadline
# holds whatever is drawn, and the steps stay evenly spread instead of piling up at the end.
#
# Sophistication changes the rhythm: at 0 a script's near-constant gaps, at 1 longer,
# exponential ones, as people have.  Nothing here reads the wall clock.


#: A script's gaps vary this much around their mean (judgement).
SCRIPT_JITTER = 0.3
#: A careful fraudster takes up to this much longer than a script (judgement).
CAREFUL_FACTOR = 2.0


class Pace:
    """The cursor of simulated time of one campaign.  ``mean_gap_s`` is the typology's usual gap."""

    def __init__(
        self,
        rng: random.Random,
        start_s: float,
        deadline_s: float,
        mean_gap_s: float,
        intensity: float,
        sophistication: float,
    ) -> None:
        self._rng = rng
        self.now_s = start_s
        self.deadline_s = max(start_s, deadline_s)
        self._usual_gap_s = mean_gap_s / intensity
        self._intensity = intensity
        self._sophistication = sophistication
        self._fresh = True

    def next_moment(self, steps_left: int, mean_gap_s: float | None = None) -> float:
        """Move to the next step and return its moment.

        ``steps_left`` counts the step asked for and those after it.  ``mean_gap_s`` is a gap
        at intensity 1; the typology's usual one when not given.  The first step of a campaign is
        at its start.
        """
        if self._fresh:
            self._fresh = False
            return self.now_s
        mean_s = self._usual_gap_s if mean_gap_s is None else mean_gap_s / self._intensity
        return self._advance(mean_s, mean_s + max(0, steps_left - 1) * self._usual_gap_s)

    def within(self, until_s: float, steps: int, steps_left: int) -> float:
        """Move to the next of ``steps`` steps that are spread evenly up to ``until_s``, and return it.

        They get no more than their part of the time to the deadline, of ``steps_left`` in all.
        """
        if self._fresh:
            self._fresh = False
            return self.now_s
        fair_s = (self.deadline_s - self.now_s) * min(1.0, steps / max(1, steps_left))
        room_s = max(0.0, min(until_s - self.now_s, fair_s))
        self.now_s += room_s * (1.0 - (1.0 - self._rng.random()) ** (1.0 / max(1, steps)))
        return self.now_s

    def skip_to(self, moment_s: float) -> None:
        """Let time pass up to ``moment_s``, at most to the deadline; the next step is not before it."""
        self.now_s = max(self.now_s, min(moment_s, self.deadline_s))

    def _advance(self, mean_s: float, wanted_s: float) -> float:
        left_s = self.deadline_s - self.now_s
        careful = 1.0 + CAREFUL_FACTOR * self._sophistication
        if wanted_s * careful <= left_s:
            gap_s = min(self._gap(mean_s) * careful, left_s / 2)
        elif wanted_s <= left_s:
            gap_s = min(self._gap(mean_s), left_s / 2)
        elif wanted_s > 0 and left_s > 0:
            gap_s = left_s * (1.0 - (1.0 - self._rng.random()) ** (mean_s / wanted_s))
        else:
            gap_s = 0.0
        self.now_s += gap_s
        return self.now_s

    def _gap(self, mean_s: float) -> float:
        script = self._rng.uniform(1 - SCRIPT_JITTER, 1 + SCRIPT_JITTER)
        human = self._rng.expovariate(1.0)
        return mean_s * ((1 - self._sophistication) * script + self._sophistication * human)


# -- What a campaign got away with: the customers whose card or account worked ----------------------
#
# A follower inherits it.  Bounded: beyond `MAX_LOOT` nothing is added, only counted; a
# thief with ten thousand live cards has no use for more.


MAX_LOOT = 10_000


class Loot:
    """Indices of customers, each once, in the order they were won."""

    def __init__(self, indices: Iterable[int] = ()) -> None:
        self._indices: dict[int, None] = {}
        self.overflow = 0
        for index in indices:
            self.add(index)

    def add(self, target: Customer | int) -> None:
        index = target if isinstance(target, int) else target.index
        if index in self._indices:
            return
        if len(self._indices) >= MAX_LOOT:
            self.overflow += 1
            return
        self._indices[index] = None

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __contains__(self, target: object) -> bool:
        return (target.index if isinstance(target, Customer) else target) in self._indices


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
