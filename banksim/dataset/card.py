"""The data card: what is in a data set, how it was made, and what it is not good for.

Holds no date and no machine's name: the same command writes the same card.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import banksim
from banksim.activity.block import CHANNELS, KINDS
from banksim.dataset.files import TRUTH_COLUMNS, Column, Money
from banksim.dataset.stream import Batch, Entry, Stream
from banksim.model import BankStatus, Label
from banksim.run.plan import Parts
from banksim.scenario import Scenario

# -- What a data set holds, counted while it is written: the figures of the data card ---------------
#
# Bounded by the registry (typologies) and the plan (campaigns).


@dataclass(slots=True)
class TypologyCount:
    """One kind of fraud or decoy.  ``cents`` is the sum of what was posted."""

    label: Label
    rows: int = 0
    refused: int = 0
    cents: int = 0
    campaigns: set[str] = field(default_factory=set)


class Tally:
    """Counts of rows; ``last_s`` is the simulated second of the last one."""

    def __init__(self) -> None:
        self.rows = 0
        self.refused = 0
        self.first_s = 0.0
        self.last_s = 0.0
        self.kinds: Counter[str] = Counter()
        self.channels: Counter[str] = Counter()
        self.typologies: dict[str, TypologyCount] = {}

    def add(self, batch: Batch) -> None:
        """Count some rows, in order of time."""
        if not len(batch):
            return
        block, entries = batch.block, [entry for _, entry in batch.dated]
        moments = [planned.sim_s for planned, _, _ in entries] + block.sim_s[[0, -1][: len(block)]].tolist()
        self.first_s = self.first_s if self.rows else min(moments)
        self.last_s = max(moments)
        self.rows += len(batch)
        for counter, names, codes in (
            (self.kinds, KINDS, block.kind),
            (self.channels, CHANNELS, block.channel),
        ):
            for code, count in enumerate(np.bincount(codes, minlength=len(names)).tolist()):
                counter[str(names[code])] += count
        self.kinds.update(str(planned.transaction.kind) for planned, _, _ in entries)
        self.channels.update(str(planned.transaction.channel) for planned, _, _ in entries)
        self._add_marked(entry for entry in entries if entry[0].truth.typology)
        self.refused += int(np.count_nonzero(block.refused))
        self.refused += sum(outcome.bank.status is BankStatus.REFUSED for _, outcome, _ in entries)

    @property
    def fraud(self) -> int:
        """Rows with the label fraud."""
        return sum(c.rows for c in self.typologies.values() if c.label is Label.FRAUD)

    @property
    def decoys(self) -> int:
        return sum(c.rows for c in self.typologies.values() if c.label is Label.DECOY)

    def _add_marked(self, entries: Iterable[Entry]) -> None:
        for planned, outcome, _ in entries:
            truth = planned.truth
            count = self.typologies.setdefault(truth.typology, TypologyCount(truth.label))
            count.rows += 1
            count.campaigns.add(truth.campaign_id)
            if outcome.bank.status is BankStatus.REFUSED:
                count.refused += 1
            else:
                count.cents += planned.transaction.amount_cents


_SOURCES = """\
Marks: C computed from public files, X press or excerpt, J judgement; X and J are indicative.

| what | from | mark |
|---|---|---|
| mean of a card purchase near 47 | US Federal Reserve, Regulation II, 2023 | C |
| spread of amounts (sigma 0.67–0.81; transfers 1.39) | aggregates behind PaySim | C |
| medians by category | means published with Sparkov | X |
| purchases by hour and weekday | two daily surges, as card networks describe them | J, X |
| how often salaries are paid | US Bureau of Labor Statistics, 2019 | X |
| spending in the week after pay day | CaixaBank Research | X |
| card testing: 25 % live cards, tempo | incident reports | X |
| mules: 28 % of the money gone in 15 minutes, 53 % in an hour | UK case data | X |
| structuring: 3–20 deposits below 10,000 | | J |

Beside every figure in `personas.yaml` and the typologies stands its own source."""

_LIMITS = """\
- All people, shops and accounts are invented; cities are real, streets and names are not.
- Only habits written into the personas exist. There are no public holidays, and all
  customers live in one time zone (UTC).
- The bank behind the data approves whatever an account covers and never blocks a card. No detector looked on,
  so campaigns end by plan or by lack of money, not by being caught.
- Fraud is far more common than in life (about 0.015 % of card payments in Europe in 2023, indicative).
  Precision measured here must be recomputed for the prevalence it is meant for.
