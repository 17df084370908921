"""YAML in, `Config` out, and the resolved config back to YAML beside every run.

Every mistake becomes one `InputError` line that names file and line, dotted key, value and what is accepted.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gazetune.config import Config
from gazetune.config.keys import (
    accepted_values,
    config_keys,
    config_sections,
    get_key,
    key_at,
    key_hint,
    known_key,
    set_key,
)
from gazetune.errors import InputError
from gazetune.files.atomic_write import write_atomically

__all__ = [
    "Lines",
    "apply_overrides",
    "build_config",
    "config_keys",
    "dump_config",
    "dump_yaml",
    "get_key",
    "load_config",
    "parse_overrides",
    "read_yaml",
    "read_yaml_lines",
    "set_key",
    "with_absolute_paths",
    "write_config",
]

Lines = Mapping[str, int | str]
"""Where each dotted key was set: a line of the file (counted from 1), or the name of what set it, such as `--set`."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but `1e-4` is a number."""


class _Dumper(yaml.SafeDumper):
    """Lists in one line, and texts that `_Loader` would take for a number quoted."""


# PyYAML asks for a dot and a signed exponent; without this a learning rate of 1e-4 is a text.
_EXPONENT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises
    ------
    InputError
        For a file that is missing, empty, not UTF-8, not YAML, not a mapping, or has a key twice; with the line.
    """
    return read_yaml_lines(path)[0]


def read_yaml_lines(path: str | Path) -> tuple[dict[str, Any], dict[str, int]]:
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
        _find_lines(node, "", lines, str(path), set())
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        raise InputError(f"{path}{_yaml_mistake(error)}") from None


def _find_lines(node: yaml.MappingNode, prefix: str, lines: dict[str, int], path: str, visited: set[int]) -> None:
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
            _find_lines(value_node, f"{prefix}{name}.", lines, path, visited)


def _yaml_mistake(error: yaml.YAMLError) -> str:
    """Return `:line: what is wrong` of a parser's error."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f":{mark.line + 1}" if mark is not None else ""
    problem = [getattr(error, name, None) for name in ("context", "problem")]
    return f"{line}: not YAML: {' '.join((', '.join(filter(None, problem)) or str(error)).split())}"


def parse_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """Return the value of each `dotted.key=value`; values are YAML, and the last of one key counts.

    Raises
    ------
    InputError
        For an entry without `=`, a value that is no YAML, or a key that `Config` does not have.
    """
    values: dict[str, Any] = {}
    for entry in overrides:
        key, equals, text = entry.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"--set {entry}: expected dotted.key=value, such as optim.learning_rate=1e-4")
        if key in config_sections():
            raise InputError(f"--set {entry}: '{key}' is a section; set one of its keys: {accepted_values(key)}")
        if known_key(key) is None:
            raise InputError(f"--set {entry}: unknown key '{key}'; {key_hint(key)}")
        try:
            values[key] = yaml.load(text, _Loader)  # a SafeLoader
        except yaml.YAMLError as error:
            mistake = _yaml_mistake(error).partition(": ")[2]
            raise InputError(f"--set {entry}: the value is {mistake}") from None
    return values


