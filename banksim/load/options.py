"""Options in addition to Locust's own: on the command line and, some of them, in the start form.

Two traps of Locust shape this file: options in an argument group never reach the form,
and the form drops options whose name has a digit right after a letter.  So all are added
to the parser itself, with plain names.

From the command line values arrive typed, from the form as text, and an empty field
means "not given".  `run_settings` accepts both.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from locust.argument_parser import get_parser
from locust.env import Environment

from banksim.load.users import AcceleratedClockShape, has_seat
from banksim.model import UsageError
from banksim.run.plan import KafkaUse, Mode, RunSettings, new_seed
from banksim.scenario import load_scenario
from banksim.scenario.errors import shown
from banksim.scenario.loader import scenario_files

logger = logging.getLogger(__name__)

DEFAULT_SCENARIO = "normal_day"
DEFAULT_REPORT_DIR = "reports"

#: Options that override something in the scenario.
SCENARIO_OPTIONS = (
    "speed",
    "customers",
    "seed",
    "nexum_url",
    "bastion_url",
    "bank_adapter",
    "detector_adapter",
    "kafka_servers",
    "no_kafka",
    "flow",
    "threshold",
    "dashboard",
)

#: All of ours, as they are read from the command line or the form.
OPTION_NAMES = ("scenario", "target_mode", "report_dir", "transaction_log", *SCENARIO_OPTIONS)


class _Suggested(list[str]):
    """Choices the form shows as a list while the command line takes anything (a path, say)."""

    def __contains__(self, _: object) -> bool:
        return True


#: Locust's options that are worth knowing of here; a run's --help lists them with Locust's own words.
LOCUSTS_OPTIONS = (
    *("--headless", "--autostart", "--autoquit", "--print-stats", "--only-summary", "--stop-timeout"),
    *("--processes", "--master", "--worker", "--expect-workers", "--master-host", "--master-port"),
    *("--master-bind-host", "--master-bind-port", "--web-host", "--web-port", "--web-base-path"),
    *("--web-login", "--tls-cert", "--tls-key", "--loglevel", "--logfile", "--html", "--csv", "--json"),
)

#: What Locust's parser takes in addition to argparse's own keywords.
_OF_LOCUST = ("include_in_web_ui", "is_multiple", "is_secret", "is_required", "env_var")


class _Group:
    """A group of an ordinary parser that takes what Locust's parser does."""

    def __init__(self, group: Any) -> None:
        self._group = group

    def add_argument(self, *names: str, **how: Any) -> None:
        how = {name: value for name, value in how.items() if name not in _OF_LOCUST}
        if isinstance(how.get("choices"), _Suggested):
            del how["choices"]
        self._group.add_argument(*names, **how)

    def set_defaults(self, **_: Any) -> None:
        """Ignored: a help text needs no defaults."""


def add_help(parser: argparse.ArgumentParser) -> None:
    """Add everything a run takes to a parser that only prints it: banksim's options, and some of Locust's."""
    add_options(_Group(parser.add_argument_group("the run")))
    group = parser.add_argument_group("Locust's own, among others (--locust-help lists them all)")
    known = {name: action for action in get_parser()._actions for name in action.option_strings}
    for name in LOCUSTS_OPTIONS:
        action = known[name]
        text = (action.help or "").replace("\n", " ").split(". ")[0].rstrip(".")
        if action.nargs == 0:
            group.add_argument(name, action="store_true", help=text)
        else:
            group.add_argument(name, metavar=action.metavar, help=text)


