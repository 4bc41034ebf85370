"""From a name or a file to a checked scenario, or to every mistake in it at once.

text ──yaml_text──► plain data ──settings──► merged ──models──► Scenario
            │                                  ├─ field checks (fields, errors)
            └ lines, keys given twice          └─ consistency
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from banksim.model import ScenarioError
from banksim.scenario.consistency import inconsistencies
from banksim.scenario.errors import MAX_BYTES, Document, Problem, problems_of, read_yaml, without_empty_blocks
from banksim.scenario.errors import Path as KeyPath
from banksim.scenario.fraud import KNOWN_PATTERN_TYPES
from banksim.scenario.models import CHECKED_BY_LOADER, Scenario
from banksim.scenario.targets import with_addresses

# -- The folders shipped with banksim, in a checkout and in an installed package --------------------
#
# A checkout has `scenarios/` and `locustfiles/` at its top, where users look for them.  A
# wheel carries the same two folders inside the package, as `banksim/files/` (see
# pyproject.toml), since the top of site-packages is shared by all packages.


_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path:
    """The folder ``name`` ("scenarios", "locustfiles") of this installation."""
    packaged = _PACKAGE / "files" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


LOCUSTFILE = shipped_folder("locustfiles") / "banking.py"


# -- Where scenario files are -----------------------------------------------------------------------
#
# A word that names an existing file is that file.  Any other bare name is looked up in
# the folder `scenarios/` of the working directory and then in the one shipped with
# banksim, and cannot leave them: it is a name, not a path.


SHIPPED_FOLDER = shipped_folder("scenarios")
SUFFIXES = (".yaml", ".yml")
#: Most files of one folder that are looked at.
MAX_FILES = 1000

BARE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


def scenario_folders() -> list[Path]:
    """The folders that bare names are looked up in, first come first served."""
    folders = [Path.cwd() / "scenarios", SHIPPED_FOLDER]
    return [folder.resolve() for folder in dict.fromkeys(folders) if folder.is_dir()]


def scenario_files() -> dict[str, Path]:
    """Every scenario that a bare name can mean, in order of the names."""
    files: dict[str, Path] = {}
    for folder in scenario_folders():
        for path in sorted(folder.iterdir())[:MAX_FILES]:
            if path.suffix in SUFFIXES and BARE_NAME.fullmatch(path.stem) and path.is_file():
                files.setdefault(path.stem, path)
    return dict(sorted(files.items()))


def find_scenario(name_or_path: str | Path, allow_paths: bool = True) -> Path:
    """The file that ``name_or_path`` means.

    Without ``allow_paths`` only bare names count, for names from the network.
    Raises ScenarioError, with the closest known name, when there is no such file.
    """
    word = str(name_or_path)
    if allow_paths and _is_file(word):
        return Path(word).resolve()
    files = scenario_files()
    if BARE_NAME.fullmatch(word):
        path = files.get(word) or files.get(_without_suffix(word))
        if path is not None:
            return path
    raise ScenarioError([_not_found(word, list(files))])


def _not_found(word: str, names: list[str]) -> str:
    matches = difflib.get_close_matches(_without_suffix(Path(word).name).lower(), names, n=1)
    hint = f"did you mean {matches[0]}? " if matches else ""
    known = f"known: {', '.join(names)}" if names else "there is no folder of scenarios here"
    is_path = "/" in word or "\\" in word or word.endswith(SUFFIXES)
    noun = "no scenario file" if is_path else "no scenario"
    shown_word = word if len(word) <= 100 else word[:99] + "…"
    return f"{shown_word!r}: {noun} of that name; {hint}{known}"


def _without_suffix(word: str) -> str:
    for suffix in SUFFIXES:
        word = word.removesuffix(suffix)
    return word


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except (OSError, ValueError):  # a name too long for the system, or with a NUL in it
        return False


# -- Settings from the command line and the environment, which replace those of the file ------------
#
# Precedence: command line, then environment, then scenario, then default.  A wrong value
# is reported under the name the user typed (`--speed`, `DASHBOARD_PORT`), not under the
# key it stands for.


#: Command-line options that stand for a key of the scenario.
OPTION_PATHS: dict[str, KeyPath] = {
    "speed": ("speed_multiplier",),
    "customers": ("customers",),
    "seed": ("seed",),
    "flow": ("flow",),
    "threshold": ("thresholds",),
    "nexum_url": ("connections", "nexum_url"),
    "bastion_url": ("connections", "bastion_url"),
    "bank_adapter": ("targets", "bank", "adapter"),
    "detector_adapter": ("targets", "detector", "adapter"),
    "kafka_servers": ("connections", "kafka_bootstrap_servers"),
    "no_kafka": ("connections", "kafka_bootstrap_servers"),
    "dashboard": ("dashboard", "enabled"),
    "dashboard_port": ("dashboard", "port"),
}

ENVIRONMENT_PATHS: dict[str, KeyPath] = {
    "NEXUM_URL": ("connections", "nexum_url"),
    "BASTION_URL": ("connections", "bastion_url"),
    "KAFKA_BOOTSTRAP_SERVERS": ("connections", "kafka_bootstrap_servers"),
    "DASHBOARD_PORT": ("dashboard", "port"),
}

#: Options for which an empty value has a meaning: no such system.
MEANINGFUL_WHEN_EMPTY = frozenset({"nexum_url", "bastion_url"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One value from outside the file; ``source`` is the option or variable that set it."""

    source: str
    path: KeyPath
    value: object


