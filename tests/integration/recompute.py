"""Work out a run's figures again, from nothing but its transaction log.

    python recompute.py RUN_FOLDER        exit code 0: all equal, 1: a line for each difference

Written apart from banksim and importing none of it, so that no fault there is repeated.  Counts, money
and moments must be equal; percentiles may differ by 0.1 %.  AUC and AP must be equal over the score bins.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, str]

#: The one kind of arrival that has no line: nobody was there to plan it for.
WITHOUT_LINE = "no customer was open"
HALF_MICROSECOND_MS = 0.000_501


def main(folder: Path) -> int:
    results = json.loads((folder / "results.json").read_text())
    with (folder / "transactions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    checks = list(comparisons(rows, results))
    differences = [line for line in checks if line]
    for line in differences:
        print(line)
    print(f"{len(checks)} figures of {len(rows)} transactions, {len(differences)} differ")
    return 1 if differences else 0


def comparisons(rows: list[Row], results: dict[str, Any]) -> Iterator[str]:
    """One text per figure compared: empty when equal."""
    if len({row["transaction_id"] for row in rows}) != len(rows):
        yield "a transaction id stands in the log twice"
    sent = [row for row in rows if row["bank_status"]]
    warm_from_s = (results["warm_up"] or {"sim_s": 0.0})["sim_s"]
    warm = [row for row in sent if float(row["sim_s"]) >= warm_from_s]
    yield from _tally(rows, sent, results["transactions"])
    yield from _detection(warm, results["detection"])
    yield from _ranking(warm, results["detection"])
    yield from _typologies(warm, results["fraud"])
    yield from _campaigns(warm, results["fraud"]["campaigns"])
    yield from _campaign_recall(warm, results)
    yield from _slices(warm, results)
    yield from _scores(warm, results["scores"])
    yield from _over_time(rows, sent, warm, results)
    if results["warm_up"]:
        cold = [row for row in sent if float(row["sim_s"]) < warm_from_s]
        yield from _detection(cold, results["warm_up"]["detection"])
    for name, value in LATENCIES.items():
        yield from _latency(name, sorted(map(value, warm)), results["latency_ms"][name])
    unscored = [LATENCIES["response"](row) for row in warm if row["detector_error"] and not row["score"]]
    yield equal("unscored apart", bool(unscored), "unscored" in results["latency_ms"])
    if unscored:
        yield from _latency("unscored", sorted(unscored), results["latency_ms"]["unscored"])
        yield equal("scored n", len(warm) - len(unscored), results["latency_ms"]["scored"]["count"])


def _tally(rows: list[Row], sent: list[Row], told: dict[str, Any]) -> Iterator[str]:
    fates = Counter(map(fate, sent))
    reasons = Counter(row["drop_reason"] for row in rows if not row["bank_status"])
    without_line = told["drop_reasons"].get(WITHOUT_LINE, 0)
    if without_line:
        reasons[WITHOUT_LINE] = without_line
    yield equal("offered", len(rows) + without_line, told["offered"])
    yield equal("sent", len(sent), told["sent"])
    yield equal("completed", fates["completed"] + fates["refused"], told["completed"])
    for name in ("refused", "failed", "unknown"):
        yield equal(name, fates[name], told[name])
    ended = sum(fates.values())
    yield equal("error_share", ratio(fates["failed"] + fates["unknown"], ended), told["error_share"])
    yield equal("dropped", sum(reasons.values()), told["dropped"])
    yield equal("drop reasons", dict(reasons), told["drop_reasons"])
    yield equal("fates as the log tells them", Counter(row["fate"] for row in sent), fates)


def _detection(rows: list[Row], told: dict[str, Any]) -> Iterator[str]:
    judged = [row for row in rows if row["decision"] != "n/a" or row["detector_error"]]
    fraud = [row for row in judged if row["label"] == "fraud"]
    genuine = [row for row in judged if row["label"] != "fraud"]
    tp, fp = sum(map(alert, fraud)), sum(map(alert, genuine))
    fn, tn = len(fraud) - tp, len(genuine) - fp
    caught, value_cents = losses(filter(alert, fraud)), losses(fraud)
    yield from _money(rows, told)
    yield from _harm([row for row in fraud if row["stage"] == "harm"], judged, told)
    scored = [row for row in judged if row["score"]]
    coverage = ratio(len(scored), len(rows)) if judged else None
    if not scored and not tp and not fp:  # nothing came back, so nothing is judged
        fraud, genuine, judged_rate, fn, tn = [], [], None, 0, 0
    else:
        judged_rate = ratio(tp + fp, len(judged))
    yield equal("confusion", {"tp": tp, "fp": fp, "tn": tn, "fn": fn}, told["confusion"])
    yield equal("recall", ratio(tp, len(fraud)), told["recall"])
    yield equal("false_positive_rate", ratio(fp, len(genuine)), told["false_positive_rate"])
    yield equal("precision", ratio(tp, tp + fp), told["precision"])
    yield equal("alert_rate", judged_rate, told["alert_rate"])
    yield equal("coverage", coverage, told["coverage"])
    yield equal("value_cents", value_cents, told["value_cents"])
    yield equal("caught_cents", caught, told["caught_cents"])
    yield equal("value_detection_rate", ratio(caught, losses(fraud)), told["value_detection_rate"])
    yield equal("scored", len(scored), told["scored"])
    yield equal("missing", len(judged) - len(scored), told["missing"])
    yield equal("unasked", len(rows) - len(judged), told["unasked"])
    net_cents = caught - fp * told["false_positive_cost_cents"] if fraud else None
    yield equal("net_savings_cents", net_cents, told["net_savings_cents"])
    yield equal("f1", ratio(2 * tp, 2 * tp + fp + fn) if fraud else None, told["f1"])
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    mcc = (tp * tn - fp * fn) / math.sqrt(product) if product else None
    yield equal("mcc", mcc, told["mcc"])
    if fraud and genuine:
        recall, fpr, prevalence = tp / len(fraud), fp / len(genuine), told["prevalence"]
        flagged = prevalence * recall + (1 - prevalence) * fpr
        adjusted = prevalence * recall / flagged if flagged else None
        yield equal("precision_adjusted", adjusted, told["precision_adjusted"])
    yield from _interval("precision", tp, tp + fp, told)
    yield from _recall_interval(rows, tp, len(fraud), told)
    yield from _interval("false_positive_rate", fp, len(genuine), told)


def _money(rows: list[Row], told: dict[str, Any]) -> Iterator[str]:
    """Of all fraud that was sent, whether the detector was asked or not."""
    fraud = [row for row in rows if row["label"] == "fraud"]
    yield equal("tried_cents", losses(fraud), told["tried_cents"])
    yield equal("lost_cents", losses(filter(booked, fraud)), told["lost_cents"])
    stopped = [row for row in fraud if alert(row) and not booked(row)]
    yield equal("stopped_cents", losses(stopped), told["stopped_cents"])
    yield equal("moved_cents", moved(filter(booked, fraud)), told["moved_cents"])
    in_reach = sum(map(reach_cents, by_campaign(rows).values()))
    yield equal("in_reach_cents", in_reach, told["in_reach_cents"])


def _harm(rows: list[Row], judged: list[Row], told: dict[str, Any]) -> Iterator[str]:
    alerts = sum(map(alert, rows))
    yield equal("harm", len(rows), told["harm"])
    if any(row["score"] or alert(row) for row in judged):
        yield equal("harm_recall", ratio(alerts, len(rows)), told["harm_recall"])
        yield from _interval("harm_recall", alerts, len(rows), told)


def by_campaign(rows: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["label"] == "fraud" and row["campaign_id"]:
            groups[row["campaign_id"]].append(row)
    return groups


def reach_cents(group: list[Row]) -> int:
    """What acting on a campaign's first alert could have saved."""
    first = next((place for place, row in enumerate(group) if alert(row)), None)
    if first is None:
        return 0
    taken = [row for row in group[:first] if booked(row)]
    inside = losses(row for row in taken if row["kind"] == "transfer")
    gone = moved(row for row in taken if row["kind"] in ("withdrawal", "purchase"))
    return losses(group[first:]) + max(0, inside - gone)


