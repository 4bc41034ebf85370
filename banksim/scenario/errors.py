"""Mistakes in a scenario, and the error line for each.

fraud.patterns[1].weight: expected a number from 0 to 1, got 3 (scenarios/x.yaml line 21)
└─ where it is ─────────┘ └─ text ──────────────────────────┘ └─ added by the loader ───┘

YAML text to plain data, with the line of every key.

Only the safe subset of YAML is read: no tag can name a Python object.  The text is
first composed to a node tree, which has line numbers and still shows a key that is
given twice (plain loading would silently keep the last one).  Aliases are legal, but
the size of the unfolded tree is bounded, so a small file cannot become a huge scenario.
"""

from __future__ import annotations

import difflib
import inspect
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from banksim.scenario.fields import EXPECTED, Block

#: Keys and list positions from the top of the file down.
Path = tuple[str | int, ...]

LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """``text`` describes the mistake at ``path``; ``line`` overrides the line of that path."""

    path: Path
    text: str
    line: int | None = None
    too_long: bool = False

    @property
    def where(self) -> str:
        return path_text(self.path)


def path_text(path: Path) -> str:
    """``("fraud", "patterns", 1, "weight")`` as ``fraud.patterns[1].weight``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


#: A user name in an address may come with a password.
_USER_IN_URL = re.compile(r"//[^/\s'\"]*@")


def shown(value: object) -> str:
    """A value about as the user wrote it, shortened to `LONGEST_SHOWN` characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a block of keys"
    if isinstance(value, date):
        return str(value)
    text = repr(list(value)) if isinstance(value, list | tuple) else repr(value)
    text = _USER_IN_URL.sub("//***@", text.replace("\n", " "))
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


# -- From a path in a scenario file to the block of the schema, and the keys that are legal there ---
#
# Used for the hints on unknown keys, and to read an empty block as its defaults.


def block_in(annotation: object) -> type[Block] | None:
    """The block that ``annotation`` holds, itself or as items of a list; None for plain values."""
    if inspect.isclass(annotation) and issubclass(annotation, Block):
        return annotation
    for part in get_args(annotation):
        found = block_in(part)
        if found is not None:
            return found
    return None


def block_at(root: type[Block], path: Path) -> type[Block] | None:
    """The block that ``path`` leads to from ``root``; None when it leads elsewhere."""
    block: type[Block] | None = root
    for step in path:
        if isinstance(step, int):
            continue
        if block is None or step not in block.model_fields:
            return None
        block = block_in(block.model_fields[step].annotation)
    return block