def settings_from(overrides: Mapping[str, object], environ: Mapping[str, str]) -> list[Setting]:
    """Every setting that was given, in order of rising precedence.

    ``overrides`` has names of options with underscores ("speed", "nexum_url") or keys of
    the scenario, dotted where nested ("transaction_rate.peak_tps"); the check reports a
    key that does not exist.  A value of None, and False for a switch, mean that the
    option was not given; so does an empty environment variable.
    """
    settings = [
        Setting(name, path, environ[name]) for name, path in ENVIRONMENT_PATHS.items() if environ.get(name)
    ]
    for name, value in overrides.items():
        if _not_given(name, value):
            continue
        path = OPTION_PATHS.get(name) or tuple(name.split("."))
        settings.append(Setting(option_text(name), path, None if name == "no_kafka" else value))
    # --no-kafka wins over --kafka-servers in either order.
    settings.sort(key=lambda setting: setting.source == "--no-kafka")
    return settings


def apply_settings(data: dict[object, object], settings: list[Setting]) -> dict[object, object]:
    """``data`` with the settings laid over it; ``data`` itself stays as it is.

    Thresholds add to those of the scenario; every other setting replaces.
    """
    result = dict(data)
    for setting in settings:
        *blocks, key = setting.path
        place = result
        for block in blocks:
            inner = place.get(block)
            if inner is not None and not isinstance(inner, Mapping):
                break  # the file has its own mistake there, which is reported
            copy = place[block] = dict(inner or {})
            place = copy
        else:
            place[key] = (
                _with_thresholds(place.get(key), setting.value) if key == "thresholds" else setting.value
            )
    return result


def _with_thresholds(own: object, added: object) -> list[object]:
    """The scenario's own thresholds and then those of the option, which is one text or several."""
    several = list(added) if isinstance(added, list | tuple) else [added]
    return [*own, *several] if isinstance(own, list) else several


def source_of(path: KeyPath, settings: list[Setting]) -> str | None:
    """The option or variable that set the value at ``path``; None when the file did."""
    for setting in reversed(settings):
        if path[: len(setting.path)] == setting.path:
            return setting.source
    return None


def option_text(name: str) -> str:
    """``dashboard_port`` as ``--dashboard-port``; a dotted key stays as it is."""
    return f"--{name.replace('_', '-')}" if name in OPTION_PATHS else name