def apply_overrides(tree: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of a config tree with each `dotted.key=value` set.

    Raises
    ------
    InputError
        As `parse_overrides`, and when a section of the tree is no mapping.
    """
    changed = copy.deepcopy(dict(tree))
    for key, value in parse_overrides(overrides).items():
        set_key(changed, key, value)
    return changed


def build_config(tree: Mapping[str, Any], origin: str, lines: Lines | None = None) -> Config:
    """Return the validated config of a tree.

    Parameters
    ----------
    tree : mapping
        Sections and keys; what is missing has its default. A section that is null counts as missing.
    origin : str
        What the tree was read from, as error lines name it.
    lines : mapping of str to int or str, optional
        Where each dotted key was set (`Lines`).

    Raises
    ------
    InputError
        One line about the first mistake, and how many more keys are wrong.
    """
    where = lines or {}
    sections = config_sections()
    tree = {name: value for name, value in tree.items() if value is not None or name not in sections}
    for name in sections:
        if not isinstance(tree.get(name, {}), Mapping):
            raise InputError(_refusal(origin, where, name, tree[name], f"; accepted: {accepted_values(name)}"))
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise InputError(_first_mistake(error, tree, origin, where)) from None


def _first_mistake(error: ValidationError, tree: Mapping[str, Any], origin: str, lines: Lines) -> str:
    """Return the line about the first wrong key; a union of types has several entries for one key."""
    mistakes: dict[str, str] = {}
    for entry in error.errors(include_url=False):
        parts = [str(part) for part in entry["loc"]]
        key = ".".join(parts) if entry["type"] == "extra_forbidden" else key_at(parts)
        if key in mistakes:
            continue
        if known_key(key) is None and entry["type"] != "extra_forbidden":  # about the whole tree
            mistakes[key] = f"{_where(origin, lines, key)}: {entry['msg']}"
        elif entry["type"] == "extra_forbidden":
            mistakes[key] = f"{_where(origin, lines, key)}: unknown key '{key}'; {_unknown_hint(key, parts)}"
        elif entry["type"] == "value_error":
            reason = f": {entry['msg'].removeprefix('Value error, ')}"
            mistakes[key] = _refusal(origin, lines, key, get_key(tree, key), reason)
        else:
            accepted = f"; accepted: {accepted_values(key)}"
            mistakes[key] = _refusal(origin, lines, key, get_key(tree, key), accepted)
    first, *more = mistakes.values()
    return f"{first} (and {len(more)} more)" if more else first


def _unknown_hint(key: str, parts: list[str]) -> str:
    section, _, name = parts[-1].partition(".")
    if known_key(key) == key and name:  # `optim.learning_rate: 1` is one name to YAML
        return f"write it as a section: {section}: {{{name}: ...}}"
    return key_hint(key)


def _refusal(origin: str, lines: Lines, key: str, value: Any, reason: str) -> str:
    shown = json.dumps(value, default=str, ensure_ascii=False)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return f"{_where(origin, lines, key)}: {key}: {shown} is not accepted{reason}"


def _where(origin: str, lines: Lines, key: str) -> str:
    """Return `file:line` of a key or of the nearest section above it, or the name of what set it."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    found = lines.get(key)
    if found is None:
        return origin
    return f"{origin}:{found}" if isinstance(found, int) else found


def load_config(path: str | Path | None, overrides: Iterable[str] = ()) -> Config:
    """Return the config of a YAML file (or of the defaults) with each `dotted.key=value` set.

    Raises
    ------
    InputError
        For whatever is wrong with the file, an override or a value.
    """
    tree, lines = read_yaml_lines(path) if path is not None else ({}, {})
    values = parse_overrides(overrides)
    for key, value in values.items():
        set_key(tree, key, value)
    return build_config(tree, str(path or "defaults"), {**lines, **dict.fromkeys(values, "--set")})


def with_absolute_paths(config: Config) -> Config:
    """Return the config with the local files and folders it names as absolute paths: workers run in other folders."""

    def absolute(name: str | None, to_be_made: bool = False) -> str | None:
        if not name or ":/" in name or not (to_be_made or Path(name).exists()):
            return name
        return str(Path(name).resolve())

    return config.model_copy(
        update={
            "backbone": absolute(config.backbone),
            "data": config.data.model_copy(update={"source": absolute(config.data.source)}),
            "gaze": config.gaze.model_copy(
                update={"path": absolute(config.gaze.path), "store": absolute(config.gaze.store, to_be_made=True)}
            ),
        }
    )


def dump_config(config: Config) -> str:
    """Return the resolved config as YAML; reading it gives an equal config."""
    return dump_yaml(config.model_dump(mode="json"))


def dump_yaml(tree: Mapping[str, Any]) -> str:
    """Return a tree as YAML that `read_yaml` reads as an equal one."""
    return yaml.dump(dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def write_config(config: Config, path: str | Path) -> None:
    """Write the resolved config as YAML; the file is there whole or not at all.

    Raises
    ------
    InputError
        When the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dump_config(config))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
