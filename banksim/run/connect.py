"""The bank and the detector of one run, wherever its mode says they are.

live       HTTP to the addresses given; an empty address leaves that target out
sandbox    HTTP to stand-ins that are started for the run and stopped after it
dry-run    the same stand-ins inside this process
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gevent

from banksim.measure.results import Circuit, DetectorStats, TargetRow
from banksim.model import BanksimError, Place, TargetUnreachable, UsageError
from banksim.run.invariant import MovementBooks
from banksim.run.plan import Mode, RunSettings
from banksim.run.stand_ins import StandInProcesses, StandInsInProcess, check_faults
from banksim.sandbox import BankApi, DetectorApi
from banksim.sandbox.detector.kafka import DetectorBridge
from banksim.scenario import Scenario
from banksim.scenario.targets import TargetsBlock
from banksim.targets import (
    BASTION_TOKEN,
    CA_FILE,
    NEXUM_PASSWORD,
    NEXUM_TOKEN,
    NEXUM_USERNAME,
    BastionClient,
    Call,
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
from banksim.targets.bastion import DECISION_WORDS

# -- The detector's own statistics, read before and after a run, reported next to our own counts -----
#
# A detector that others use as well has counted theirs too, so counts are differences between
# the two readings where both came.  Everything here comes from outside: only known keys are
# kept, only numbers, and short texts.


#: Longest wall time that reading may take; a run does not wait for a detector's opinion of itself.
READ_S = 5.0
ALERTS_READ = 1_000
FIGURES = ("average_processing_time_ms", "alert_rate", "fraud_detection_rate", "false_positive_rate")
MAX_TEXT = 100


def read_stats(detector: BastionClient | None) -> DetectorStats | None:
    """Known figures of GET /stats, with all it has ever counted; None where there are none."""
    found: Mapping[str, Any] | None = None
    if detector is not None:
        with gevent.Timeout(READ_S, False):
            found = detector.stats()
    if found is None:
        return None
    decisions, numbers = found.get("decisions"), {k: v for k, v in found.items() if _is_number(v)}
    return DetectorStats(
        processed=numbers.get("transactions_processed"),
        alerts=_alerts_in(decisions) if isinstance(decisions, Mapping) else None,
        alerts_listed=None,
        **{key: numbers.get(key) for key in FIGURES},
        model_version=str(found.get("model_version") or "")[:MAX_TEXT],
    )


def says(detector: BastionClient | None, before: DetectorStats | None) -> DetectorStats | None:
    """What it has counted since ``before``, with the alerts it lists; None when it is silent."""
    now = read_stats(detector)
    if detector is None or now is None:
        return None
    listed = None
    with gevent.Timeout(READ_S, False):
        listed = len(detector.alerts(ALERTS_READ))
    processed = _since(now.processed, before.processed if before else None)
    alerts = _since(now.alerts, before.alerts if before else None)
    return replace(now, processed=processed, alerts=alerts, alerts_listed=listed)


def _alerts_in(decisions: Mapping[Any, Any]) -> int | None:
    """Decisions that are alerts, by the detector's own words for them; None when there are none known."""
    counts = {str(word).upper(): int(n) for word, n in decisions.items() if _is_number(n)}
    known = {word: n for word, n in counts.items() if word in DECISION_WORDS}
    return sum(n for word, n in known.items() if DECISION_WORDS[word].is_alert) if known else None


def _since(now: float | None, before: float | None) -> float | None:
    """What came between two readings."""
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

    def circuits(self) -> list[Circuit]:
        """The circuit breaker of each target that is reached over a network, for results.json."""
        return [
            Circuit(
                system=found.system,
                state=str(found.state),
                since=found.since.isoformat(timespec="seconds") if found.since else None,
                reason=found.reason,
                opened=found.opened,
                open_s=round(found.open_s, 3),
                refused=found.refused,
            )
            for found in self.targets.circuits()
        ]

    def rows(self, last_calls: Mapping[str, Call], violations: int) -> list[TargetRow]:
        """Each target with how its last call went; ``violations`` counts wrong balances."""
        circuits = {circuit.system.lower(): circuit.text for circuit in self.targets.circuits()}
        rows = []
        for name, address in self.addresses.items():
            last, circuit = last_calls.get(name), circuits.get(name, "")
            wrong = _money(violations) if name == "nexum" else ""
            rows.append(
                TargetRow(
                    name=name.capitalize(),
                    url=address,
                    ok=None if last is None else last.error is None and not circuit and not wrong,
                    detail=circuit or wrong or ("" if last is None else last.error or ""),
                    latency_ms=None if last is None else round(last.latency_ms, 2),
                )
            )
        return rows

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


def _money(violations: int) -> str:
    """What the running check of balances found; empty when every account agrees."""
    what = "account does" if violations == 1 else "accounts do"
    return f"{violations:,} {what} not hold what was acknowledged" if violations else ""


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
    blocks, base = settings.scenario.targets, folder_of(settings.scenario)
    problems = [probe(url, name, ca_file, blocks, base) for name, url in named.items() if url]
    if any(problems):
        raise TargetUnreachable("\n".join(problem for problem in problems if problem))


def connect(
    settings: RunSettings,
    entered: MovementBooks,
    observer: Observer,
    kafka_servers: str = "",
    standing_at: Mapping[str, str] | None = None,
    home_of: Callable[[int], Place] | None = None,
) -> Connected:
    """Connect to (and in sandbox mode start) the targets.  Raises BanksimError when that fails.

    With ``kafka_servers`` the stand-in detector also decides on Kafka.  ``standing_at`` tells where
    stand-ins are that another process of the run has started.
    """
    client = _client_settings(settings, home_of)
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


def adapters_of(settings: RunSettings) -> dict[str, str]:
    """By system, the adapter that speaks to it where that is not the built-in one."""
    targets = settings.scenario.targets if settings.mode is Mode.LIVE else None
    named = {"nexum": targets and targets.bank, "bastion": targets and targets.detector}
    return {system: Path(one.adapter).stem for system, one in named.items() if one and one.adapter}


def folder_of(scenario: Scenario) -> Path:
    """What paths in a scenario are relative to."""
    return scenario.source_path.parent if scenario.source_path is not None else Path()


def _client_settings(settings: RunSettings, home_of: Callable[[int], Place] | None = None) -> ClientSettings:
    scenario = settings.scenario
    return credentials(
        ClientSettings(
            seed=settings.seed,
            currency=scenario.currency,
            timeout_s=scenario.connections.timeout_seconds,
            max_retries=scenario.connections.max_retries,
            max_age_s=scenario.connections.max_age_seconds,
            concurrency=MAX_CONNECTIONS,
            feedback=scenario.detector.feedback,
            batch_size=scenario.detector.batch_size,
            breaker=scenario.load is None,
            batch_wait_s=scenario.detector.batch_wait_ms / 1000.0,
            # Account numbers stay unique when several runs share one bank.
            account_prefix=f"BS{settings.run_id}",
            # Stand-ins speak as Nexum and Bastion do.
            blocks=scenario.targets if settings.mode is Mode.LIVE else TargetsBlock(),
            base=folder_of(scenario),
            home_of=home_of,
            hot_accounts=scenario.activity.hot_accounts,
            accounts_per_customer=scenario.accounts_per_customer,
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
