"""The systems of one run, bundled, and the question asked before it: are they there?

`Targets` comes in two makes: over HTTP (real systems, or the stand-ins behind HTTP), and
in this process (a dry run).  An empty address means that the run has no such system.
Make them after a process has forked: connections cannot be shared with a child.
"""

from __future__ import annotations

import difflib
import importlib.util
import random
import re
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from banksim.model import Place, UsageError
from banksim.scenario.targets import Callbacks, Target, TargetsBlock
from banksim.targets.adapters import Completions, listen, subscribe
from banksim.targets.auth import FrontDoor, Login, OAuthLogin, basic_credentials, secret
from banksim.targets.bastion import NAME as BASTION
from banksim.targets.bastion import BastionClient
from banksim.targets.calls import (
    FAILURES_TO_OPEN,
    HEALTH,
    CircuitBreaker,
    CircuitStatus,
    GuardedTransport,
    Health,
    Observer,
    Relay,
    Reply,
    Request,
    System,
    Transport,
    failure_text,
    ignore_call,
)
from banksim.targets.http.client import MAX_AGE_S
from banksim.targets.http.connection import HttpTransport
from banksim.targets.in_process import Handler, InProcessTransport
from banksim.targets.mapping import read_mapping
from banksim.targets.nexum import NAME as NEXUM
from banksim.targets.nexum import AccountDirectory, Books, NexumClient
from banksim.world.random import stream

#: Environment variables for what must not appear on a command line, and for a private certificate authority.
NEXUM_TOKEN = "NEXUM_TOKEN"
NEXUM_USERNAME = "NEXUM_USERNAME"
NEXUM_PASSWORD = "NEXUM_PASSWORD"
BASTION_TOKEN = "BASTION_TOKEN"
CA_FILE = "BANKSIM_CA_FILE"

PROBE_TIMEOUT_S = 5.0
WAYS_OUT = "Or start the stand-ins with `banksim sandbox`, or run with --sandbox or --dry-run."