def _recall_interval(rows: list[Row], hits: int, judged: int, told: dict[str, Any]) -> Iterator[str]:
    """Frauds of one campaign are alike: they count as many as they are ÷ their design effect."""
    frauds = [row for row in rows if row["label"] == "fraud"]
    groups = by_campaign(rows).values()
    pairs = [(len(group), sum(map(alert, group))) for group in groups]
    if len(frauds) != judged or sum(n for n, _ in pairs) != judged or not judged:
        yield from _interval("recall", hits, judged, told)
        return
    share, effective, z = hits / judged, float(len(pairs)), 1.959963984540054
    if len(pairs) >= 10 and 0 < share < 1:
        alike = judged**2 / sum(n * n for n, _ in pairs)
        spread = sum((caught - share * n) ** 2 for n, caught in pairs) / judged**2
        design_effect = spread * alike / max(1.0, alike - 1) * judged / (share * (1 - share))
        effective = judged / max(1.0, design_effect)
        z = student_t(max(3, round(alike) - 1))
    yield from _interval("recall", share * effective, effective, told, z)


def student_t(degrees: int) -> float:
    """The 97.5 % point, by Fisher's expansion in 1 / degrees (Abramowitz and Stegun, 26.7.5)."""
    z = 1.959963984540054
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / degrees**power for power, term in enumerate(terms))


