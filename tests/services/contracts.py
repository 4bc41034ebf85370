"""Servers that keep the contracts of systems that are not Nexum and Bastion, strictly.

Each refuses (422, and a line in ``mistakes``) whatever its contract does not know: a field too many or
too few, a wrong type, a header that is missing.  Written from the systems' public documentation.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

Answer = tuple[int, Any]


class Wrong(Exception):
    """A request that breaks the contract."""


def fields(body: Any, **kinds: Any) -> None:
    """``body`` has exactly these fields, each of its type; None allows null beside the second type."""
    if not isinstance(body, dict) or set(body) != set(kinds):
        raise Wrong(f"fields {sorted(body) if isinstance(body, dict) else body!r}, expected {sorted(kinds)}")
    for name, kind in kinds.items():
        value = body[name]
        allowed = (int, float) if kind is float else kind
        if isinstance(value, bool) and kind is not bool:
            raise Wrong(f"{name}: {value!r} is no {kind}")
        if not isinstance(value, allowed):
            raise Wrong(f"{name}: {value!r} is no {kind}")


class Contract:
    """One system's answers.  A subclass adds `answer`."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self.seen: list[tuple[str, str, Any]] = []
        self.balances: dict[str, int] = {}
        self.references: set[str] = set()
        self.lock = threading.Lock()
        self.next_id = 0

    def id(self) -> int:
        self.next_id += 1
        return self.next_id

    def once(self, reference: str) -> None:
        if reference in self.references:
            raise Wrong(f"reference {reference} is used twice")
        self.references.add(reference)

    def move(self, source: str | None, destination: str | None, cents: int) -> bool:
        """None is the world outside."""
        if source is not None and self.balances[source] < cents:
            return False
        if source is not None:
            self.balances[source] -= cents
        if destination is not None:
            self.balances[destination] += cents
        return True

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        raise NotImplementedError


class Rinha(Contract):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if (method, path) == ("GET", "/ready"):
            return 200, None
        if (method, path) != ("POST", "/fraud-score"):
            return 404, None
        fields(
            body,
            id=str,
            transaction=dict,
            customer=dict,
            merchant=dict,
            terminal=dict,
            last_transaction=(dict, type(None)),
        )
        fields(body["transaction"], amount=float, installments=int, requested_at=str)
        fields(body["customer"], avg_amount=float, tx_count_24h=int, known_merchants=list)
        fields(body["merchant"], id=str, mcc=str, avg_amount=float)
        fields(body["terminal"], is_online=bool, card_present=bool, km_from_home=float)
        if body["last_transaction"] is not None:
            fields(body["last_transaction"], timestamp=str, km_from_current=float)
        self.asked.append(body)
        score = 0.9 if body["transaction"]["amount"] > 1000 else 0.1
        return 200, {"approved": score < 0.5, "fraud_score": score}