#: Failures in a row that no run has.
NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How both clients behave.  Seconds are wall time; ``concurrency`` is sockets per system."""

    seed: int
    currency: str = "USD"
    timeout_s: float = 30.0
    max_retries: int = 3
    max_age_s: float = MAX_AGE_S
    concurrency: int = 200
    account_prefix: str = "BANKSIM"
    nexum_token: str = ""
    nexum_username: str = ""
    nexum_password: str = ""
    bastion_token: str = ""
    ca_file: str = ""
    feedback: bool = False
    batch_size: int = 1
    batch_wait_s: float = 0.0
    #: Whether a circuit breaker spares a system that does not answer; it would thin a step's load.
    breaker: bool = True
    #: The scenario's own words for systems that are not Nexum and Bastion, and where its file is.
    blocks: TargetsBlock = field(default_factory=TargetsBlock)
    base: Path = Path()
    #: The address a bank has of a customer, for features of a detector.
    home_of: Callable[[int], Place] | None = None
    #: Accounts that merchants are paid into, each an account more of one of the first customers.
    hot_accounts: int = 0
    accounts_per_customer: int = 1


@dataclass(frozen=True, slots=True)
class Targets:
    """The bank and the detector of a run, None where it has none, and who is open at the bank."""

    bank: NexumClient | None
    detector: BastionClient | None
    directory: AccountDirectory
    breakers: tuple[CircuitBreaker, ...] = ()

    def circuits(self) -> list[CircuitStatus]:
        """The circuit breaker of each system that is reached over a network."""
        return [breaker.status for breaker in self.breakers]

    def health(self) -> list[Health]:
        """A health check of each system there is."""
        return [system.health() for system in (self.bank, self.detector) if system is not None]

    def close(self) -> None:
        for system in (self.bank, self.detector):
            if system is not None:
                system.close()


def http_targets(
    nexum_url: str,
    bastion_url: str,
    settings: ClientSettings,
    observer: Observer = ignore_call,
    books: Books | None = None,
) -> Targets:
    """Clients of the systems at these addresses.  Raises UsageError for an address that cannot be one."""
    check_ca_file(settings.ca_file)
    bank = _chosen(settings, "bank") if nexum_url else None
    detector = _chosen(settings, "detector") if bastion_url else None

    def transport(name: str, url: str, token: str, chosen: Chosen) -> HttpTransport:
        return HttpTransport(
            url,
            rng=stream(settings.seed, "systems", "backoff", name),
            timeout_s=settings.timeout_s,
            concurrency=settings.concurrency,
            max_retries=settings.max_retries,
            max_age_s=settings.max_age_s,
            token=chosen.door.token or token,
            ca_file=settings.ca_file,
            door=chosen.door,
        )

    return _targets(
        transport(NEXUM, nexum_url, settings.nexum_token, bank) if bank is not None else None,
        transport(BASTION, bastion_url, settings.bastion_token, detector) if detector is not None else None,
        settings,
        observer,
        books,
        bank=bank,
        detector=detector,
    )


def in_process_targets(
    bank: Handler | None,
    detector: Handler | None,
    settings: ClientSettings,
    observer: Observer = ignore_call,
    books: Books | None = None,
    wrap: Callable[[str, InProcessTransport], Transport] | None = None,
) -> Targets:
    """Clients of stand-ins that live in this process.

    ``wrap`` puts something between them and "bank" or "detector" that may lose calls; a circuit breaker
    then stands in front of it, as over HTTP.
    """

    def transport(target: str, handler: Handler | None) -> Transport | None:
        if handler is None:
            return None
        direct = InProcessTransport(handler)
        return direct if wrap is None else wrap(target, direct)

    to_bank, to_detector = transport("bank", bank), transport("detector", detector)
    return _targets(to_bank, to_detector, settings, observer, books, guarded=wrap is not None)


def _targets(
    to_bank: Transport | None,
    to_detector: Transport | None,
    settings: ClientSettings,
    observer: Observer,
    books: Books | None,
    *,
    guarded: bool = True,
    bank: Chosen | None = None,
    detector: Chosen | None = None,
) -> Targets:
    """Both clients over their transports; ``guarded`` puts a circuit breaker in front of each."""
    breakers: list[CircuitBreaker] = []

    def guard(name: str, transport: Transport, chosen: Chosen | None) -> Transport:
        if not guarded:
            return transport
        patience = FAILURES_TO_OPEN if settings.breaker else NEVER
        breakers.append(CircuitBreaker(name, failures_to_open=patience))
        guarded_transport = GuardedTransport(transport, breakers[-1])
        mapped = chosen is not None and chosen.adapter is not None
        return Mapped(guarded_transport) if mapped else guarded_transport

    directory = AccountDirectory(settings.seed, settings.hot_accounts, settings.accounts_per_customer)
    bank_client = detector_client = None
    if to_bank is not None:
        guarded_bank = guard(NEXUM, to_bank, bank)
        bank_client = NexumClient(
            guarded_bank,
            directory,
            currency=settings.currency,
            observer=observer,
            books=books,
            login=_login(bank, settings) or Login(settings.nexum_username, settings.nexum_password),
            account_prefix=settings.account_prefix,
            adapter=bank.adapter if bank is not None else None,
        )
        _ready(bank_client, "nexum", bank, settings, observer)
    if to_detector is not None:
        detector_client = BastionClient(
            guard(BASTION, to_detector, detector),
            directory,
            observer=observer,
            feedback=settings.feedback,
            batch_size=settings.batch_size,
            batch_wait_s=settings.batch_wait_s,
            login=_login(detector, settings),
            adapter=detector.adapter if detector is not None else None,
        )
        _ready(detector_client, "bastion", detector, settings, observer)
    return Targets(bank_client, detector_client, directory, tuple(breakers))


# -- Systems that are not Nexum and Bastion ----------------------------------------------------------

#: Mappings that come with banksim.
SHIPPED_MAPPINGS = Path(__file__).parent / "mappings"
Role = Literal["bank", "detector"]


class Mapped(Relay):
    """In front of a system with words of its own: what makes requests from rows passes it by."""

    def send(self, request: Request) -> Reply:
        return self._transport.send(request)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A system as the scenario describes it, with secrets filled in; no ``adapter``: the built-in one."""

    adapter: Any
    door: FrontDoor
    callbacks: Callbacks