def add_options(parser: Any) -> None:
    """Add banksim's options to Locust's parser.  Called again for each view of the start form."""
    names = list(scenario_files())

    def add(*flags: str, **how: Any) -> None:
        """Each can be given as a variable too, as Locust's own can: LOCUST_SCENARIO, LOCUST_DRY_RUN."""
        parser.add_argument(
            *flags, env_var="LOCUST_" + flags[0].removeprefix("--").replace("-", "_").upper(), **how
        )

    add(
        "--scenario",
        default=DEFAULT_SCENARIO,
        metavar="NAME|FILE",
        choices=_Suggested(names),
        help=f"A name ('banksim scenarios' lists them) or a YAML file. Default: {DEFAULT_SCENARIO}",
    )
    add("--speed", metavar="X", help="Simulated seconds per second, 0.1 to 10,000. Empty: the scenario's")
    add("--seed", metavar="N", help="Seed of everything random. Empty: the scenario's, else a new one")
    add("--customers", metavar="N", help="Number of customers. Empty: the scenario's")
    add(
        "--target-mode",
        choices=[str(mode) for mode in Mode],
        default=str(Mode.LIVE),
        help="live: systems at their addresses. sandbox: stand-ins over HTTP. "
        "dry-run: stand-ins in process, no network",
    )
    for mode in (Mode.DRY_RUN, Mode.SANDBOX):
        add(
            f"--{mode}",
            dest="target_mode",
            action="store_const",
            const=str(mode),
            default=str(Mode.LIVE),
            include_in_web_ui=False,
            help=f"Short for --target-mode {mode}",
        )
    add(
        "--nexum-url",
        metavar="URL",
        help="Address of the core bank. Default: NEXUM_URL, else the scenario's",
    )
    add(
        "--bastion-url",
        metavar="URL",
        help="Address of the fraud detector. Default: BASTION_URL, else the scenario's",
    )
    for role, system in (("bank", "Nexum"), ("detector", "Bastion")):
        add(
            f"--{role}-adapter",
            metavar="NAME|FILE",
            include_in_web_ui=False,
            help=f"What the {role} speaks where that is not {system}'s API: a shipped mapping, "
            "a mapping file, or FILE.py:CLASS (docs/targets.md)",
        )
    add(
        "--kafka-servers",
        metavar="A,B",
        help="Kafka brokers as host:port with commas, or 'embedded' for a test broker in this process. "
        "Default: KAFKA_BOOTSTRAP_SERVERS, else the scenario's",
    )
    add(
        "--no-kafka",
        action="store_true",
        include_in_web_ui=False,
        help="Publish no events to Kafka",
    )
    add(
        "--flow",
        choices=["post_then_score", "score_then_post"],
        include_in_web_ui=False,
        help="Order of the calls: book, then score; or score, then book what is not blocked",
    )
    add(
        "--threshold",
        action="append",
        metavar="EXPR",
        include_in_web_ui=False,
        help="Condition the run must meet, in addition to the scenario's own, such as 'recall >= 90%%', "
        "'response_time.p99 < 400ms', 'errors < 5%% for 30s abort' (docs/thresholds.md); may be "
        "repeated; one that fails ends in exit code 99",
    )
    add(
        "--transaction-log",
        action="store_true",
        include_in_web_ui=False,
        help="Write every transaction, its truth and outcome to transactions.csv (docs/transaction-log.md)",
    )
    add(
        "--report-dir",
        default=DEFAULT_REPORT_DIR,
        metavar="DIR",
        include_in_web_ui=False,
        help=f"Folder for results; each run makes its own folder in it. Default: {DEFAULT_REPORT_DIR}",
    )
    add(
        "--dashboard",
        action="store_true",
        include_in_web_ui=False,
        help="Serve banksim's pages even where the scenario says dashboard.enabled: false",
    )
    add(
        "--log-file",
        metavar="FILE",
        include_in_web_ui=False,
        help="Write the log to FILE too; Locust's own --logfile takes it away from the console",
    )
    # The control API has no password by default, so only this machine is served by default.
    parser.set_defaults(web_host="127.0.0.1")


# -- Locust's options that would have no effect here, or another one --------------------------------
#
# docs/command-line.md lists every option of Locust with its meaning here.  What cannot work is refused
# with what to use instead; what changes nothing says so once.


