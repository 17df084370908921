"""YAML files that hold a mapping: read with the line of every key, and written so that they read back equal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

from gazetune.errors import InputError

_UNREADABLE = (ValueError, OverflowError, RecursionError)
"""Errors of values that are YAML: a date of month 13, an integer of 5,000 digits, a thousand lists in lists."""
_MOST_VALUES = 100_000
"""Values that a file may have once its anchors are put in: a few lines of anchors of anchors can mean billions."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but `1e-4` is a number, and neither `1:30` (90 there) nor `010` (8) is."""


class _Dumper(yaml.SafeDumper):
    """Lists in one line, and texts that `_Loader` would take for a number quoted."""


# PyYAML asks for a dot and a signed exponent; without this a learning rate of 1e-4 is a text.
_EXPONENT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")
# YAML 1.1 counts 1:30 in sixties and 010 in eights, which nobody means who writes hours or a batch size.
_INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
)
_INT_TAG, _FLOAT_TAG = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (_INT_TAG, _FLOAT_TAG)]
    for first, known in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT_TAG, _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+.0123456789"))
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)

_Dumper.add_multi_representer(str, lambda dumper, text: dumper.represent_str(str(text)))  # such as an `Address`


def read_yaml(path: str | Path) -> dict[str, object]:
    """Return the mapping that a YAML file holds.

    Raises
    ------
    InputError
        For a file that is missing, empty, not UTF-8, not YAML, not a mapping, or has a key twice; with the line.
    """
    return read_yaml_lines(path)[0]


def read_yaml_lines(path: str | Path) -> tuple[dict[str, object], dict[str, int]]:
    """Return the mapping that a YAML file holds, and the line (from 1) that each dotted key stands on.

    Raises
    ------
    InputError
        As `read_yaml`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    lines: dict[str, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise InputError(f"{path}: the file is empty; a YAML mapping is needed")
        if not isinstance(node, yaml.MappingNode):
            kind = "list" if isinstance(node, yaml.SequenceNode) else "single value"
            raise InputError(f"{path}:{node.start_mark.line + 1}: a YAML mapping is needed, this is a {kind}")
        _record_lines(node, "", lines, str(path), set())
        _count_values(node, {}, str(path))
        # The keys of a mapping are texts: `_record_lines` refuses others.
        return cast("dict[str, object]", loader.construct_document(node)), lines
    except yaml.YAMLError as error:
        raise InputError(f"{path}{_describe_yaml_error(error)}") from None
    except _UNREADABLE as error:
        raise InputError(f"{path}: a value cannot be read: {' '.join(str(error).split())}") from None


def _record_lines(node: yaml.MappingNode, prefix: str, lines: dict[str, int], path: str, visited: set[int]) -> None:
    """Record the line of every key below `node`; refuse keys that stand twice, of which YAML would drop one."""
    visited.add(id(node))  # an anchor that is used twice, or inside itself, is one node
    seen: dict[str, int] = {}
    for name_node, value_node in node.value:
        line = name_node.start_mark.line + 1
        if name_node.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            raise InputError(f"{path}:{line}: the key {name_node.value!r} is read as no text; put it in quotes")
        name = name_node.value
        if name in seen:
            raise InputError(f"{path}:{line}: the key '{prefix}{name}' stands twice, first on line {seen[name]}")
        seen[name] = lines[f"{prefix}{name}"] = line
        if isinstance(value_node, yaml.MappingNode) and id(value_node) not in visited:
            _record_lines(value_node, f"{prefix}{name}.", lines, path, visited)


def _count_values(node: yaml.Node, counts: dict[int, int], path: str) -> int:
    """Return how many values a node has once its aliases are put in; refuse what holds itself, or is too large."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) in counts:
        if not counts[id(node)]:
            raise InputError(f"{path}:{node.start_mark.line + 1}: an anchor holds itself; write the values out")
        return counts[id(node)]
    counts[id(node)] = 0  # until its values are known
    parts = [part for each in node.value for part in (each if isinstance(each, tuple) else (each,))]
    count = sum(_count_values(part, counts, path) for part in parts)
    if count > _MOST_VALUES:
        raise InputError(f"{path}:{node.start_mark.line + 1}: anchors make more than {_MOST_VALUES} values of this")
    counts[id(node)] = max(count, 1)
    return counts[id(node)]


def _describe_yaml_error(error: yaml.YAMLError) -> str:
    """Return `:line: what is wrong` of a parser's error."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f":{mark.line + 1}" if mark is not None else ""
    problem = [getattr(error, name, None) for name in ("context", "problem")]
    return f"{line}: not YAML: {' '.join((', '.join(filter(None, problem)) or str(error)).split())}"


def parse_yaml_value(text: str) -> object:
    """Return the value that a piece of YAML is.

    Raises
    ------
    InputError
        Says what is no YAML in it.

    Examples
    --------
    >>> parse_yaml_value("1e-4"), parse_yaml_value("[a, 2]"), parse_yaml_value("")
    (0.0001, ['a', 2], None)
    """
    try:
        node = yaml.compose(text, _Loader)
        if node is not None:
            _count_values(node, {}, "the value")
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise InputError(_describe_yaml_error(error).partition(": ")[2]) from None
    except _UNREADABLE as error:
        raise InputError(f"not readable: {' '.join(str(error).split())}") from None


def dump_yaml(tree: Mapping[str, object]) -> str:
    """Return a tree as YAML that `read_yaml` reads as an equal one.

    Examples
    --------
    >>> print(dump_yaml({"backbone": "tiny", "gaze": {"features": ["FFD", "TRT"]}}), end="")
    backbone: tiny
    gaze:
      features: [FFD, TRT]
    """
    return yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
