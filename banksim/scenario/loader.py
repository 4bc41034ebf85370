"""From a name or a file to a checked scenario, or to every mistake in it at once.

text ──yaml_text──► plain data ──overrides──► merged ──models──► Scenario
            │                                   ├─ field checks (words)
            └ lines, keys given twice           └─ consistency
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from banksim.domain import ScenarioError
from banksim.scenario.consistency import inconsistencies
from banksim.scenario.finder import find_scenario, scenario_files
from banksim.scenario.models import CHECKED_BY_LOADER, Scenario
from banksim.scenario.overrides import Setting, apply_settings, settings_from, source_of
from banksim.scenario.pattern_types import KNOWN_PATTERN_TYPES
from banksim.scenario.problems import Problem
from banksim.scenario.schema_walk import without_empty_blocks
from banksim.scenario.words import problems_of
from banksim.scenario.yaml_text import MAX_BYTES, Document, read_yaml

#: Most mistakes shown for one scenario.
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class BrokenScenario:
    """A file in the scenarios folder that does not load, and why."""

    name: str
    error: ScenarioError


def load_scenario(
    name_or_path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    allow_paths: bool = True,
    pattern_types: Sequence[str] = KNOWN_PATTERN_TYPES,
) -> Scenario:
    """Read, merge and check a scenario.

    ``overrides`` are command-line options (see `overrides.settings_from`), ``environ``
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
    overrides: Mapping[str, Any] | None = None,
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
    data = without_empty_blocks(apply_settings(document.data, settings), Scenario)
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
    """Every scenario of the scenario folders by name, and apart from them the files that do not load."""
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
    """The path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
