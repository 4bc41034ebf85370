"""YAML text to plain data, with the line of every key.

Only the safe subset of YAML is read: no tag can name a Python object.  The text is
first composed to a node tree, which has line numbers and still shows a key that is
given twice (plain loading would silently keep the last one).  Aliases are legal, but
the size of the unfolded tree is bounded, so a small file cannot become a huge scenario.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from banksim.scenario.errors import Path, Problem, shown

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