def shipped_mappings() -> list[str]:
    return sorted(path.stem for path in SHIPPED_MAPPINGS.glob("*.yaml"))


def role_of(name: str, base: Path = Path()) -> Role:
    """Whether an adapter is a bank's or a detector's.  Raises UsageError."""
    if name in ("", "nexum", "bastion"):
        return "detector" if name == "bastion" else "bank"
    return "bank" if callable(getattr(load_adapter(None, name, base), "movement", None)) else "detector"


def load_adapter(role: Role | None, name: str, base: Path = Path()) -> Any:
    """The adapter of that name; None for the built-in one.  Raises UsageError."""
    if name in ("", {"bank": "nexum", "detector": "bastion"}.get(str(role))):
        return None
    where, _, class_name = name.partition(".py:")
    if class_name:
        adapter: Any = _plugin(base / f"{where}.py", class_name)
    else:
        shipped = SHIPPED_MAPPINGS / f"{name}.yaml"
        found = next((path for path in (base / name, Path(name), shipped) if path.is_file()), None)
        if found is None:
            near = difflib.get_close_matches(name, shipped_mappings(), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"{role or 'target'} adapter: there is no mapping {name!r}; {hint}shipped are "
                f"{', '.join(shipped_mappings())}"
            )
        adapter = read_mapping(found)
    wanted = "movement" if role == "bank" else "score"
    if role is not None and not callable(getattr(adapter, wanted, None)):
        raise UsageError(f"{role} adapter: {name} describes no {role} (it has no {wanted}())")
    return adapter


def _plugin(path: Path, class_name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"banksim_adapter_{path.stem}", path)
    try:
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return getattr(module, class_name)()
    except Exception as error:  # whatever a user's file does
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"adapter {path}:{class_name} cannot be loaded: {reason}") from None


def _chosen(settings: ClientSettings, role: Role) -> Chosen:
    block = getattr(settings.blocks, role) or Target()
    adapter = load_adapter(role, block.adapter, settings.base)
    return Chosen(adapter, door_of(block, f"targets.{role}", settings.base, adapter), block.callbacks)


def door_of(block: Target, where: str, base: Path, adapter: Any = None) -> FrontDoor:
    """What ``block`` says of the door.  Raises UsageError naming the place of what is missing."""
    headers = {
        name: secret(text, f"{where}.headers.{name}")
        for name, text in {**getattr(adapter, "headers", {}), **block.headers}.items()
    }
    for name in headers:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise UsageError(f"{where}.headers: expected the name of a header, got {name!r}")
    if block.basic is not None:
        user, _, password = secret(block.basic, f"{where}.basic").partition(":")
        headers["Authorization"] = f"Basic {basic_credentials(user, password)}"
    oauth = block.oauth

    def file(name: str) -> str:
        return str(base / name) if name else ""

    return FrontDoor(
        headers=headers,
        token=secret(block.token, f"{where}.token") if block.token is not None else "",
        ca_file=file(block.ca_file),
        certificate=file(block.certificate),
        key=file(block.key),
        proxy=secret(block.proxy, f"{where}.proxy"),
        token_url=oauth.token_url if oauth is not None else "",
        client_id=secret(oauth.client_id, f"{where}.oauth.client_id") if oauth is not None else "",
        client_secret=(
            secret(oauth.client_secret, f"{where}.oauth.client_secret") if oauth is not None else ""
        ),
        scope=oauth.scope if oauth is not None else "",
    )


def _login(chosen: Chosen | None, settings: ClientSettings) -> Login | None:
    if chosen is None or not chosen.door.token_url:
        return None
    parts = urlsplit(chosen.door.token_url)
    issuer = HttpTransport(
        f"{parts.scheme}://{parts.netloc}",
        rng=stream(settings.seed, "systems", "backoff", "tokens"),
        timeout_s=settings.timeout_s,
        concurrency=1,
        max_retries=0,
        ca_file=settings.ca_file,
        door=FrontDoor(ca_file=chosen.door.ca_file, proxy=chosen.door.proxy),
    )
    return OAuthLogin(chosen.door, issuer)


