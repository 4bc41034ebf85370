"""YAML text to plain data, with the line of every key.

Only the safe subset of YAML is read: no tag can name a Python object.  The text is
first composed to a node tree, which has line numbers and still shows a key that is
given twice (plain loading would silently keep the last one).  Aliases are legal, but
the size of the unfolded tree is bounded, so a small file cannot become a huge scenario.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from banksim.scenario.errors import Path, Problem

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
        document.data = loader.construct_document(root)
        return document
    except yaml.YAMLError as error:
        return _from_yaml_error(error)
    except RecursionError:
        return _refused("nested too deeply, or an alias that contains itself")
    except (ValueError, TypeError, OverflowError) as error:
        # A date such as 2026-02-31, or text in no known encoding.
        return _refused(f"a value cannot be read: {_one_line(str(error))}")
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