class Blnk(Contract):
    """``queued``: transactions without skip_queue are applied on their second reading."""

    def __init__(self) -> None:
        super().__init__()
        self.ledgers: set[str] = set()
        self.queue: dict[str, dict[str, Any]] = {}

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        parts = path.strip("/").split("/")
        if method == "GET" and path == "/":
            return 200, "server running..."
        if (method, path) == ("POST", "/ledgers"):
            fields(body, name=str)
            self.ledgers.add(name := f"ldg_{self.id()}")
            return 201, {"ledger_id": name, "name": body["name"]}
        if (method, path) == ("POST", "/balances"):
            fields(body, ledger_id=str, currency=str)
            if body["ledger_id"] not in self.ledgers:
                raise Wrong("no such ledger")
            self.balances[name := f"bln_{self.id()}"] = 0
            return 201, {"balance_id": name, "currency": body["currency"], "balance": 0}
        if method == "GET" and parts[0] == "balances":
            if parts[1] not in self.balances:
                return 404, {"error": "balance not found"}
            return 200, {"balance_id": parts[1], "balance": self.balances[parts[1]], "currency": "USD"}
        if (method, path) == ("POST", "/transactions"):
            return self._post(body)
        if method == "GET" and parts[0] == "transactions":
            return self._read(parts[1])
        return 404, {"error": "no route"}

    def _post(self, body: Any) -> Answer:
        queued = "skip_queue" not in body
        kinds = {
            "precise_amount": int,
            "precision": int,
            "currency": str,
            "reference": str,
            "description": str,
            "source": str,
            "destination": str,
            "allow_overdraft": bool,
        }
        fields(body, **kinds, **({} if queued else {"skip_queue": bool}))
        if body["precision"] != 100 or body["precise_amount"] <= 0:
            raise Wrong("an amount in cents above 0")
        if body["reference"] in self.references:
            return 400, {"error": f"reference {body['reference']} has already been used"}
        self.once(body["reference"])
        transaction = {**body, "transaction_id": f"txn_{self.id()}", "status": "QUEUED", "reads": 0}
        if queued:
            self.queue[transaction["transaction_id"]] = transaction
            return 201, {k: v for k, v in transaction.items() if k != "reads"}
        if not self._apply(transaction):
            return 400, {"error": "insufficient funds in source balance"}
        return 201, {**transaction, "status": "APPLIED"}

    def _apply(self, transaction: dict[str, Any]) -> bool:
        sides = [
            None if transaction[side] == "@World" else transaction[side] for side in ("source", "destination")
        ]
        if sides[0] is None and not transaction["allow_overdraft"]:
            raise Wrong("@World has nothing unless it may overdraw")
        return self.move(sides[0], sides[1], transaction["precise_amount"])

    def _read(self, name: str) -> Answer:
        transaction = self.queue[name]
        transaction["reads"] += 1
        if transaction["reads"] == 2:
            transaction["status"] = "APPLIED" if self._apply(transaction) else "REJECTED"
        return 200, {k: v for k, v in transaction.items() if k != "reads"}


class Fineract(Contract):
    API = "/fineract-provider/api/v1"

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if path == "/fineract-provider/actuator/health":
            return 200, {"status": "UP"}
        if headers.get("Fineract-Platform-TenantId") != "default":
            raise Wrong("no tenant")
        expected = base64.b64encode(b"mifos:password").decode()
        if headers.get("Authorization") != f"Basic {expected}":
            return 401, {"developerMessage": "Invalid authentication details were passed in api request."}
        route = path.removeprefix(self.API)
        if (method, route) == ("POST", "/clients"):
            fields(
                body,
                officeId=int,
                legalFormId=int,
                firstname=str,
                lastname=str,
                externalId=str,
                active=bool,
                activationDate=str,
                submittedOnDate=str,
                dateFormat=str,
                locale=str,
            )
            self.once(body["externalId"] + "-client")
            return 200, {"officeId": 1, "clientId": self.id(), "resourceId": self.next_id}
        if (method, route) == ("POST", "/savingsaccounts"):
            fields(
                body,
                clientId=int,
                productId=int,
                externalId=str,
                submittedOnDate=str,
                dateFormat=str,
                locale=str,
            )
            self.balances[str(self.id())] = -1  # not active yet
            return 200, {"savingsId": self.next_id, "resourceId": self.next_id}
        if (method, route) == ("POST", "/accounttransfers"):
            self.once(headers["Idempotency-Key"])
            source, destination = str(body["fromAccountId"]), str(body["toAccountId"])
            if not isinstance(body["toClientId"], int) or not isinstance(body["fromClientId"], int):
                raise Wrong("clients are numbers")
            return self._done(self.move(source, destination, round(body["transferAmount"] * 100)))
        match = re.fullmatch(r"/savingsaccounts/(\d+)(/transactions)?", route)
        if match is None:
            return 404, {}
        account, moves = match[1], match[2]
        command = query.get("command")
        if method == "GET":
            money = {"currency": {"code": "USD"}, "accountBalance": self.balances[account] / 100}
            return 200, {"id": int(account), "summary": money}
        if command == "approve":
            return 200, {"resourceId": int(account)}
        if command == "activate":
            self.balances[account] = 0
            return 200, {"resourceId": int(account)}
        if moves and command in ("deposit", "withdrawal"):
            fields(
                body,
                transactionDate=str,
                transactionAmount=float,
                paymentTypeId=int,
                dateFormat=str,
                locale=str,
            )
            self.once(headers["Idempotency-Key"])
            cents = round(body["transactionAmount"] * 100)
            sides = (None, account) if command == "deposit" else (account, None)
            return self._done(self.move(*sides, cents))
        return 404, {}

    def _done(self, moved: bool) -> Answer:
        if moved:
            return 200, {"resourceId": self.id()}
        code = "error.msg.savingsaccount.transaction.insufficient.account.balance"
        return 403, {
            "userMessageGlobalisationCode": code,
            "errors": [{"developerMessage": "Insufficient account balance."}],
        }