def _interval(
    name: str, hits: float, trials: float, told: dict[str, Any], z: float = 1.959963984540054
) -> Iterator[str]:
    """Wilson's ends are the roots of (p - hits/n)² = z² p (1-p) / n."""
    if not trials:
        return
    z2, share = z**2, hits / trials
    a, b, c = 1 + z2 / trials, 2 * share + z2 / trials, share * share
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    yield near(f"{name}_low", (b - root) / (2 * a), told[f"{name}_low"], 1e-9)
    yield near(f"{name}_high", (b + root) / (2 * a), told[f"{name}_high"], 1e-9)


def _ranking(rows: list[Row], told: dict[str, Any]) -> Iterator[str]:
    """Exact for few different scores; else equal when binned as documented, and close to the raw ones."""
    scored = [(float(row["score"]), row["label"] == "fraud") for row in rows if row["score"]]
    if len({is_fraud for _, is_fraud in scored}) < 2:
        yield equal("roc_auc", None, told["roc_auc"])
        return
    frauds = sum(is_fraud for _, is_fraud in scored)  # among few, one tie weighs more
    ways = [("raw", 1e-9, scored)]
    if len({score for score, _ in scored}) > 4096:
        binned = [(bin_of(score), is_fraud) for score, is_fraud in scored]
        ways = [("in bins", 1e-9, binned), ("raw", 0.002 + 0.1 / frauds, scored)]
    for how, within, pairs in ways:
        auc, average_precision = ranking(pairs)
        yield near(f"roc_auc {how}", auc, told["roc_auc"], within)
        yield near(f"average_precision {how}", average_precision, told["average_precision"], within)


def bin_of(score: float) -> float:
    """4,096 bins of equal width in log-odds from -12 to 12, and exactly 0 and 1 apart."""
    if score in (0.0, 1.0):
        return -math.inf if score == 0.0 else math.inf
    return min(4095, max(0, math.floor((math.log(score / (1 - score)) + 12) * 4096 / 24)))


def ranking(pairs: list[tuple[float, bool]]) -> tuple[float, float]:
    """(ROC-AUC, average precision) of (score, is fraud) pairs."""
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for score, is_fraud in pairs:
        counts[score][is_fraud] += 1
    genuine, fraud = (sum(pair[side] for pair in counts.values()) for side in (0, 1))
    wins = precision_sum = 0.0
    flagged = hits = 0
    for score in sorted(counts, reverse=True):
        here_genuine, here_fraud = counts[score]
        wins += here_fraud * (genuine - (flagged - hits) - here_genuine / 2)
        flagged += here_genuine + here_fraud
        hits += here_fraud
        precision_sum += here_fraud * hits / flagged
    return wins / (fraud * genuine), precision_sum / fraud


