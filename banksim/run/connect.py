"""The bank and the detector of one run, wherever its mode says they are.

live       HTTP to the addresses given; an empty address leaves that target out
sandbox    HTTP to stand-ins that are started for the run and stopped after it
dry-run    the same stand-ins inside this process
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gevent

from banksim.model import BanksimError, TargetUnreachable, UsageError
from banksim.run.invariant import MovementBooks
from banksim.run.settings import Mode, RunSettings
from banksim.run.stand_ins import StandInProcesses, StandInsInProcess, check_faults
from banksim.sandbox import BankApi, DetectorApi
from banksim.sandbox.detector.kafka import DetectorBridge
from banksim.targets import (
    BASTION_TOKEN,
    CA_FILE,
    NEXUM_PASSWORD,
    NEXUM_TOKEN,
    NEXUM_USERNAME,
    BastionClient,
    ClientSettings,
    HttpTransport,
    InProcessTransport,
    Observer,
    Request,
    SandboxProcess,
    Targets,
    Transport,
    http_targets,
    in_process_targets,
    probe,
)
from banksim.targets.bastion_wire import DECISION_WORDS

# -- The detector's own statistics, read before and after a run, reported next to our own counts -----
#
# A detector that others use as well has counted theirs too, so counts are differences between
# the two readings where both came.  Everything here comes from outside: only known keys are
# kept, only numbers, and short texts.


#: Longest wall time that reading may take; a run does not wait for a detector's opinion of itself.
READ_S = 5.0
ALERTS_READ = 1_000
COUNTS = ("transactions_processed",)
FIGURES = ("average_processing_time_ms", "alert_rate", "fraud_detection_rate", "false_positive_rate")
MAX_TEXT = 100


def read_stats(detector: BastionClient | None) -> dict[str, Any] | None:
    """Known figures of GET /stats, None where there are none."""
    found: Mapping[str, Any] | None = None
    if detector is not None:
        with gevent.Timeout(READ_S, False):
            found = detector.stats()
    if found is None:
        return None
    decisions = found.get("decisions")
    return {
        **{key: found[key] for key in (*COUNTS, *FIGURES) if _is_number(found.get(key))},
        "alerts": _alerts_in(decisions) if isinstance(decisions, Mapping) else None,
        "model_version": str(found.get("model_version") or "")[:MAX_TEXT],
    }


def says(detector: BastionClient | None, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """{processed, alerts, alerts_listed, average_processing_time_ms, …, model_version}; None when silent.

    ``processed`` and ``alerts`` are what came since ``before``, as `read_stats` returned it.
    """
    now = read_stats(detector)
    if detector is None or now is None:
        return None
    listed = None
    with gevent.Timeout(READ_S, False):
        listed = len(detector.alerts(ALERTS_READ))
    before = before or {}
    return {
        "processed": _since(now.get("transactions_processed"), before.get("transactions_processed")),
        "alerts": _since(now["alerts"], before.get("alerts")),
        "alerts_listed": listed,
        **{key: now.get(key) for key in FIGURES},
        "model_version": now["model_version"],
    }


def _alerts_in(decisions: Mapping[str, Any]) -> int | None:
    """Decisions that are alerts, by the detector's own words for them; None when there are none known."""
    counts = {str(word).upper(): int(n) for word, n in decisions.items() if _is_number(n)}
    known = {word: n for word, n in counts.items() if word in DECISION_WORDS}
    return sum(n for word, n in known.items() if DECISION_WORDS[word].is_alert) if known else None


def _since(now: float | None, before: float | None) -> float | None:
    if now is None:
        return None
    return now - before if before is not None and before <= now else now  # it was restarted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


#: Connections to each target: as many calls as can be in flight at once, within what the client bears.
MAX_CONNECTIONS = 256
#: Accounts asked for in one page of the stand-in's balances.
PAGE = 1000


@dataclass(slots=True)
class Connected:
    """What a run sends to, and what must be closed after it."""

    targets: Targets
    addresses: dict[str, str]
    ledger: Transport | None = None  # a way to the stand-in bank's books; None for a real bank
    sandbox: SandboxProcess | None = None
    bridge: DetectorBridge | None = None  # the stand-in detector on Kafka, where it is in this process
    stand_ins: StandInsInProcess | StandInProcesses | None = None  # those that the scenario breaks

    def circuits(self) -> list[dict[str, Any]]:
        """The circuit breaker of each target that is reached over a network, for results.json."""
        return [circuit.as_dict() for circuit in self.targets.circuits()]

    def close(self) -> None:
        """Let go of connections and stop what was started for the run."""
        self.targets.close()
        if self.bridge is not None:
            self.bridge.close()
        if self.ledger is not None:
            self.ledger.close()
        if self.sandbox is not None:
            self.sandbox.stop()
        if self.stand_ins is not None:
            self.stand_ins.close()


