"""The systems of one run, bundled, and the question asked before it: are they there?

`Targets` comes in two makes: over HTTP (real systems, or the stand-ins behind HTTP), and
in this process (a dry run).  An empty address means that the run has no such system.
Make them after a process has forked: connections cannot be shared with a child.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from banksim.model import UsageError
from banksim.targets.auth import Login
from banksim.targets.bastion import NAME as BASTION
from banksim.targets.bastion import BastionClient
from banksim.targets.breaker import CircuitBreaker, CircuitStatus, GuardedTransport
from banksim.targets.calls import Health, Observer, Reply, Transport, check_health, failure_text, ignore_call
from banksim.targets.http.connection import HttpTransport
from banksim.targets.in_process import Handler, InProcessTransport
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


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How both clients behave.  Seconds are wall time; ``concurrency`` is sockets per system."""

    seed: int
    currency: str = "USD"
    timeout_s: float = 30.0
    max_retries: int = 3
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

    def transport(name: str, url: str, token: str) -> HttpTransport:
        return HttpTransport(
            url,
            rng=stream(settings.seed, "systems", "backoff", name),
            timeout_s=settings.timeout_s,
            concurrency=settings.concurrency,
            max_retries=settings.max_retries,
            token=token,
            ca_file=settings.ca_file,
        )

    return _targets(
        transport(NEXUM, nexum_url, settings.nexum_token) if nexum_url else None,
        transport(BASTION, bastion_url, settings.bastion_token) if bastion_url else None,
        settings,
        observer,
        books,
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
) -> Targets:
    """Both clients over their transports; ``guarded`` puts a circuit breaker in front of each."""
    breakers: list[CircuitBreaker] = []

    def guard(name: str, transport: Transport) -> Transport:
        if not (guarded and settings.breaker):
            return transport
        breakers.append(CircuitBreaker(name))
        return GuardedTransport(transport, breakers[-1])

    directory = AccountDirectory(settings.seed)
    bank = detector = None
    if to_bank is not None:
        bank = NexumClient(
            guard(NEXUM, to_bank),
            directory,
            currency=settings.currency,
            observer=observer,
            books=books,
            login=Login(settings.nexum_username, settings.nexum_password),
            account_prefix=settings.account_prefix,
        )
    if to_detector is not None:
        detector = BastionClient(
            guard(BASTION, to_detector),
            directory,
            observer=observer,
            feedback=settings.feedback,
            batch_size=settings.batch_size,
            batch_wait_s=settings.batch_wait_s,
        )
    return Targets(bank, detector, directory, tuple(breakers))


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


def probe(url: str, name: str = NEXUM, ca_file: str = "") -> str | None:
    """None when the system answers its health check at ``url``, else what is wrong and what to do.

    Raises UsageError for a ``ca_file`` that is none.
    """
    check_ca_file(ca_file)
    try:
        transport = HttpTransport(
            url,
            rng=random.Random(0),  # never drawn from: nothing is retried
            timeout_s=PROBE_TIMEOUT_S,
            concurrency=1,
            max_retries=0,
            ca_file=ca_file,
        )
    except UsageError as error:
        return f"--{name.lower()}-url: {error}"
    reply = check_health(transport)
    transport.close()
    check = f"Check --{name.lower()}-url ({name.upper()}_URL). {WAYS_OUT}"
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