def _typologies(rows: list[Row], told: dict[str, Any]) -> Iterator[str]:
    silent = not any(row["score"] or alert(row) for row in rows)
    for label, key, share in (
        ("fraud", "by_typology", "recall"),
        ("decoy", "decoys", "false_positive_rate"),
    ):
        groups = defaultdict(list)
        for row in rows:
            if row["label"] == label:
                groups[row["typology"]].append(row)
        yield equal(f"names in {key}", sorted(groups), sorted(told[key]))
        for name, group in groups.items():
            line = told[key].get(name, {})
            judged = sum(row["decision"] != "n/a" or bool(row["detector_error"]) for row in group)
            scored = sum(bool(row["score"]) for row in group)
            alerted = sum(map(alert, group))
            yield equal(f"{name} n", len(group), line.get("transactions"))
            yield equal(f"{name} scored", scored, line.get("scored"))
            yield equal(f"{name} missing", judged - scored, line.get("missing"))
            yield equal(f"{name} alerted", alerted, line.get("alerted"))
            yield equal(f"{name} {share}", ratio(alerted, 0 if silent else judged), line.get(share))
            money = losses if label == "fraud" else cents
            yield equal(f"{name} value_cents", money(group), line.get("value_cents"))
    yield equal("fraud", sum(row["label"] == "fraud" for row in rows), told["transactions"])


def _campaigns(rows: list[Row], told: list[dict[str, Any]]) -> Iterator[str]:
    """In the order of the log, which is the order in which they ended."""
    groups = by_campaign(rows)
    for line in told:
        name, group = line["campaign"], groups[line["campaign"]]
        first_alert = next((place for place, row in enumerate(group) if alert(row)), len(group))
        lost = [row for row in group[:first_alert] if booked(row)]
        yield equal(f"{name} n", len(group), line["transactions"])
        yield equal(f"{name} alerted", sum(map(alert, group)), line["alerted"])
        yield equal(f"{name} value_cents", losses(group), line["value_cents"])
        yield equal(f"{name} lost_cents", losses(filter(booked, group)), line["lost_cents"])
        stopped = [row for row in group if alert(row) and not booked(row)]
        yield equal(f"{name} stopped_cents", losses(stopped), line["stopped_cents"])
        yield equal(f"{name} in_reach_cents", reach_cents(group), line["in_reach_cents"])
        yield equal(f"{name} moved_cents", moved(filter(booked, group)), line["moved_cents"])
        yield equal(f"{name} lost transactions", len(lost), line["lost_before_transactions"])
        yield equal(f"{name} lost cents", losses(lost), line["lost_before_cents"])
        at = float(group[first_alert]["sim_s"]) if first_alert < len(group) else None
        yield equal(f"{name} first alert", at, line["first_alert_sim_s"])


def _campaign_recall(rows: list[Row], results: dict[str, Any]) -> Iterator[str]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        if row["label"] == "fraud" and row["campaign_id"]:
            counts[row["campaign_id"]][0] += 1
            counts[row["campaign_id"]][1] += alert(row)
    told = results["detection"]
    detected = sum(alerts > 0 for _, alerts in counts.values())
    mine = sorted([name, *pair] for name, pair in counts.items())
    yield equal("campaign counts", mine, sorted(results["fraud"]["campaign_counts"]))
    yield equal("campaigns", len(counts), told["campaigns"])
    yield equal("campaigns detected", detected, told["campaigns_detected"])
    if told["scored"]:
        yield equal("campaign recall", ratio(detected, len(counts)), told["campaign_recall"])
        yield from _interval("campaign_recall", detected, len(counts), told)


def _slices(rows: list[Row], results: dict[str, Any]) -> Iterator[str]:
    """By persona and by channel, at most 64 of each."""
    scored = any(row["score"] for row in rows)
    for kind, told in results["detection_by"].items():
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            groups[row[kind]].append(row)
        if len(groups) > 64:
            continue
        yield equal(f"names by {kind}", sorted(groups), sorted(told))
        for name, group in groups.items():
            asked = [row for row in group if row["decision"] != "n/a" or row["detector_error"]]
            fraud = [row for row in asked if row["label"] == "fraud"]
            caught, alerts = sum(map(alert, fraud)), sum(map(alert, asked))
            line, genuine = told.get(name, {}), len(asked) - len(fraud)
            mine = {
                "transactions": len(group),
                "unasked": len(group) - len(asked),
                "fraud": len(fraud),
                "caught": caught,
                "genuine": genuine,
                "false_positives": alerts - caught,
                "recall": ratio(caught, len(fraud)) if scored else None,
                "false_positive_rate": ratio(alerts - caught, genuine) if scored else None,
            }
            for key, value in mine.items():
                yield equal(f"{kind} {name} {key}", value, line.get(key))
            if scored and line:
                yield from _interval("recall", caught, len(fraud), line)
                yield from _interval("false_positive_rate", alerts - caught, genuine, line)


