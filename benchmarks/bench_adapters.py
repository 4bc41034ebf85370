"""What a mapping file costs per call, against the built-in adapter with the same bodies and answers.

    python benchmarks/bench_adapters.py

CPU µs of the whole client without the network: body, head, judging, reporting; built-in and mapped in turns, 20th
percentile of many rounds.  The mapping keeps the contract of Nexum and Bastion, so the bytes are alike.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

from banksim.model import AccountRef, Channel, Kind, Merchant, Place, Transaction
from banksim.targets import AccountDirectory, BastionClient, HttpTransport, NexumClient, Reply, Request
from banksim.targets.mapping import read_mapping

BANK = """\
kind: bank
name: As Nexum
move:
  any:
    post: "/transactions/{movement}"
    body:
      amount: {amount: "{amount_text}", currency: "{currency}"}
      description: "{description}"
      channel: "{channel}"
      reference: "{reference}"
      account_id: "{account_id}"
answers:
  - {status: 200, at: state, equals: completed, means: posted}
"""
DETECTOR = """\
kind: detector
name: As Bastion
score:
  post: /score
  body:
    transaction_id: "{reference}"
    cif_id: "{customer_id}"
    amount: "{amount_units}"
    currency: "{currency}"
    merchant_id: "{merchant_id}"
    merchant_category: "{merchant_category}"
    channel: "{channel}"
    country: "{country}"
    timestamp: "{timestamp_s}"
    metadata:
      transaction_type: "{kind}"
      description: "{description}"
      account_id: "{account_id}"
      counterparty_account_id: "{counterparty_id}"
      device_id: "{device_id}"
      latitude: "{latitude}"
      longitude: "{longitude}"
      city: "{city}"
      merchant: "{merchant_name}"
      merchant_category_code: "{mcc}"
answer: {score: risk_score, decision: action}
"""
CALLS, ROUNDS = 500, 120
#: With history: the contest's contract.
SHIPPED = Path(__file__).parents[1] / "banksim" / "targets" / "mappings" / "rinha.yaml"


class Encoded:
    """Makes the bytes, and has the answer at once."""

    address = "encoded"

    def __init__(self, data: Any) -> None:
        self._http = HttpTransport("http://127.0.0.1:9", rng=random.Random(1))
        self._data = data

    def send(self, request: Request) -> Reply:
        sent = len(self._http.encode(request))
        return Reply(200, self._data, 1.0, request_bytes=sent, response_bytes=200)

    def authorize(self, token: str) -> None: ...

    def close(self) -> None: ...


def transactions() -> list[Transaction]:
    place = Place("Boston", "US", 42.36, -71.06)
    shop = Merchant("m-1", "Corner Grocery", "5411", "grocery", place)
    return [
        Transaction(
            f"tx-{n}",
            Kind.PURCHASE,
            AccountRef(n % 100),
            1000 + n,
            "USD",
            Channel.MOBILE,
            1_767_571_200.25 + n,
            place,
            "device-1",
            "Groceries",
            merchant=shop,
        )
        for n in range(CALLS)
    ]


def main() -> None:
    directory = AccountDirectory(1)
    for index in range(100):
        directory.add(index, f"customer-{index}", [f"account-{index}"])
    folder = Path(tempfile.mkdtemp())
    (folder / "bank.yaml").write_text(BANK)
    (folder / "detector.yaml").write_text(DETECTOR)
    posted, scored = {"state": "completed"}, {"risk_score": 0.1, "action": "APPROVE"}
    bank: Any = read_mapping(folder / "bank.yaml")
    detector: Any = read_mapping(folder / "detector.yaml")
    rinha: Any = read_mapping(SHIPPED)
    steps = {
        "post, built in": NexumClient(Encoded(posted), directory).post,
        "post, mapped": NexumClient(Encoded(posted), directory, adapter=bank).post,
        "score, built in": BastionClient(Encoded(scored), directory).score,
        "score, mapped": BastionClient(Encoded(scored), directory, adapter=detector).score,
        "score, rinha (with history)": BastionClient(
            Encoded({"approved": True, "fraud_score": 0.1}), directory, adapter=rinha
        ).score,
    }
    some = transactions()
    took: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            began_s = time.process_time()
            for tx in some:
                step(tx)
            took[name].append((time.process_time() - began_s) / CALLS * 1e6)
    for name, figures in took.items():
        ordered = sorted(figures)
        print(f"{name:<28} {ordered[len(ordered) // 5]:6.2f} us  (median {ordered[len(ordered) // 2]:.2f})")


if __name__ == "__main__":
    main()
