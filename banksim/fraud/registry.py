"""The typologies one run knows, by name: the built-in ones, then those of plugin files.

A typology is a generator function that yields planned transactions and receives their
outcomes.  The decorator only *marks* a function with its name and usual size; which
typologies exist is decided by a `Registry` built from modules: the built-in ones, then
the files a scenario names under `plugins`.  So importing a file changes nothing by
itself, and two runs in one process can know different typologies.

    @typology("card_testing", mean_size=30, mean_duration_s=15 * 60)
    def card_testing(campaign): ...

A plugin may replace a built-in typology by using its name; the later file wins.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from hashlib import blake2b
from importlib import util
from pathlib import Path
from types import ModuleType

from banksim.activity.payments import payments_in
from banksim.fraud.typology import MARK, Typology
from banksim.model import Label, ScenarioError


class Registry:
    """The typologies one run knows."""

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self._by_name: dict[str, Typology] = {}
        self._alias: dict[str, str] = {}
        for module in modules:
            self.add_module(module)

    def add_module(self, module: ModuleType) -> list[str]:
        """Take in every typology defined in ``module``; returns their names."""
        found = []
        for value in vars(module).values():
            kind = getattr(value, MARK, None)
            if isinstance(kind, Typology) and value.__module__ == module.__name__:
                self._by_name[kind.name] = kind
                self._alias.update(dict.fromkeys(kind.aliases, kind.name))
                found.append(kind.name)
        return found

    def get(self, name: str) -> Typology:
        """The typology of that name or alias.  Raises ScenarioError when there is none."""
        found = self._by_name.get(name) or self._by_name.get(self._alias.get(name, ""))
        if found is None:
            known = ", ".join(self.names(Label.FRAUD))
            raise ScenarioError([f"fraud.patterns: unknown kind of fraud {name!r}; known: {known}"])
        return found

    def names(self, label: Label | None = None) -> list[str]:
        """Every name, or those of one label, sorted; aliases are not listed."""
        return sorted(name for name, kind in self._by_name.items() if label is None or kind.label is label)


def load_plugin(path: Path) -> ModuleType:
    """The module in a user's file.  Raises ScenarioError, naming the file, when it fails to load."""
    name = f"banksim_plugin_{path.stem}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    spec = util.spec_from_file_location(name, path) if path.suffix == ".py" else None
    if spec is None or spec.loader is None or not path.is_file():
        what = "is not a Python file" if path.exists() else "is not a Python file: there is no such file"
        raise ScenarioError([f"plugins: {path} {what}"])
    module = util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the like look their own module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        del sys.modules[name]
        raise ScenarioError([f"plugins: {path} cannot be loaded: {_where(error, path)}"]) from error
    return module


def _where(error: BaseException, path: Path) -> str:
    """The error in one line, with the line of the user's file that it came from."""
    text = " ".join(str(error).split())
    words = f"{type(error).__name__}: {text}" if text else type(error).__name__
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{words} (line {lines[-1]})" if lines else words


def build_registry(plugin_paths: Iterable[Path] = ()) -> Registry:
    """The built-in typologies and those of the given files.

    Raises ScenarioError when a file cannot be loaded or marks nothing.
    """
    return registry_of([load_plugin(path) for path in plugin_paths])


def registry_of(plugins: Iterable[ModuleType]) -> Registry:
    """The built-in typologies and those of loaded files.  Raises ScenarioError for one that adds nothing."""
    from banksim.fraud import typologies

    registry = Registry(typologies.MODULES)
    for module in plugins:
        if not registry.add_module(module) and not payments_in(module):
            raise ScenarioError([f"plugins: {module.__file__} marks no function with @typology or @payment"])
    return registry