def _not_given(name: str, value: object) -> bool:
    if value is None:
        return True
    if name in ("no_kafka", "dashboard"):
        return not value
    if name == "threshold":
        return not value
    return value == "" and name not in MEANINGFUL_WHEN_EMPTY


#: Most mistakes shown for one scenario.
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class BrokenScenario:
    """A file in the scenarios folder that does not load, and why."""

    name: str
    error: ScenarioError


def load_scenario(
    name_or_path: str | Path,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    allow_paths: bool = True,
    pattern_types: Sequence[str] = KNOWN_PATTERN_TYPES,
) -> Scenario:
    """Read, merge and check a scenario.

    ``overrides`` are command-line options (see `settings_from`), ``environ``
    the environment variables (default: the process's own).  ``allow_paths=False`` takes
    bare names only.  Raises ScenarioError with one line per mistake.
    """
    path = find_scenario(name_or_path, allow_paths)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ScenarioError([f"{path}: cannot be read: {error.strerror}"]) from error
    scenario = parse_scenario(
        text,
        _display(path),
        overrides,
        os.environ if environ is None else environ,
        pattern_types=pattern_types,
    )
    return scenario.with_source(path)


def parse_scenario(
    text: str | bytes,
    source: str = "scenario",
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    pattern_types: Sequence[str] = KNOWN_PATTERN_TYPES,
) -> Scenario:
    """Check a scenario given as YAML text; ``source`` is what error lines call it.

    Reads no environment unless ``environ`` is given.  Raises ScenarioError.
    """
    document = read_yaml(text.encode() if isinstance(text, str) else text)
    settings = settings_from(overrides or {}, environ or {})
    problems = list(document.problems)
    if document.data is None:
        raise ScenarioError([_line(problem, document, source, settings) for problem in problems])
    data = without_empty_blocks(apply_settings(with_addresses(document.data), settings), Scenario)
    scenario = None
    try:
        scenario = Scenario.model_validate(data, context={CHECKED_BY_LOADER: True})
    except ValidationError as error:
        problems += problems_of(error, data, Scenario)
    problems += inconsistencies(data, pattern_types)
    if problems or scenario is None:
        raise ScenarioError(_lines(problems, document, source, settings))
    return scenario


def list_scenarios() -> list[tuple[str, Scenario]]:
    """Every scenario of the scenario folders that loads, by name."""
    return survey_scenarios()[0]


def survey_scenarios() -> tuple[list[tuple[str, Scenario]], list[BrokenScenario]]:
    """Every scenario of the scenario folders by name, and separately the files that do not load."""
    good: list[tuple[str, Scenario]] = []
    broken: list[BrokenScenario] = []
    for name, path in scenario_files().items():
        try:
            good.append((name, load_scenario(path, environ={})))
        except ScenarioError as error:
            broken.append(BrokenScenario(name, error))
    return good, broken


def _lines(problems: list[Problem], document: Document, source: str, settings: list[Setting]) -> list[str]:
    """The problems as text: in the order of the file, those of options first."""

    def position(problem: Problem) -> int:
        if source_of(problem.path, settings) is not None:
            return 0
        return problem.line or document.line_of(problem.path) or 0

    ordered = sorted(problems, key=position)
    lines = list(dict.fromkeys(_line(problem, document, source, settings) for problem in ordered))
    if len(lines) > MAX_PROBLEMS:
        more = len(lines) - MAX_PROBLEMS
        lines = [*lines[:MAX_PROBLEMS], f"and {more} more ({source})"]
    return lines


def _line(problem: Problem, document: Document, source: str, settings: list[Setting]) -> str:
    option = source_of(problem.path, settings)
    if option is not None and problem.line is None:
        return f"{option}: {problem.text}"
    line = problem.line or document.line_of(problem.path)
    place = f"{source} line {line}" if line else source
    return f"{problem.where}: {problem.text} ({place})" if problem.path else f"{problem.text} ({place})"


def _display(path: Path) -> str:
    """The path, relative to the working directory where possible."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