def check_targets(settings: RunSettings) -> None:
    """Raise a BanksimError when live targets do not answer; other modes bring their own."""
    check_faults(settings)
    if settings.mode is not Mode.LIVE:
        return
    connections = settings.scenario.connections
    if not connections.nexum_url and not connections.bastion_url:
        raise UsageError(
            "--nexum-url and --bastion-url are both empty: there is nothing to send to. "
            "Give at least one, or run with --sandbox or --dry-run."
        )
    named = {"Nexum": connections.nexum_url, "Bastion": connections.bastion_url}
    ca_file = os.environ.get(CA_FILE, "")
    problems = [probe(url, name, ca_file) for name, url in named.items() if url]
    if any(problems):
        raise TargetUnreachable("\n".join(problem for problem in problems if problem))


def connect(
    settings: RunSettings,
    entered: MovementBooks,
    observer: Observer,
    kafka_servers: str = "",
    standing_at: Mapping[str, str] | None = None,
) -> Connected:
    """Connect to (and in sandbox mode start) the targets.  Raises BanksimError when that fails.

    With ``kafka_servers`` the stand-in detector also decides on Kafka.  ``standing_at`` tells where
    stand-ins are that another process of the run has started.
    """
    client = _client_settings(settings)
    if settings.mode is Mode.DRY_RUN:
        bank = BankApi()
        in_process = StandInsInProcess(settings) if settings.scenario.faults else None
        wrap = in_process.wrap if in_process is not None else None
        targets = in_process_targets(bank, DetectorApi(), client, observer, entered, wrap)
        connected = Connected(
            targets,
            {"nexum": "in process", "bastion": "in process"},
            InProcessTransport(bank),
            stand_ins=in_process,
        )
        if kafka_servers:
            connected.bridge = DetectorBridge(kafka_servers)
            connected.bridge.start()
        return connected
    if standing_at is not None:
        nexum_url, bastion_url = standing_at.get("nexum", ""), standing_at.get("bastion", "")
        targets = http_targets(nexum_url, bastion_url, client, observer, entered)
        return Connected(targets, dict(standing_at))
    if settings.mode is Mode.SANDBOX:
        processes = StandInProcesses(settings) if settings.scenario.faults else None
        arguments = ["--kafka-servers", kafka_servers] if kafka_servers else []
        sandbox = SandboxProcess(
            [*arguments, *(processes.arguments if processes is not None else ())],
            environment=processes.environment if processes is not None else None,
        )
        sandbox.start()
        if processes is not None:
            processes.attach(sandbox)
        targets = http_targets(sandbox.nexum_url, sandbox.bastion_url, client, observer, entered)
        ledger = HttpTransport(sandbox.nexum_url, rng=random.Random(0), max_retries=0)  # retries draw nothing
        addresses = _addresses(sandbox.nexum_url, sandbox.bastion_url)
        return Connected(targets, addresses, ledger, sandbox, stand_ins=processes)
    connections = settings.scenario.connections
    targets = http_targets(connections.nexum_url, connections.bastion_url, client, observer, entered)
    return Connected(targets, _addresses(connections.nexum_url, connections.bastion_url))


def read_balances(ledger: Transport) -> dict[str, int]:
    """Every account's balance at the stand-in bank in cents, by account id.

    Raises BanksimError when the bank does not tell.
    """
    balances: dict[str, int] = {}
    path, after = "/ledger/balances", ""
    while True:
        reply = ledger.send(Request("GET", path, path, query={"after": after, "limit": str(PAGE)}))
        if reply.status != 200 or reply.error:
            raise BanksimError(f"The stand-in bank does not tell its balances: {reply.error or reply.status}")
        balances.update(reply.data["balances"])
        after = reply.data["next"] or ""
        if not after:
            return balances


def _addresses(nexum_url: str, bastion_url: str) -> dict[str, str]:
    return {name: url for name, url in (("nexum", nexum_url), ("bastion", bastion_url)) if url}


def _client_settings(settings: RunSettings) -> ClientSettings:
    scenario = settings.scenario
    return credentials(
        ClientSettings(
            seed=settings.seed,
            currency=scenario.currency,
            timeout_s=scenario.connections.timeout_seconds,
            max_retries=scenario.connections.max_retries,
            concurrency=MAX_CONNECTIONS,
            feedback=scenario.detector.feedback,
            batch_size=scenario.detector.batch_size,
            breaker=scenario.load is None,
            batch_wait_s=scenario.detector.batch_wait_ms / 1000.0,
            # Account numbers stay unique when several runs share one bank.
            account_prefix=f"BS{settings.run_id}",
        )
    )


def credentials(settings: ClientSettings) -> ClientSettings:
    """With what the environment says; a command line is there for everybody to read."""
    return replace(
        settings,
        nexum_token=os.environ.get(NEXUM_TOKEN, ""),
        nexum_username=os.environ.get(NEXUM_USERNAME, ""),
        nexum_password=os.environ.get(NEXUM_PASSWORD, ""),
        bastion_token=os.environ.get(BASTION_TOKEN, ""),
        ca_file=os.environ.get(CA_FILE, ""),
    )
