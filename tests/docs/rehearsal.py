"""Runs the commands of a page as its reader would, quickly and without anything but this machine.

A page's `bash` blocks are given to bash, in order, in a folder that looks like a clone.  On the PATH
stand-ins named `locust`, `python`, `docker` and so on come first.  Each applies its rule and then does
the real thing:

locust, run.py      run for real, headless, at full speed, against the in-process stand-ins, without a broker;
                    shipped scenarios without phases last six simulated hours at most; the same command
                    runs once for all pages; a master runs alone, a worker's options are read
banksim             run for real (`run` as run.py); data sets of 300 rows; `sandbox` until it
                    listens; `check-target` reads the mapping
make                `make -n`: the target exists
docker compose      the services named exist in docker-compose.yml
curl                the route exists, with this method
pip install         the extra exists
kafka-*.sh          the topics named are ours
python FILE, -m X   the file exists and compiles

Everything else (cp, cat, echo, pipes, variables) is the shell's own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.kafka.broker import free_port

ROOT = Path(__file__).resolve().parents[2]
FULL_SPEED = "6000"
#: Of shipped scenarios without phases; four seconds at full speed, so that a busy machine measures something.
LONGEST_HOURS = 6
#: Environment variable with a folder in which finished commands are remembered.
MEMORY = "BANKSIM_REHEARSED"
#: Names in the documents for "a run of yours".
RUN_NAMES = ("RUN", "RUN-A", "RUN-B", "BEFORE", "AFTER")

#: Options that a rehearsal leaves out: whether they take a value.
NOT_REHEARSED = {
    "--autostart": False,
    "--master": False,
    "--expect-workers": True,
    "--master-bind-host": True,
    "--master-bind-port": True,
    "--headless": False,
    "--sandbox": False,
    "--dry-run": False,
    "--no-kafka": False,
    "--verbose": False,
    "-v": False,
    "--speed": True,
    "--loglevel": True,
    "--web-port": True,
    "--web-host": True,
    "--target-mode": True,
    "--kafka-servers": True,
}


def workspace(folder: Path, runs: Path) -> Path:
    """A folder like a clone: scenarios of its own, the rest by links; ``runs`` holds a finished run."""
    place = folder / "banksim"
    place.mkdir()
    shutil.copytree(ROOT / "scenarios", place / "scenarios")
    for scenario in (place / "scenarios").glob("*.yaml"):
        text = scenario.read_text("utf-8")
        # A scenario with phases is left as long as they need.
        if "phases:" not in text:
            text = re.sub(r"^duration_hours: \d+", _shortened, text, flags=re.MULTILINE)
        text = text.replace("hold_seconds: 20", "hold_seconds: 2")  # steps are in real seconds
        scenario.write_text(text, "utf-8")
    for path in ROOT.glob("requirements*.*"):
        (place / path.name).symlink_to(path)
    for name in (
        "locustfiles",
        "run.py",
        "Makefile",
        "pyproject.toml",
        "docker-compose.yml",
        "benchmarks",
        "tests",
        "docs",
    ):
        (place / name).symlink_to(ROOT / name)
    for name in RUN_NAMES:
        shutil.copytree(runs, place / "reports" / name)
    tools = folder / "bin"
    tools.mkdir()
    for name in RULES:
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.docs.rehearsal {name} "$@"\n')
        tool.chmod(0o755)
    return place


def _shortened(match: re.Match[str]) -> str:
    return f"duration_hours: {min(int(match[0].split()[1]), LONGEST_HOURS)}"


def rehearse(
    place: Path, memory: Path, script: str, timeout_s: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """Run one block in a workspace; the first command that fails ends it."""
    ours = ("NEXUM_URL", "BASTION_URL", "KAFKA_BOOTSTRAP_SERVERS", "DASHBOARD_PORT", "LOG_LEVEL")
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    environ |= {"PATH": f"{place.parent / 'bin'}:{environ['PATH']}", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    environ[MEMORY] = str(memory)
    return subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", script],
        cwd=place,
        env=environ,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _locust(arguments: Sequence[str]) -> int:
    if "--help" in arguments or "--version" in arguments:
        return _run(sys.executable, "-m", "locust", *arguments)
    if "--worker" in arguments:
        return _known("worker", _read_by_locust(arguments))
    kept, skip = [], False
    for argument in arguments:
        name, _, value = argument.partition("=")
        if skip:
            skip = False
        elif name in NOT_REHEARSED:
            skip = NOT_REHEARSED[name] and not value
        else:
            kept.append(argument)
    return _once(kept)


def _read_by_locust(arguments: Sequence[str]) -> bool:
    """Whether Locust's own parser understands all of them."""
    from locust.argument_parser import get_parser

    _, unknown = get_parser().parse_known_args(list(arguments))
    return unknown == []


