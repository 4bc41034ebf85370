"""The pipelines of docs/ci.md parse, and their commands are run as the pages' own are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import DOCS, examples
from tests.docs.rehearsal import rehearse, workspace

RECIPES = examples(DOCS / "ci.md")
GITHUB, GITLAB, JENKINS = ".github/workflows/bank.yml", ".gitlab-ci.yml", "Jenkinsfile"


def github_commands(recipe: dict[str, Any]) -> list[str]:
    return [step["run"] for step in recipe["jobs"]["banksim"]["steps"] if "run" in step]


def commands(name: str) -> list[str]:
    if name == JENKINS:
        return re.findall(r"sh '([^']+)'", RECIPES[name])
    recipe = yaml.safe_load(RECIPES[name])
    return github_commands(recipe) if name == GITHUB else recipe["bank-under-attack"]["script"]


def test_there_are_three_recipes() -> None:
    assert set(RECIPES) == {GITHUB, GITLAB, JENKINS}


@pytest.mark.parametrize("name", RECIPES)
def test_the_commands_of_a_recipe_run(name: str, tmp_path: Path, finished_run: Path, memory: Path) -> None:
    place = workspace(tmp_path, finished_run)
    found = commands(name)
    assert any("banksim run" in command for command in found)
    for command in found:
        done = rehearse(place, memory, command.replace(".venv/bin/", ""))
        # A threshold that fails at rehearsal speed is no fault of the recipe.
        assert done.returncode in ((0, 99) if "--threshold" in command else (0,)), done.stderr[-3000:]
    assert len(list((place / "out").glob("*/junit.xml"))) == 1  # where the recipes look for it


def test_the_recipes_keep_the_report_also_of_a_failed_run() -> None:
    github = yaml.safe_load(RECIPES[GITHUB])["jobs"]["banksim"]["steps"][-1]
    assert (github["if"], github["with"]["path"]) == ("always()", "out/")
    gitlab = yaml.safe_load(RECIPES[GITLAB])["bank-under-attack"]["artifacts"]
    assert (gitlab["when"], gitlab["reports"]["junit"]) == ("always", "out/*/junit.xml")
    assert re.search(r"post \{\s+always \{\s+junit 'out/\*/junit.xml'", RECIPES[JENKINS])


def test_the_jenkinsfile_closes_what_it_opens() -> None:
    assert RECIPES[JENKINS].count("{") == RECIPES[JENKINS].count("}")
