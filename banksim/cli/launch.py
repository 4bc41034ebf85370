"""The original simulator's flags, as the Locust command they stand for.

    python run.py --scenario normal_day --dry-run --dashboard
    locust -f locustfiles/banking.py --scenario normal_day --dry-run --autostart --web-port 8095

`banksim run` is the same for an installed package, which has no run.py.

The command is printed, so that users of one learn the other, and then replaces this
process: signals, exit code and output are Locust's.  Flags that are not known
here are passed on as they are.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import banksim
from banksim.cli import scenarios
from banksim.model import BanksimError
from banksim.scenario import load_scenario
from banksim.scenario.loader import LOCUSTFILE

DEFAULT_SCENARIO = "normal_day"

#: Where the original simulator left its log.
LOG_FILE = "banking_simulator.log"

#: Flags that Locust's command takes under the same name.
SAME_NAME = (
    *("speed", "customers", "nexum_url", "bastion_url", "kafka_servers"),
    *("bank_adapter", "detector_adapter"),
)


def main(argv: Sequence[str] | None = None, prog: str = "run.py") -> int:
    """Become the Locust command, or do a chore; returns the exit code of a chore or an error."""
    options, others = _parser(prog).parse_known_args(argv)
    if options.help or options.locust_help:
        print(_help(prog), flush=True)
        return _become(["-f", str(LOCUSTFILE), "--help"], prog) if options.locust_help else 0
    try:
        if options.list_scenarios:
            return scenarios.run_list()
        if options.validate_scenario:
            return scenarios.run_validate([options.validate_scenario])
        arguments = locust_arguments(options, others, os.environ)
    except BanksimError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return _become(arguments, prog)


def _become(arguments: Sequence[str], prog: str) -> NoReturn:
    """Print the command and replace this process by it; its errors begin with ``prog``."""
    shown = [_shown(LOCUSTFILE) if argument == str(LOCUSTFILE) else argument for argument in arguments]
    print(f"locust {shlex.join(shown)}", flush=True)
    named = f"import sys; sys.argv[0] = {prog!r}; from locust.main import main; main()"
    os.execv(sys.executable, [sys.executable, "-c", named, *arguments])


def _help(prog: str) -> str:
    """The flags that are only known here, then every option of a run."""
    # Imported here: it brings Locust along, which a run imports anyway.
    from banksim.load.options import add_help

    parser = _frame(prog)
    add_help(parser)
    _add_chores(parser, prog)
    return parser.format_help()


def locust_arguments(
    options: argparse.Namespace, others: Sequence[str], environ: Mapping[str, str]
) -> list[str]:
    """Locust's arguments for parsed flags.  Raises ScenarioError when the scenario is wrong."""
    given = {name: getattr(options, name) for name in SAME_NAME if getattr(options, name) is not None}
    port = {} if options.dashboard_port is None else {"dashboard_port": options.dashboard_port}
    scenario = load_scenario(options.scenario, {**given, **port}, environ)
    arguments = ["-f", str(LOCUSTFILE), "--scenario", options.scenario]
    for name, value in given.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    arguments += [f"--{flag.replace('_', '-')}" for flag in ("dry_run", "no_kafka") if getattr(options, flag)]
    if options.verbose:
        arguments += ["--loglevel", "DEBUG"]
    if options.log_file:
        arguments += ["--log-file", options.log_file]
    if options.dashboard or port:
        arguments += ["--autostart", "--web-port", str(scenario.dashboard.port)]
        arguments += ["--web-host", scenario.dashboard.host]
        arguments += [] if scenario.dashboard.enabled else ["--dashboard"]
    elif not {"--headless", "--autostart", "--worker"} & set(others):
        arguments.append("--headless")
    return [*arguments, *others]


def _frame(prog: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} [options]",
        description="Run a scenario: print the Locust command that it stands for, and become it.",
        epilog="Exit codes: 0 completed, 1 error, 2 wrong option or scenario, 99 a threshold failed, "
        "130 interrupted.",
        add_help=False,
        allow_abbrev=False,
        conflict_handler="resolve",
        formatter_class=partial(argparse.HelpFormatter, max_help_position=32),
    )


def _parser(prog: str = "run.py") -> argparse.ArgumentParser:
    """Reads what has to be known here; all other options go through to Locust."""
    parser = _frame(prog)
    add = parser.add_argument
    add("--scenario", default=DEFAULT_SCENARIO)
    for name in SAME_NAME:
        add(f"--{name.replace('_', '-')}")
    for name in ("dry-run", "no-kafka"):
        add(f"--{name}", action="store_true")
    _add_chores(parser, prog)
    return parser


def _add_chores(parser: argparse.ArgumentParser, prog: str) -> None:
    """What only this command takes."""
    add = parser.add_argument_group("short forms and chores").add_argument
    add("--no-bastion", dest="bastion_url", action="store_const", const="", help="short for --bastion-url ''")
    add("--dashboard", action="store_true", help="with the web pages, the run already started")
    add(
        "--dashboard-port",
        metavar="PORT",
        help="their port (default: DASHBOARD_PORT, else the scenario's, 8095)",
    )
    add("--list-scenarios", action="store_true", help="list the scenarios and exit")
    add("--validate-scenario", metavar="FILE", help="check a scenario, print what it would do, and exit")
    add("--verbose", "-v", action="store_true", help="log calls, transactions and campaign decisions")
    log_file = LOG_FILE if prog == "run.py" and os.access(Path.cwd(), os.W_OK) else None
    default = f" (default: {log_file})" if log_file else ""
    add(
        "--log-file",
        metavar="FILE",
        default=log_file,
        help=f"write the log to FILE too, '' for none{default}",
    )
    add("--version", action="version", version=f"banksim {banksim.__version__}")
    add("--help", "-h", action="store_true", help="show this and exit")
    add("--locust-help", action="store_true", help="show this and all of Locust's own options, and exit")


def _shown(path: Path) -> str:
    """The path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
