"""The catalogue: every figure a threshold can name, with its unit and how it is read.

One table, from which the parser, the judge and the reference in docs/thresholds.md take
what they know.  All figures are those of the whole run so far, the same that results.json
holds at its end; detection and transaction latency leave out the warm-up, as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from banksim.measure.thresholds.readings import (
    CORRELATION,
    COUNT,
    INDEX,
    PER_10000,
    RATE,
    SHARE,
    TIME,
    Read,
    Unit,
    balance_violations,
    campaign_recall,
    compared,
    completion,
    errors,
    fp_per_10000,
    fraud_transactions,
    growth,
    latency,
    of_all,
    of_fraud,
    part,
    peak_tps,
    per_second,
    recall,
    resent,
    tally_count,
    with_interval,
    within,
)

#: What can stand in the brackets of a latency.
SYSTEMS = ("nexum", "bastion")


class Bracket(StrEnum):
    """What may stand in brackets after a metric's name."""

    NONE = "none"
    TYPOLOGY = "a typology, or nothing for all"
    SYSTEM = "nexum or bastion"
    ANY_SYSTEM = "nexum or bastion, or nothing for transactions"
    LENGTH = "a length of time, such as 10s"


@dataclass(frozen=True, slots=True)
class Metric:
    """``no_data`` says why there may be no figure; ``grows``: a count that starts at 0 and never falls."""

    name: str
    unit: Unit
    meaning: str
    read: Read
    no_data: str
    bracket: Bracket = Bracket.NONE
    grows: bool = False
    statistics: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """How it is written, as in the reference: `latency[nexum|bastion].p95`."""
        inside = {
            Bracket.NONE: "",
            Bracket.TYPOLOGY: "[typology]",
            Bracket.SYSTEM: "[nexum|bastion]",
            Bracket.ANY_SYSTEM: "[nexum|bastion]",
            Bracket.LENGTH: "[10s]",
        }[self.bracket]
        return self.name + inside + (".p95" if self.statistics else "")


NOT_ASKED = "the detector judged no transaction"
NO_FRAUD = "the detector judged no fraud"
NOT_BOTH = "the detector did not score both fraud and genuine transactions"
NOTHING_SENT = "no transaction was sent"
NOT_COMPARED = "balances were not compared after the run"
NOTHING_ENDED = "no transaction ended"
NOTHING_OFFERED = "no transaction was offered"
NOTHING_ACCEPTED = "no system promised a completion"
NO_TIME = "the run had no length"


