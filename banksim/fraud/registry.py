"""Loads the typologies of a run: the built-in ones, then the plugin files its scenario names.

A plugin may replace a built-in typology by using its name; the later file wins.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from hashlib import blake2b
from importlib import import_module, util
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from banksim.activity.payments import payments_in
from banksim.fraud import typologies
from banksim.fraud.typology import Registry
from banksim.model import ScenarioError


def load_plugin(path: Path) -> ModuleType:
    """Load the module in a user's file.  Raises ScenarioError, which names the file, on failure."""
    name = f"banksim_plugin_{path.stem}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    spec = util.spec_from_file_location(name, path) if path.suffix == ".py" else None
    if spec is None or spec.loader is None or not path.is_file():
        what = "is not a Python file" if path.exists() else "is not a Python file: there is no such file"
        raise ScenarioError([f"plugins: {path} {what}"])
    module = util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their own module there
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
    registry = Registry(
        import_module(f"{typologies.__name__}.{found.name}") for found in iter_modules(typologies.__path__)
    )
    for module in plugins:
        if not registry.add_module(module) and not payments_in(module):
            raise ScenarioError([f"plugins: {module.__file__} marks no function with @typology or @payment"])
    return registry
