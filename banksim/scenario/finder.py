"""Where scenario files are.

A word that names an existing file is that file.  Any other bare name is looked up in
the folder `scenarios/` of the working directory and then in the one shipped with
banksim, and cannot leave them: it is a name, not a path.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from banksim.domain import ScenarioError
from banksim.shipped import shipped_folder

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

    Without ``allow_paths`` only bare names count: for names that come over the network.
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
