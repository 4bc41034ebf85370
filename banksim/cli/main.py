"""`banksim`: the commands around a run, and the run itself for an installed package.

A run is a Locust command, `locust -f locustfiles/banking.py`; `banksim run` becomes it with
the locustfile of the package.

banksim run                  run a scenario
banksim locustfile           where that locustfile is, for `locust -f`
banksim scenarios            list what can be run
banksim validate FILE…       check a scenario and print what it would do
banksim schema               the scenario format, for editors or as Markdown
banksim generate             a labelled data set of a scenario, without a target
banksim report RUN           a run's page again, as PDF, or its charts as PNG
banksim compare A B          what got better or worse from one run to another
banksim reconcile RUN        did the bank lose, double or invent money
banksim check-target         one customer's life at a system of your own, call by call
banksim sandbox              the stand-in bank and detector as servers
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import banksim
from banksim.cli import check_target, launch
from banksim.cli import reports as cli_reconcile
from banksim.cli import reports as cli_reports
from banksim.cli import scenarios as cli_scenarios
from banksim.dataset import command as generate
from banksim.model import BanksimError, ExitCode
from banksim.scenario.loader import LOCUSTFILE
from banksim.scenario.reference import reference, schema_text


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.  Wrong options end in SystemExit(2) with a message.

    What the terminal or pipe has no letter for is replaced, and a reader who has enough ends nothing.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
        elif stream is None:  # it was closed before this process began
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    try:
        code = _main(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # such as `banksim scenarios | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.COMPLETED)


def _main(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        _parser().print_help()
        return int(ExitCode.COMPLETED)
    if arguments[:1] == ["run"]:
        return launch.main(arguments[1:], prog="banksim run")
    if arguments[:1] == ["sandbox"]:
        # Imported here: serving needs gevent's patches, which the other commands do without.
        from banksim.sandbox import server

        return server.main(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        if options.command == "validate":
            return cli_scenarios.run_validate(options.files)
        if options.command == "locustfile":
            print(LOCUSTFILE)
            return int(ExitCode.COMPLETED)
        if options.command == "schema":
            return _schema(options.markdown, options.mapping)
        if options.command == "generate":
            return generate.run(options)
        if options.command == "report":
            return cli_reports.run_report(options)
        if options.command == "compare":
            return cli_reports.run_compare(options)
        if options.command == "reconcile":
            return cli_reconcile.run(options)
        if options.command == "check-target":
            return check_target.run(options)
        return cli_scenarios.run_list()
    except BanksimError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="banksim",
        description="Runs of banking scenarios, and the chores around them.",
        epilog="Each command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"banksim {banksim.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="run a scenario (options: run --help)", add_help=False)
    commands.add_parser("locustfile", help="print where the locustfile is, for locust -f")
    commands.add_parser("scenarios", help="list the scenarios and what each would do")
    cli_scenarios.add_validate_options(
        commands.add_parser("validate", help="check scenario files and print what they would do")
    )
    schema = commands.add_parser("schema", help="print the scenario format as JSON Schema")
    schema.add_argument("--markdown", action="store_true", help="print it as Markdown tables instead")
    schema.add_argument("--mapping", action="store_true", help="that of mapping files for --bank-adapter")
    generate.add_options(
        commands.add_parser("generate", help="write a labelled data set of a scenario, without a target")
    )
    cli_reports.add_report_options(
        commands.add_parser("report", help="write a run's report again, as PDF too, or its charts as PNG")
    )
    cli_reports.add_compare_options(
        commands.add_parser("compare", help="report what got better or worse from one run to another")
    )
    cli_reconcile.add_options(
        commands.add_parser("reconcile", help="report whether the bank's balances are what it acknowledged")
    )
    check_target.add_options(
        commands.add_parser("check-target", help="play one customer's life at a system and show each call")
    )
    commands.add_parser("sandbox", help="serve the stand-in bank and detector (options: sandbox --help)")
    return parser


def _schema(markdown: bool, mapping: bool) -> int:
    if mapping:
        # Imported here: it brings the clients along, which the other commands do without.
        from banksim.targets.mapping_format import mapping_schema

        print(mapping_schema(), end="")
    else:
        print(reference() if markdown else schema_text(), end="")
    return int(ExitCode.COMPLETED)