def _ready(
    client: NexumClient | BastionClient,
    system: System,
    chosen: Chosen | None,
    settings: ClientSettings,
    observer: Observer,
) -> None:
    """Tell an adapter of its run, and listen for completions.  Raises UsageError for a port that is taken."""
    if chosen is None or chosen.adapter is None:
        return
    chosen.adapter.run = settings.account_prefix
    if hasattr(chosen.adapter, "history"):
        chosen.adapter.history.home_of = settings.home_of
    late = client.adapter.late
    if late is None:
        return
    client.completions = completions = Completions(system, late, client.send, observer)
    callbacks = chosen.callbacks
    if callbacks.topic:
        subscribe(completions, late, callbacks.topic)
    elif not late.every_s:
        listening = listen(completions, late, callbacks.host, callbacks.port)
        chosen.adapter.callback_url = callbacks.url or listening


def check_ca_file(path: str) -> None:
    """Raise UsageError when the file of `CA_FILE` cannot vouch for anything; an empty path is none."""
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise UsageError(f"{CA_FILE}: {path} holds no certificate in PEM form") from None
    except OSError as error:
        raise UsageError(f"{CA_FILE}: {path} cannot be read: {error.strerror}") from None


def probe(
    url: str, name: str = NEXUM, ca_file: str = "", blocks: TargetsBlock | None = None, base: Path = Path()
) -> str | None:
    """None when the system answers its health check at ``url``, else what is wrong and what to do.

    Raises UsageError for a ``ca_file`` that is none, an address that is none, and a door that is wrong.
    """
    check_ca_file(ca_file)
    role: Role = "bank" if name == NEXUM else "detector"
    chosen = _chosen(ClientSettings(seed=0, blocks=blocks or TargetsBlock(), base=base), role)
    try:
        transport = HttpTransport(
            url,
            rng=random.Random(0),  # never drawn from: nothing is retried
            timeout_s=PROBE_TIMEOUT_S,
            concurrency=1,
            max_retries=0,
            token=chosen.door.token,
            ca_file=ca_file,
            door=chosen.door,
        )
    except UsageError as error:
        raise UsageError(f"--{name.lower()}-url: {error}") from None
    mapped = chosen.adapter
    reply = transport.send(mapped.health() if mapped is not None else HEALTH)
    transport.close()
    if mapped is not None and reply.status in (401, 403) and chosen.door.token_url:
        return None  # its token is got when the run begins
    if mapped is not None and reply.status in getattr(mapped, "healthy", (200,)):
        return None
    option = f"--{name.lower()}-url ({name.upper()}_URL)"
    check = f"Check targets.{role}.url, or {option}." if mapped is not None else f"Check {option}. {WAYS_OUT}"
    name = mapped.name if mapped is not None else name
    if reply.status == 0 and "certificate" in reply.error:
        return f"{name} at {url}: {reply.error}. Name the authority that signed it in {CA_FILE} (a PEM file)."
    if reply.status == 0:
        return f"{name} does not answer at {url}: {reply.error}. {check}"
    if reply.status != 200:
        return (
            f"{name} at {url} is not ready, or it is something else that listens there: "
            f"its /health answers {failure_text(reply)}. {check}"
        )
    strange = _strange(reply, name)
    return f"What listens at {url} is not {name}: its /health answers {strange}. {check}" if strange else None


def _strange(reply: Reply, name: str) -> str:
    """What is strange about a health check that answered 200; a detector may say it in any words."""
    if isinstance(reply.data, str) and reply.data.lstrip().startswith("<"):
        return "with a web page"
    if name == NEXUM and not isinstance(reply.data, Mapping):
        return f"{reply.error or 'JSON that is no object'} ({str(reply.data)[:60]!r})"
    return ""