class Mojaloop(Contract):
    """Answers 202 and calls back.  ``callback`` is the caller's endpoint; every ``double``-th comes twice."""

    def __init__(self, delay_s: float = 0.02, double_every: int = 0, lose_every: int = 0) -> None:
        super().__init__()
        self.callback = ""
        self.addresses: set[str] = set()  # more than one: each is told, whoever asked
        self.delay_s = delay_s
        self.double_every = double_every
        self.lose_every = lose_every

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if path == "/health":
            return 200, {"status": "OK"}
        if (method, path) != ("POST", "/transfers"):
            return 404, {}
        wanted = "application/vnd.interoperability.transfers+json;version=1.1"
        for name, value in (("Content-Type", wanted), ("Accept", wanted), ("FSPIOP-Source", "banksim")):
            if headers.get_all(name) != [value]:
                raise Wrong(f"{name}: {headers.get_all(name)}")
        if not headers.get("Date", "").endswith("GMT"):
            raise Wrong("Date")
        fields(
            body,
            transferId=str,
            payerFsp=str,
            payeeFsp=str,
            amount=dict,
            ilpPacket=str,
            condition=str,
            expiration=str,
        )
        if not re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", body["transferId"]):
            raise Wrong("transferId is no UUID")
        self.once(body["transferId"])
        threading.Timer(self.delay_s, self._complete, [body["transferId"], len(self.references)]).start()
        return 202, {}

    def _complete(self, name: str, number: int) -> None:
        if self.lose_every and number % self.lose_every == 0:
            return
        data = json.dumps({"transferState": "COMMITTED"}).encode()
        times = 2 if self.double_every and number % self.double_every == 0 else 1
        for address in sorted(self.addresses or {self.callback}) * times:
            request = urllib.request.Request(
                f"{address}/transfers/{name}",
                data,
                {"Content-Type": "application/json"},
                method="PUT",
            )
            urllib.request.urlopen(request, timeout=5).close()


class Tazama(Contract):
    """Acknowledges, and publishes the verdict to those who subscribed over NATS (`nats_server`)."""

    def __init__(self) -> None:
        super().__init__()
        self.publish: Callable[[Any], None] = lambda _: None
        self.known: dict[str, float] = {}

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if (method, path) == ("GET", "/"):
            return 200, {"status": "UP"}
        if path == "/v1/evaluate/iso20022/pacs.008.001.10":
            fields(body, TxTp=str, FIToFICstmrCdtTrf=dict)
            info = body["FIToFICstmrCdtTrf"]["CdtTrfTxInf"]
            fields(info["IntrBkSttlmAmt"]["Amt"], Amt=float, Ccy=str)
            self.known[info["PmtId"]["EndToEndId"]] = info["IntrBkSttlmAmt"]["Amt"]["Amt"]
            return 200, {"message": "Transaction is valid", "data": body}
        if path == "/v1/evaluate/iso20022/pacs.002.001.12":
            fields(body, TxTp=str, FIToFIPmtSts=dict)
            name = body["FIToFIPmtSts"]["TxInfAndSts"]["OrgnlEndToEndId"]
            status = "ALRT" if self.known[name] > 1000 else "NALT"
            verdict = {"transaction": body, "report": {"status": status}}
            threading.Timer(0.01, self.publish, [verdict]).start()
            return 200, {"message": "Transaction is valid", "data": body}
        return 404, {}