def _scores(rows: list[Row], told: dict[str, Any]) -> Iterator[str]:
    """Histogram, table of scores, thresholds and calibration; of scores that are kept as they are."""
    scored = [(float(row["score"]), row) for row in rows if row["score"]]
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0, 0])
    for score, row in scored:
        is_fraud = row["label"] == "fraud"
        counts[score][is_fraud] += 1
        counts[score][2] += losses([row]) if is_fraud else 0
    if len(counts) > 4096:
        return
    places = sorted(counts)
    genuine, frauds = (sum(counts[place][side] for place in places) for side in (0, 1))
    bins = told["bins"]
    yield equal("scores in use", places, bins["low"])
    for side, name in enumerate(("genuine", "fraud", "fraud_cents")):
        yield equal(f"{name} by score", [counts[place][side] for place in places], bins[name])
    for bar, line in enumerate(told["histogram"]):
        inside = [place for place in places if min(19, int(place * 20)) == bar]
        for side, name in enumerate(("genuine", "fraud")):
            yield equal(f"bar {bar} {name}", sum(counts[p][side] for p in inside), line[name])
    yield equal("whether thresholds can be swept", bool(frauds and genuine), bool(told["sweep"]))
    for line in told["sweep"]:
        above = [counts[place] for place in places if place >= line["threshold"]]
        false_positives, caught, caught_cents = (sum(part) for part in zip(*above, strict=True))
        flagged, at = caught + false_positives, f"threshold {line['threshold']}"
        yield equal(f"{at} flagged", flagged, line["flagged"])
        yield equal(f"{at} false positives", false_positives, line["false_positives"])
        yield equal(f"{at} caught_cents", caught_cents, line["caught_cents"])
        yield equal(f"{at} recall", caught / frauds, line["recall"])
        yield equal(f"{at} precision", caught / flagged, line["precision"])
        yield equal(f"{at} false_positive_rate", false_positives / genuine, line["false_positive_rate"])
    error = 0.0
    for group, line in enumerate(told["calibration"]["groups"]):
        inside = [(p, counts[p]) for p in places if min(9, int(p * 10)) == group]
        size, hits = sum(c[0] + c[1] for _, c in inside), sum(c[1] for _, c in inside)
        yield equal(f"calibration {group} scored", size, line["scored"])
        yield equal(f"calibration {group} fraud", hits, line["fraud"])
        if size:
            mean = math.fsum(p * (c[0] + c[1]) for p, c in inside) / size
            yield near(f"calibration {group} mean", mean, line["mean_score"], 1e-9)
            error += size / len(scored) * abs(mean - hits / size)
    if frauds and genuine:
        yield near("calibration error", error, told["calibration"]["error"], 1e-9)