def all_keys(block: type[Block], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key below ``block`` with its place: ("peak_tps", "transaction_rate.peak_tps")."""
    for key, info in block.model_fields.items():
        place = f"{prefix}{key}"
        yield key, place
        inner = block_in(info.annotation)
        if inner is not None:
            yield from all_keys(inner, f"{place}[]." if _is_list(info.annotation) else f"{place}.")


def suggestion(root: type[Block], path: Path) -> str | None:
    """The key probably meant by the unknown one at ``path``: of another block, or misspelt."""
    *around, key = path
    block = block_at(root, tuple(around))
    here = list(block.model_fields) if block else []
    elsewhere = next((place for name, place in all_keys(root) if name == key), None)
    near = difflib.get_close_matches(str(key), here, n=1)
    return elsewhere or (near[0] if near else None)


def without_empty_blocks(values: Mapping[object, object], block: type[Block]) -> dict[object, object]:
    """``values`` with every empty block as {} and every empty list or table left out.

    An empty `fraud:` means a block of defaults; an empty plain key stays, and is a mistake
    unless the key may be empty.
    """
    result: dict[object, object] = {}
    for key, item in values.items():
        info = block.model_fields.get(key) if isinstance(key, str) else None
        annotation = info.annotation if info else None
        inner = block_in(annotation)
        if item is None and _is_list(annotation):
            continue
        if inner is None:
            result[key] = item
        elif isinstance(item, list | tuple):
            result[key] = [_filled(one, inner) for one in item]
        else:
            result[key] = {} if item is None else _filled(item, inner)
    return result


def _filled(item: object, block: type[Block]) -> object:
    return without_empty_blocks(item, block) if isinstance(item, Mapping) else item


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) in (tuple, list, dict)


# -- pydantic's errors as error lines ----------------------------------------------------------------
#
# pydantic                              here
# ────────────────────────────────────  ──────────────────────────────────────────
# our own type, "expected"              expected a number from 0 to 1, got 3
# missing                               missing
# extra_forbidden                       unknown key; did you mean peak_tps?
# model_type, dict_type                 expected a block of keys, got 5
# literal_error                         expected light or dark, got 'blue'


#: pydantic's marker for "the key, not the value, of this table entry".
KEY_MARKER = "[key]"

PLAIN_WORDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "dict_type": "a block of keys",
    "tuple_type": "a list",
    "list_type": "a list",
}
UNKNOWN_KEY = ("extra_forbidden", "invalid_key")


def problems_of(error: ValidationError, data: Mapping[object, object], root: type[Block]) -> list[Problem]:
    """One problem per mistake in ``data``; ``root`` is the model that was checked."""
    problems = [_problem(detail, data, root) for detail in error.errors(include_url=False)]
    return list(dict.fromkeys(problems))


def _problem(detail: ErrorDetails, data: Mapping[object, object], root: type[Block]) -> Problem:
    location = detail["loc"]
    is_key = bool(location) and location[-1] == KEY_MARKER
    path = _path(location[:-1] if is_key else location, data)
    if detail["type"] in UNKNOWN_KEY:
        guess = suggestion(root, path)
        return Problem(path, "unknown key" + (f"; did you mean {guess}?" if guess else ""))
    if detail["type"] == "missing":
        return Problem(path, "missing, and there is no default")
    expected = _expected(detail)
    if expected is None:
        return Problem(path, detail["msg"])
    return Problem(path, f"expected {expected}{' as key' if is_key else ''}, got {shown(detail['input'])}")


def _expected(detail: ErrorDetails) -> str | None:
    """The text after "expected"; None for a kind of error without one."""
    if detail["type"] == EXPECTED:
        return detail["msg"]
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"]).replace("'", "")
    return PLAIN_WORDS.get(detail["type"])


def _path(location: tuple[int | str, ...], data: object) -> Path:
    """pydantic's location as a path: list positions stay numbers, keys become text."""
    steps: list[str | int] = []
    for step in location:
        if isinstance(data, list | tuple) and isinstance(step, int):
            steps.append(step)
            data = data[step] if step < len(data) else None
        else:
            steps.append(str(step))
            data = data.get(step) if isinstance(data, Mapping) else None
    return tuple(steps)


#: Largest scenario text, in bytes.
MAX_BYTES = 1_000_000
#: Most values in a scenario once every alias is written out.
MAX_NODES = 50_000

MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Document:
    """The content of a file.  ``data`` is None when there is no mapping; ``lines`` count from 1."""

    data: dict[object, object] | None = None
    problems: list[Problem] = field(default_factory=list)
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)

    def line_of(self, path: Path) -> int | None:
        """The line of ``path``, or of the nearest block around it that has one."""
        steps = tuple(str(step) for step in path)
        for length in range(len(steps), 0, -1):
            if steps[:length] in self.lines:
                return self.lines[steps[:length]]
        return None


def read_yaml(text: bytes) -> Document:
    """Read one YAML mapping.  Never raises for what the text holds: mistakes are in ``problems``."""
    if len(text) > MAX_BYTES:
        return _refused(f"the file is larger than {MAX_BYTES:,} bytes")
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return _refused("the file is empty")
        if not isinstance(root, yaml.MappingNode):
            return _refused("expected a mapping of keys to values, such as `name: My scenario`", _line(root))
        if _unfolded_size(root) > MAX_NODES:
            return _refused(f"more than {MAX_NODES:,} values once aliases are written out")
        document = Document()
        _note_lines(root, (), document)
        misread = list(_misread(root, ()))
        document.problems += misread
        if any(problem.too_long for problem in misread):
            return document  # making a number of it, or a message, would take its time
        data = loader.construct_document(root)
        if not isinstance(data, dict):
            return _refused(f"only plain YAML is read: got {root.tag.rpartition(':')[2]}", _line(root))
        document.data = data
        return document
    except yaml.YAMLError as error:
        return _from_yaml_error(error)
    except RecursionError:
        return _refused("nested too deeply, or an alias that contains itself")
    except Exception as error:
        # A date such as 2026-02-31, text in no known encoding, a tag that does not fit its value.
        return _refused(f"a value cannot be read: {_one_line(str(error)) or type(error).__name__}")
    finally:
        if loader is not None:
            loader.dispose()