class Jube(Contract):
    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if path == "/api/ready":
            return 200, None
        if not re.fullmatch(r"/api/invoke/EntityAnalysisModel/[0-9a-f-]{36}", path) or method != "POST":
            return 404, None
        fields(
            body,
            AccountId=str,
            CustomerId=str,
            TxnId=str,
            TxnDateTime=str,
            CurrencyAmount=float,
            Currency=str,
            ChannelId=str,
            MerchantId=str,
            MCC=str,
            DeviceId=str,
            Latitude=float,
            Longitude=float,
            CountLastDay=int,
        )
        return 200, {"responseElevation": {"value": 9.0 if body["CurrencyAmount"] > 1000 else 0.5}}


class Formance(Contract):
    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if path == "/_healthcheck":
            return 200, {}
        match = re.fullmatch(r"/v2/([\w-]+)(?:/(transactions|accounts)(?:/([\w:%-]+))?)?", path)
        if match is None:
            return 404, {}
        _, kind, account = match.groups()
        if method == "POST" and kind is None:
            return 204, None
        if method == "GET" and kind == "accounts":
            volumes = {"USD/2": {"balance": self.balances.get(account, 0)}}
            return 200, {"data": {"address": account, "volumes": volumes}}
        fields(body, reference=str, postings=list, metadata=dict)
        if headers["Idempotency-Key"] != body["reference"]:
            raise Wrong("the key")
        self.once(body["reference"])
        (posting,) = body["postings"]
        fields(posting, amount=int, asset=str, source=str, destination=str)
        sides = [None if posting[s] == "world" else posting[s] for s in ("source", "destination")]
        for side in sides:
            if side is not None:
                if not re.fullmatch(r"[a-zA-Z0-9_-]+(:[a-zA-Z0-9_-]+)*", side):
                    raise Wrong(f"address {side}")
                self.balances.setdefault(side, 0)
        if not self.move(sides[0], sides[1], posting["amount"]):
            return 400, {"errorCode": "INSUFFICIENT_FUND", "errorMessage": "account had insufficient funds"}
        return 200, {"data": {"id": self.id(), "postings": body["postings"]}}


class PlainBank(Contract):
    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        parts = path.strip("/").split("/")
        if path == "/health":
            return 200, None
        if (method, path) == ("POST", "/accounts"):
            fields(body, owner=str, number=str, currency=str)
            self.once(body["number"])
            self.balances[str(self.id())] = 0
            return 201, {"id": self.next_id}
        if (method, path) == ("POST", "/transfers"):
            fields(body, **{"from": str, "to": str, "cents": int, "key": str})
            self.once(body["key"])
            return self._done(self.move(body["from"], body["to"], body["cents"]))
        if method == "GET" and len(parts) == 2:
            return (200, {"cents": self.balances[parts[1]]}) if parts[1] in self.balances else (404, None)
        fields(body, cents=int, key=str)
        self.once(body["key"])
        sides = (None, parts[1]) if parts[2] == "credit" else (parts[1], None)
        return self._done(self.move(*sides, body["cents"]))

    def _done(self, moved: bool) -> Answer:
        return (200, {"ok": True}) if moved else (409, {"ok": False, "why": "not enough money"})


class PlainDetector(Contract):
    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if path == "/health":
            return 200, None
        fields(body, id=str, customer=str, amount=float, merchant=str, at=str)
        return 200, {"score": 0.9 if body["amount"] > 1000 else 0.1}