def heed_locusts_options(environment: Environment) -> None:
    """Look at Locust's options before anything starts.  Raises UsageError for what cannot work.

    All of them act on classes that are not banksim's.
    """
    options = environment.parsed_options
    others = [cls.__name__ for cls in environment.user_classes if not has_seat(cls)]
    environment.shape_class.use_common_options = False
    if options.host and not others:
        raise UsageError(_NO_HOST.format(f"--host {shown(options.host)}"))
    ours = [row for row in chain(*(options.config_users or ())) if row["user_class_name"] not in others]
    for row in ours:
        raise UsageError(
            f"--config-users: {row['user_class_name']} takes what the scenario says is due: set personas, "
            "their share and their tasks there (docs/scenarios.md)"
        )
    if options.num_users and not others:
        logger.warning("--users has no effect: users only carry out what is due (max_users in the scenario)")
    if options.spawn_rate:
        logger.warning("--spawn-rate has no effect: users are there as soon as they are needed")


def check_form(form: Mapping[str, str], environment: Environment) -> None:
    """The same for Locust's start form.  Raises UsageError."""
    if environment.web_ui is None or not environment.web_ui.userclass_picker_is_active:
        return
    shapes, classes = environment.available_shape_classes or {}, environment.available_user_classes or {}
    picked = form.get("shape_class", "Default")
    names = [name for name, shape in shapes.items() if isinstance(shape, AcceleratedClockShape)]
    if picked not in names:
        raise UsageError(f"Shape class: {shown(picked)} cannot make a run; pick {' or '.join(names)}")
    all_of: Callable[[str], list[str]] = getattr(form, "getlist", lambda _: [])
    chosen = all_of("user_classes")
    if chosen and not any(has_seat(classes[name]) for name in chosen if name in classes):
        raise UsageError(
            "User classes: none of those picked is banksim's, so nobody would carry anything out"
        )


_NO_HOST = (
    "{} names no target of banksim, which has two: use --nexum-url for the core bank and --bastion-url for "
    "the fraud detector"
)


def from_form(form: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Our options out of a submitted start form.

    The form sends every field it shows, so an empty one means "as the scenario says"; an
    option it does not show keeps its value from the command line.
    """
    options = {name: defaults.get(name) for name in OPTION_NAMES}
    options.update({name: form[name].strip() or None for name in OPTION_NAMES if name in form})
    if "threshold" in form:  # one a line, in addition to the command line's
        lines = [line.strip() for line in form["threshold"].splitlines() if line.strip()]
        options["threshold"] = [*(defaults.get("threshold") or ()), *lines]
    return options


def run_settings(
    options: Mapping[str, Any], environ: Mapping[str, str], allow_paths: bool = True
) -> RunSettings:
    """Settings of a run from options, environment and scenario, in this order.

    Without ``allow_paths`` the scenario must be a bare name: for what comes over the network.
    Raises UsageError (ScenarioError for anything in the scenario) naming what is wrong.
    """
    overrides = {name: options.get(name) for name in SCENARIO_OPTIONS}
    name = str(options.get("scenario") or DEFAULT_SCENARIO)
    scenario = load_scenario(name, overrides, environ, allow_paths=allow_paths)
    return RunSettings(
        scenario=scenario,
        seed=scenario.seed if scenario.seed is not None else new_seed(),
        speed=scenario.speed_multiplier,
        mode=_mode(str(options.get("target_mode") or Mode.LIVE)),
        report_dir=Path(str(options.get("report_dir") or DEFAULT_REPORT_DIR)),
        transaction_log=bool(options.get("transaction_log")),
        kafka=_kafka_use(options),
    )


def _kafka_use(options: Mapping[str, Any]) -> KafkaUse:
    if options.get("no_kafka"):
        return KafkaUse.OFF
    return KafkaUse.ASKED if options.get("kafka_servers") else KafkaUse.AUTO


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise UsageError(f"--target-mode: expected {', '.join(Mode)}, got {text!r}") from None