def _over_time(rows: list[Row], sent: list[Row], warm: list[Row], results: dict[str, Any]) -> Iterator[str]:
    """The timeline adds up to the run, and so does quality against load; response times by range."""
    points, told = results["timeline"], results["transactions"]
    sums = {
        "offered": told["offered"],
        "sent": len(sent),
        "dropped": len(rows) - len(sent) + told["drop_reasons"].get(WITHOUT_LINE, 0),
        "scored": sum(bool(row["score"]) for row in sent),
        "genuine": sum(row["label"] != "fraud" for row in sent),
        "fraud_sent": sum(row["label"] == "fraud" for row in sent),
        "fraud_alerted": sum(row["label"] == "fraud" and alert(row) for row in sent),
        "false_positives": sum(row["label"] != "fraud" and alert(row) for row in sent),
    }
    for name, value in sums.items():
        yield equal(f"{name} over the timeline", value, sum(point[name] for point in points))
    load = results["quality_against_load"]
    yield equal("ended over all loads", len(sent), sum(line["ended"] for line in load))
    yield equal("fraud over all loads", sums["fraud_sent"], sum(line["fraud"] for line in load))
    yield equal("caught over all loads", sums["fraud_alerted"], sum(line["caught"] for line in load))
    for line in load:  # the restated recall lies within its interval
        low, mixed, high = (line[f"mixed_recall{end}"] for end in ("_low", "", "_high"))
        yield "" if mixed is None or 0 <= low <= mixed <= high <= 1 else f"mixed recall: {line}"
    rate = results["rate"]
    yield equal("achieved_share", ratio(len(sent), told["offered"]), rate["achieved_share"])
    ranges = results["response_ranges"]
    answered = [LATENCIES["response"](row) for row in warm if fate(row) in ("completed", "refused")]
    yield equal("failed responses", len(warm) - len(answered), ranges["failed"])
    total = ranges["fast"] + ranges["middle"] + ranges["slow"]
    yield equal("answered responses", len(answered), total)
    for name, limit_ms, counted in (
        ("fast", ranges["fast_ms"], ranges["fast"]),
        ("fast and middle", ranges["slow_ms"], ranges["fast"] + ranges["middle"]),
    ):  # the histogram's 0.1 % decide on which side of a limit a response lies
        least = sum(value <= limit_ms * 0.998 for value in answered)
        most = sum(value <= limit_ms * 1.002 for value in answered)
        yield "" if least <= counted <= most else f"{name}: {least} to {most} in the log, {counted} told"


LATENCIES: dict[str, Callable[[Row], float]] = {
    "response": lambda row: float(row["lag_ms"]) + float(row["service_ms"]),
    "service": lambda row: float(row["service_ms"]),
    "lag": lambda row: float(row["lag_ms"]),
}


def _latency(name: str, values_ms: list[float], told: dict[str, Any]) -> Iterator[str]:
    yield equal(f"{name} n", len(values_ms), told["count"])
    if not values_ms:
        return
    mean_ms = math.fsum(values_ms) / len(values_ms)
    yield near(f"{name} mean", mean_ms, told["mean"], HALF_MICROSECOND_MS)
    yield near(f"{name} max", values_ms[-1], told["max"], HALF_MICROSECOND_MS)
    for key, thousandths in (("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)):
        rank = -(-thousandths * len(values_ms) // 1000)
        exact_ms = values_ms[max(1, rank) - 1]
        yield near(f"{name} {key}", exact_ms, told[key], exact_ms * 0.001 + HALF_MICROSECOND_MS)


def fate(row: Row) -> str:
    """From the answers alone; without a bank the detector's answer decides."""
    known = {"posted": "completed", "refused": "refused", "failed": "failed", "unknown": "unknown"}
    if row["bank_status"] in known:
        return known[row["bank_status"]]
    return "failed" if row["detector_error"] else "completed"


def alert(row: Row) -> bool:
    return row["decision"] in ("review", "block")


def booked(row: Row) -> bool:
    return row["bank_status"] == "posted" or (row["bank_status"] == "skipped" and not alert(row))


def cents(rows: Any) -> int:
    return sum(int(row["amount_cents"]) for row in rows)


def losses(rows: Any) -> int:
    """What leaves a victim or the bank: no laundering, nothing paid in, no money of an invented customer."""
    return cents(
        row
        for row in rows
        if row["stage"] in ("preparation", "harm")
        and row["kind"] not in ("deposit", "salary")
        and row["role"] != "invented customer"
    )


def moved(rows: Any) -> int:
    return cents(row for row in rows if row["stage"] == "laundering")


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def equal(name: str, mine: object, told: object) -> str:
    return "" if mine == told else f"{name}: the log says {mine}, results.json says {told}"


def near(name: str, mine: float, told: float | None, within: float) -> str:
    if told is not None and abs(mine - told) <= within:
        return ""
    return f"{name}: the log says {mine}, results.json says {told} (may differ by {within})"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