CATALOGUE: tuple[Metric, ...] = (
    Metric(
        "recall",
        SHARE,
        "fraud that raised an alert ÷ fraud the detector was asked about",
        recall,
        NO_FRAUD,
        Bracket.TYPOLOGY,
    ),
    Metric(
        "campaign_recall",
        SHARE,
        "campaigns with at least one alert ÷ all campaigns",
        campaign_recall,
        "no campaign was judged by the detector",
    ),
    Metric(
        "precision",
        SHARE,
        "alerts that were fraud ÷ all alerts; depends on how much fraud was sent",
        with_interval("precision", ("tp", "fp")),
        "there was no alert",
    ),
    Metric(
        "precision_adjusted",
        SHARE,
        "precision restated at the prevalence that results.json states",
        of_fraud("precision_adjusted"),
        NOT_BOTH,
    ),
    Metric(
        "fpr",
        SHARE,
        "genuine transactions that raised an alert ÷ those the detector was asked about",
        with_interval("false_positive_rate", ("fp", "tn")),
        "the detector judged no genuine transaction",
        aliases=("false_positive_rate",),
    ),
    Metric(
        "fp_per_10000",
        PER_10000,
        "false positives for every 10,000 genuine transactions",
        fp_per_10000,
        "the detector judged no genuine transaction",
        aliases=("false_positives_per_10000",),
    ),
    Metric(
        "alert_rate",
        SHARE,
        "alerts ÷ transactions the detector was asked about",
        of_all("alert_rate"),
        NOT_ASKED,
    ),
    Metric(
        "coverage",
        SHARE,
        "transactions with a usable score ÷ transactions sent",
        of_all("coverage"),
        NOT_ASKED,
    ),
    Metric(
        "value_detection_rate",
        SHARE,
        "money of fraud that raised an alert ÷ money of fraud judged",
        of_fraud("value_detection_rate"),
        NO_FRAUD,
    ),
    Metric("f1", INDEX, "harmonic mean of precision and recall", of_fraud("f1"), NO_FRAUD),
    Metric(
        "mcc",
        CORRELATION,
        "Matthews correlation of alert and fraud",
        of_fraud("mcc"),
        "there were not both alerts and passes, on both fraud and genuine transactions",
    ),
    Metric(
        "average_precision",
        INDEX,
        "area under precision over recall, from the scores",
        of_fraud("average_precision"),
        NOT_BOTH,
    ),
    Metric(
        "roc_auc", INDEX, "chance that a fraud outscores a genuine transaction", of_fraud("roc_auc"), NOT_BOTH
    ),
    Metric(
        "fraud_transactions",
        COUNT,
        "fraudulent transactions that ended after the warm-up",
        fraud_transactions,
        NOTHING_SENT,
        Bracket.TYPOLOGY,
        grows=True,
    ),
    Metric(
        "response_time",
        TIME,
        "from the intended start to the last answer: what a customer waits",
        latency("response"),
        NOTHING_SENT,
        statistics=True,
    ),
    Metric(
        "service_time",
        TIME,
        "from the actual start to the last answer",
        latency("service"),
        NOTHING_SENT,
        statistics=True,
    ),
    Metric(
        "lag",
        TIME,
        "from the intended to the actual start: how late the generator was",
        latency("lag"),
        NOTHING_SENT,
        statistics=True,
    ),
    Metric(
        "latency",
        TIME,
        "one call to one system, without the opening of customers before the run",
        latency(),
        "no call to {label} was made",
        Bracket.SYSTEM,
        statistics=True,
    ),
    Metric(
        "completion",
        TIME,
        "from acceptance to completion, where a system completes later; one that never came counts with its "
        "deadline",
        completion,
        NOTHING_ACCEPTED,
        statistics=True,
    ),
    Metric(
        "within",
        SHARE,
        "completions that came in that time ÷ all that were promised",
        within,
        NOTHING_ACCEPTED,
        Bracket.LENGTH,
    ),
    Metric(
        "growth",
        TIME,
        "by how much the calls to a system get slower with every 1,000 of them, at a like rate",
        growth,
        "too few stretches of a like rate for a trend of {label}",
        Bracket.SYSTEM,
    ),
    Metric(
        "resent",
        COUNT,
        "requests sent again after a lost connection or a gateway's error; in brackets: to one system",
        resent,
        "no call was made",
        Bracket.ANY_SYSTEM,
        grows=True,
    ),
    Metric(
        "errors",
        SHARE,
        "transactions failed or unanswered ÷ ended; in brackets: calls failed ÷ calls made",
        errors,
        NOTHING_ENDED,
        Bracket.ANY_SYSTEM,
    ),
    Metric(
        "refusals",
        SHARE,
        "transactions the bank answered with a refusal ÷ sent",
        part("refused", "started"),
        NOTHING_SENT,
    ),
    Metric(
        "failed",
        COUNT,
        "transactions that ended in an error",
        tally_count("failed", "started"),
        NOTHING_SENT,
        grows=True,
    ),
    Metric(
        "unknown",
        COUNT,
        "transactions without an answer: booked or not is unknown",
        tally_count("unknown", "started"),
        NOTHING_SENT,
        grows=True,
    ),
    Metric(
        "balance_violations",
        COUNT,
        "accounts found, while the run went on, not to hold what the bank acknowledged",
        balance_violations,
        "no balance was read while the run went on",
        grows=True,
    ),
    Metric(
        "balance_differences",
        COUNT,
        "accounts that do not hold what the bank acknowledged, compared after the run",
        compared("differing"),
        NOT_COMPARED,
    ),
    Metric(
        "balances_unread",
        COUNT,
        "accounts whose balance could not be read after the run",
        compared("unread"),
        NOT_COMPARED,
    ),
    Metric(
        "drops",
        COUNT,
        "arrivals that could not start in time and were not sent",
        tally_count("dropped", "offered"),
        NOTHING_OFFERED,
        grows=True,
    ),
    Metric(
        "achieved_rate",
        SHARE,
        "transactions sent ÷ transactions offered",
        part("started", "offered"),
        NOTHING_OFFERED,
    ),
    Metric("transactions", COUNT, "transactions sent", tally_count("started"), NOTHING_SENT, grows=True),
    Metric(
        "tps",
        RATE,
        "transactions sent, mean over the run",
        per_second("started"),
        NO_TIME,
        aliases=("achieved_tps",),
    ),
    Metric("offered_tps", RATE, "transactions offered, mean over the run", per_second("offered"), NO_TIME),
    Metric(
        "peak_tps",
        RATE,
        "transactions sent in the busiest point of the timeline",
        peak_tps,
        NOTHING_SENT,
        grows=True,
    ),
)


# -- The catalogue as a table for people: what docs/thresholds.md holds, word for word --------------


def metric_table() -> str:
    """The metrics as a Markdown table: metric, unit, brackets, meaning."""
    lines = ["| Metric | Unit | In brackets | Meaning |", "|---|---|---|---|"]
    lines += [_line(metric) for metric in CATALOGUE]
    return "\n".join(lines) + "\n"


def _line(metric: Metric) -> str:
    unit = {SHARE.name: "share: `90%` or `0.9`", TIME.name: "time: `us`, `ms`, `s`, `min`"}.get(
        metric.unit.name, metric.unit.name
    )
    brackets = "–" if metric.bracket is Bracket.NONE else str(metric.bracket)
    aliases = f" Also `{'`, `'.join(metric.aliases)}`." if metric.aliases else ""
    # The form's own "nexum|bastion" would end a cell of the table.
    name = (
        metric.name
        + ("[…]" if metric.bracket is Bracket.SYSTEM else "")
        + (".…" if metric.statistics else "")
    )
    return f"| `{name}` | {unit} | {brackets} | {metric.meaning}.{aliases} |"