def _once(arguments: Sequence[str]) -> int:
    """Run Locust, or do as if: the output, exit code and files of the same command on the same scenario."""
    options, told = _report_dir().parse_known_args(arguments)
    named = Path("scenarios", f"{options.scenario}.yaml")
    scenario = named if named.exists() else Path(options.scenario)
    told = [word for word in told if word != "--only-summary"]
    key = hashlib.sha256("\0".join([*told, scenario.read_text("utf-8")]).encode()).hexdigest()[:16]
    known = Path(os.environ[MEMORY], key)
    if not known.exists():
        command = [sys.executable, "-m", "locust", *told, "--scenario", options.scenario]
        command += [
            "--report-dir",
            str(known),
            "--headless",
            "--only-summary",
            "--dry-run",
            "--speed",
            FULL_SPEED,
        ]
        if "--processes" in told:  # other tests may have the usual port
            port = str(free_port())
            command += ["--master-bind-port", port, "--master-port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        known.mkdir(exist_ok=True)
        (known / "said.json").write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    code, out, err = json.loads((known / "said.json").read_text())
    for run in known.iterdir():
        if run.is_dir():
            shutil.copytree(run, Path(options.report_dir, run.name), dirs_exist_ok=True)
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(code)


def _report_dir() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--scenario", default="normal_day")
    parser.add_argument("--report-dir", default="reports")
    return parser


def _python(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["run.py", *flags]:
            from banksim.cli import launch

            options, others = launch._parser().parse_known_args(flags)
            if options.list_scenarios or options.validate_scenario:
                return launch.main(flags)
            return _locust(launch.locust_arguments(options, others, os.environ))
        case ["-m", "banksim", *rest]:
            return _banksim(rest)
        case ["-m", module, *_]:
            return _known(
                module, (ROOT / module.replace(".", "/")).with_suffix(".py").exists() or module == "venv"
            )
        case ["-c", code]:
            return _run(sys.executable, "-c", code)
        case [file, *_]:
            compile(Path(file).read_text("utf-8"), file, "exec")
            return 0
    return _known("python", False)


def _banksim(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["run", *flags]:
            return _python(["run.py", *flags])
        case ["sandbox", *options]:
            return _sandbox(options)
        case ["check-target", "--target", target, *_]:  # for real: tests/integration/test_other_targets.py
            return _run(
                sys.executable, "-c", f"from banksim.targets.connect import role_of; role_of({target!r})"
            )
        case ["generate", *options]:
            if "--check" in options:  # tests/integration/test_generate_docs.py runs it in full
                options.remove("--check")
                options += [] if "--out" in options else ["--out", "checked.csv"]
            return _run(
                sys.executable, "-m", "banksim", "generate", *options, "--limit", "300", "--customers", "200"
            )
        case ["report", *options] if not shutil.which("chromium"):
            options = [option for option in options if not option.endswith((".pdf", "charts"))]
            return _run(sys.executable, "-m", "banksim", "report", *(o for o in options if o[:2] != "--"))
    return _run(sys.executable, "-m", "banksim", *arguments)


def _sandbox(options: Sequence[str]) -> int:
    """Serve on free ports until all listen, then stop it as Ctrl-C does."""
    from banksim.sandbox.server import build_parser

    build_parser().parse_args(options)
    if "--help" in options:
        return 0
    elsewhere = ("--host", "--database-url", "--kafka-servers", "--bank-port", "--detector-port")
    kept = [
        option
        for before, option in zip(["", *options], options, strict=False)
        if before not in elsewhere and option not in elsewhere
    ]
    command = [sys.executable, "-m", "banksim", "sandbox", *kept, "--bank-port", "0", "--detector-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        servers = 1 if "--only" in options else 2
        for line in server.stdout:  # to its end: a server that cannot print would fail
            print(line, end="")
            servers -= "listening" in line
            if servers == 0:
                server.send_signal(signal.SIGINT)
                servers = -1
    return 0 if server.returncode in (0, 130) else server.returncode


def _make(arguments: Sequence[str]) -> int:
    return _run("/usr/bin/make", "-n", *arguments)


def _docker(arguments: Sequence[str]) -> int:
    import yaml

    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    if list(arguments[:1]) != ["compose"]:
        return _known(
            f"docker {arguments[0]}", arguments[0] in ("build", "run", "pull", "login", "push", "logs")
        )
    rest = list(arguments[1:])
    command = next(word for word in rest if not word.startswith("-"))
    known = command in ("up", "down", "ps", "logs", "build", "exec", "config", "run", "stop")
    services = [
        word.partition("=")[0] for word in rest[rest.index(command) + 1 :] if not word.startswith("-")
    ]
    if command in ("exec", "run"):
        services = services[:1]
    return _known(f"docker {' '.join(arguments)}", known and set(services) <= set(compose["services"]))


def _curl(arguments: Sequence[str]) -> int:
    """The route exists at the simulator or at a stand-in, and a body is JSON."""
    address = next(word for word in arguments if re.match(r"(https?://)?[\w.-]+:\d+", word))
    url = urlsplit(address if "://" in address else f"http://{address}")
    words = dict(zip(arguments, [*arguments[1:], ""], strict=True))
    if "-d" in words:
        json.loads(words["-d"])
    said = (ROOT / "docs" / "api.md").read_text("utf-8")
    method = words.get("-X", "POST" if "-d" in words else "GET")
    at_simulator = f"`{method} {url.path}" in said or url.path == "/banksim-login"
    return _known(
        address,
        at_simulator
        if url.port in (8089, 8095)
        else url.path in ("/health", "/stats", "/ledger/trial-balance"),
    )


def _pip(arguments: Sequence[str]) -> int:
    """Known extras of ours, or pinned in our requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"\[(\w+)\]", " ".join(arguments))
    return _known(f"pip {' '.join(arguments)}", set(extras) <= set(project["optional-dependencies"]))


def _kafka(arguments: Sequence[str]) -> int:
    from banksim.kafka import client as topics

    named = re.findall(r"--topic (\S+)", " ".join(arguments))
    ours = {value for value in vars(topics).values() if isinstance(value, str)}
    return _known(f"topics {named}", set(named) <= ours)


RULES: dict[str, Callable[[Sequence[str]], int]] = {
    "locust": _locust,
    "python": _python,
    "banksim": _banksim,
    "make": _make,
    "docker": _docker,
    "curl": _curl,
    "pip": _pip,
    "python3": _python,
    "kafka-topics.sh": _kafka,
    "kafka-console-consumer.sh": _kafka,
    "kafka-consumer-groups.sh": _kafka,
}


def _known(what: str, yes: bool) -> int:
    """Exit code 0 if there is such a thing; else 3, with a line that says what there is not."""
    if not yes:
        print(f"the documents name something that is not there: {what}", file=sys.stderr)
    return 0 if yes else 3


def _run(*command: str) -> int:
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(RULES[sys.argv[1]](sys.argv[2:]))