- Labels are known at once and are never wrong; in life they come late and some never come.
- Few seeds are one draw: compare several before a small difference is believed."""


@dataclass(frozen=True, slots=True)
class CardContents:
    """Everything a card tells.  ``files`` are those of the set with their columns, transactions first."""

    scenario: Scenario
    seed: int
    parts: Parts
    stream: Stream
    tally: Tally
    files: Mapping[Path, Sequence[Column]]
    command: str
    limit: int | None


def write_card(path: Path, card: CardContents) -> None:
    path.write_text("\n\n".join(_sections(card)) + "\n", encoding="utf-8")


def _sections(card: CardContents) -> list[str]:
    return [
        f"# Data card: {next(iter(card.files)).name}",
        "Invented bank transactions with their truth, for training and testing fraud detectors.",
        "## How it was made\n\n" + _origin(card),
        "## Counts\n\n" + _counts(card),
        "## Kinds of fraud and decoys\n\n" + _typologies(card),
        "## Labels\n\n" + _labels(),
        "## Columns\n\n" + _columns(card),
        "## Calibration\n\n" + _SOURCES,
        "## Known limits\n\n" + _LIMITS,
    ]


def _origin(card: CardContents) -> str:
    scenario = card.scenario
    return _table(
        ("", ""),
        [
            ("command", f"`{card.command}`"),
            ("banksim", banksim.__version__),
            ("scenario", f"{_text(scenario.name)}, content hash `{scenario.hash}`"),
            ("seed", str(card.seed)),
            (
                "simulated time",
                f"from {scenario.start_at:%Y-%m-%d %H:%M} UTC, {scenario.duration_hours:g} hours",
            ),
            (
                "speed",
                f"{scenario.speed_multiplier:g}: rates are per wall second, so it decides the number of rows",
            ),
            ("cut off", "no" if card.limit is None else f"after {card.limit:,} rows (`--limit`)"),
        ],
    )


def _counts(card: CardContents) -> str:
    tally, stream = card.tally, card.stream
    rows = [
        ("transactions", f"{tally.rows:,}"),
        ("genuine", f"{tally.rows - tally.fraud - tally.decoys:,}"),
        ("fraud", f"{tally.fraud:,} ({_percent(tally.fraud, tally.rows)})"),
        ("decoys", f"{tally.decoys:,} ({_percent(tally.decoys, tally.rows)})"),
        ("refused by the bank", f"{tally.refused:,} ({_percent(tally.refused, tally.rows)})"),
        ("customers", f"{card.parts.world.population.size:,}"),
        ("accounts per customer", str(card.scenario.accounts_per_customer)),
        ("joined during the run", f"{stream.joined:,}, turned away {stream.rejected:,}"),
        ("arrivals without a customer who could act", f"{stream.skipped:,}"),
        ("steps of campaigns without an account", f"{stream.impossible:,}"),
    ]
    shares = [
        (f"{what}: {name}", f"{number:,} ({_percent(number, tally.rows)})")
        for what, counter in (("kind", tally.kinds), ("channel", tally.channels))
        for name, number in sorted(counter.items())
    ]
    return _table(("what", "rows"), rows + shares)


def _typologies(card: CardContents) -> str:
    tally, money = card.tally, Money(card.parts.world.currency)
    if not tally.typologies:
        return "None in this file."
    rows = [
        (
            _text(name),
            str(count.label.value),
            f"{count.rows:,}",
            _percent(count.rows, tally.rows),
            f"{len(count.campaigns):,}",
            f"{count.refused:,}",
            money.text(count.cents),
        )
        for name, count in sorted(tally.typologies.items())
    ]
    share = card.parts.desk.share
    planned = share.times(card.parts.offered).total() / max(1e-9, card.parts.offered.total())
    head = (
        "typology",
        "label",
        "rows",
        "share",
        "campaigns",
        "refused",
        f"posted {card.parts.world.currency}",
    )
    note = f"The scenario asks for {planned:.3%} fraud by rate; counted patterns come on top."
    return _table(head, rows) + "\n\n" + note


def _labels() -> str:
    return (
        "A row is **fraud** when it is a step of a campaign, whoever's account it uses: the robbed victim's "
        "transfer and the mule's passing on of the money are both fraud. **decoy** is genuine behaviour that "
        "looks like fraud and counts as not fraud (`is_fraud` 0). Everything else is **genuine**. Labels "
        "were fixed before the bank answered; a refused attempt is fraud all the same.\n\n"
        f"Only a simulator knows {', '.join(f'`{name}`' for name in TRUTH_COLUMNS)}: take them out of what a "
        "detector learns from."
    )


def _columns(card: CardContents) -> str:
    parts: list[str] = []
    for path, columns in card.files.items():
        parts += [f"In `{path.name}`:", _column_table(columns)]
    return "\n\n".join(parts)


def _column_table(columns: Sequence[Column]) -> str:
    return _table(("column", "type", "unit", "meaning"), [(f"`{c.name}`", *c[1:]) for c in columns])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _text(text: str) -> str:
    """Text of a scenario inside a Markdown table."""
    return " ".join(text.replace("|", "/").replace("<", "‹").split())


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.3%}" if whole else "n/a"