def _unfolded_size(root: yaml.Node) -> int:
    """Values in the tree with every alias written out; RecursionError when one contains itself."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) in open_nodes:
            raise RecursionError
        if id(node) not in sizes:
            open_nodes.add(id(node))
            children = [
                child for pair in node.value for child in (pair if isinstance(pair, tuple) else (pair,))
            ]
            sizes[id(node)] = 1 + sum(size(child) for child in children)
            open_nodes.discard(id(node))
        return sizes[id(node)]

    return size(root)


def _note_lines(node: yaml.Node, path: tuple[str, ...], document: Document) -> None:
    """Write down the line of every path below ``node``, and keys that are given twice."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            document.lines[(*path, str(index))] = _line(item)
            _note_lines(item, (*path, str(index)), document)
    elif isinstance(node, yaml.MappingNode):
        given: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == MERGE_TAG:
                continue
            step = str(key.value)
            if step in given:
                text = f"given twice, first on line {given[step]}"
                document.problems.append(Problem((*path, step), text, line=_line(key)))
                continue
            given[step] = document.lines[(*path, step)] = _line(key)
            _note_lines(value, (*path, step), document)


#: Longest key, and longest number, in characters.
MAX_WORD = 100
TOO_LONG = "too many characters"
_ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|0[xb][0-9a-f_]+)", re.IGNORECASE)
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


def _misread(node: yaml.Node, path: Path) -> Iterator[Problem]:
    """What YAML 1.1 reads otherwise than people do, and characters that a terminal would obey."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            step = str(key.value)
            if len(step) > MAX_WORD:
                yield Problem(path, f"{TOO_LONG} for a key: {len(step):,}", _line(key), too_long=True)
                return
            yield from _misread(key, path)
            yield from _misread(value, (*path, step))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _misread(item, (*path, index))
    elif why := _why_misread(node):
        yield Problem(path, why, line=_line(node), too_long=why.startswith(TOO_LONG))


def _why_misread(node: yaml.Node) -> str:
    text = str(node.value)
    if any(unicodedata.category(letter) in ("Cc", "Cf") and letter not in "\n\t\u200d" for letter in text):
        return f"holds a control character: {shown(text)}"
    if not isinstance(node, yaml.ScalarNode) or node.style is not None or node.tag not in _NUMBERS:
        return ""
    if len(text) > MAX_WORD:
        return f"{TOO_LONG} for a number: {len(text):,}"
    if _ODD_NUMBER.fullmatch(text) and text.strip("+-0"):
        return f"{text} would be read in another base than ten; write it without the zero, or in quotes"
    if _SIXTIES.fullmatch(text):
        return f"{text} would be read as a number of sixties; write a plain number, or put it in quotes"
    return ""


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _refused(text: str, line: int | None = None) -> Document:
    return Document(problems=[Problem((), text, line=line)])


def _from_yaml_error(error: yaml.YAMLError) -> Document:
    """One line from the parser's message, which spreads over several."""
    line = None
    text = _one_line(str(error))
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        text = _one_line(" ".join(part for part in (error.context, error.problem) if part))
    if isinstance(error, yaml.constructor.ConstructorError) and "tag" in text:
        return _refused(f"only plain YAML is read: {text}", line)
    if isinstance(error, yaml.composer.ComposerError) and "single document" in text:
        return _refused("expected one YAML document, found a second one", line)
    return _refused(f"not valid YAML: {text}", line)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
