"""Can fraud be told from a glance?  Two naive detectors that must fail.

A depth-2 decision tree on amount, hour, weekday, id, name, customer and balance, and a scorer per column that
learns the fraud rate of each value (of fifty bins, where values are numbers).  Both learn
from one half of the campaigns and are measured on the other, by average precision: the
base rate is what a coin reaches, 1 is perfect.

Decoys count as genuine, as they do everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from banksim.dataset.check.sample import FRAUD, GENUINE, Sample
from banksim.model import BanksimError

NO_SKLEARN = "The self-check needs scikit-learn: pip install 'banksim[check]'"
#: Fraud rows, in the half that is learnt from and in the other, below which nothing can be said.
LEAST_FRAUD = 50
_BINS = 50
_SMOOTHING = 50.0
_SEED = 0


@dataclass(frozen=True, slots=True)
class Separation:
    """Average precision of one naive detector."""

    name: str
    precision: float


@dataclass(frozen=True, slots=True)
class Separations:
    """All of them.  ``base_rate`` is the share of fraud in the half that is measured."""

    base_rate: float
    fraud_rows: int
    found: tuple[Separation, ...]


def import_sklearn() -> tuple[Any, Any, Any]:
    """numpy, the tree, and average precision.  Raises BanksimError where they are not installed."""
    try:
        import numpy
        from sklearn.metrics import average_precision_score
        from sklearn.tree import DecisionTreeClassifier
    except ImportError as error:
        raise BanksimError(NO_SKLEARN) from error
    return numpy, DecisionTreeClassifier, average_precision_score


def separate(sample: Sample) -> Separations | None:
    """Try to cheat; None when there is too little fraud to say."""
    np, tree_type, average_precision = import_sklearn()
    columns = {name: np.asarray(values) for name, values in _columns(sample, np).items()}
    fraud = np.asarray(sample.label) == FRAUD
    learns = _learning_half(sample, np)
    tests = ~learns
    if fraud[learns].sum() < LEAST_FRAUD or fraud[tests].sum() < LEAST_FRAUD:
        return None
    table = np.column_stack(list(columns.values()))
    tree = tree_type(max_depth=2, class_weight="balanced", random_state=_SEED)
    tree.fit(table[learns], fraud[learns])
    scores = tree.predict_proba(table[tests])[:, 1]
    found = [Separation("depth-2 tree on all of them", float(average_precision(fraud[tests], scores)))]
    for name, values in columns.items():
        scores = _scored(values, fraud, learns, name == "name", np)
        found.append(Separation(f"{name} alone", float(average_precision(fraud[tests], scores[tests]))))
    return Separations(float(fraud[tests].mean()), int(fraud.sum()), tuple(found))


def _columns(sample: Sample, np: Any) -> dict[str, Any]:
    hours = np.asarray(sample.time_s) // 3600
    return {
        "amount": sample.amount_cents,
        "hour": hours % 24,
        "weekday": (hours // 24 + 3) % 7,
        "id": sample.id_number,
        "customer": sample.customer,
        "name": sample.name,
        "balance": sample.balance_cents,
    }


def _learning_half(sample: Sample, np: Any) -> Any:
    """Half of the campaigns, whole, and half of the genuine rows."""
    label, campaign = np.asarray(sample.label), np.asarray(sample.campaign)
    by_chance = np.random.default_rng(_SEED).random(len(label)) < 0.5
    return np.where(label == GENUINE, by_chance, campaign % 2 == 0)


def _scored(values: Any, fraud: Any, learns: Any, is_name: bool, np: Any) -> Any:
    """For every row the fraud rate its value had in the learning half, drawn towards the mean."""
    if is_name:
        bins = values
    else:
        edges = np.unique(np.quantile(values[learns], np.linspace(0, 1, _BINS + 1)[1:-1]))
        bins = np.searchsorted(edges, values, side="right")
    size = int(bins.max()) + 1
    rows = np.bincount(bins[learns], minlength=size)
    hits = np.bincount(bins[learns], weights=fraud[learns], minlength=size)
    mean = fraud[learns].mean()
    return ((hits + _SMOOTHING * mean) / (rows + _SMOOTHING))[bins]
