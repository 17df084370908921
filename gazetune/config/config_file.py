"""Trees of config keys, as files and `--set` give them, to a validated `Config` and back.

    YAML file --read_yaml_lines--> tree --set_key for each --set--> tree --build_config--> Config

Every mistake becomes one `InputError` line that names file and line, dotted key, value and what is accepted. Pydantic
finds the mistakes; its errors name a place in the tree, from which key and line are looked up here.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from gazetune.config import Config
from gazetune.config.keys import (
    accepted_values,
    config_sections,
    find_key,
    find_leaf,
    get_key,
    key_hint,
    set_key,
)
from gazetune.config.yaml_file import dump_yaml, parse_yaml_value, read_yaml_lines
from gazetune.errors import InputError
from gazetune.errors.redact import HIDDEN, hide_password, hide_secret_values, hide_secrets, is_secret_name
from gazetune.files.atomic_write import write_atomically
from gazetune.files.paths import find_path_fault, path_exists, resolve_path, show_text

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

Lines = Mapping[str, int | str]
"""Where each dotted key was set: a line of the file (counted from 1), or the name of what set it, such as `--set`."""


def parse_overrides(overrides: Iterable[str]) -> dict[str, object]:
    """Return the value of each `dotted.key=value`; values are YAML, and the last of one key counts.

    Raises
    ------
    InputError
        For an entry without `=`, a value that is no YAML, or a key that `Config` does not have.

    Examples
    --------
    >>> parse_overrides(["train.epochs=2", "optim.learning_rate=1e-4", "train.epochs=3"])
    {'train.epochs': 3, 'optim.learning_rate': 0.0001}
    """
    values: dict[str, object] = {}
    for entry in overrides:
        key, equals, text = entry.partition("=")
        key, entry = key.strip(), hide_password(entry)
        if key.startswith("deepspeed.") and is_secret_name(key):
            entry = f"{key}={HIDDEN}"
        if not equals or not key:
            raise InputError(f"--set {entry}: expected dotted.key=value, such as optim.learning_rate=1e-4")
        if key in config_sections():
            raise InputError(f"--set {entry}: '{key}' is a section; set one of its keys: {accepted_values(key)}")
        if find_leaf(key) is None:
            raise InputError(f"--set {entry}: unknown key '{key}'; {key_hint(key)}")
        try:
            values[key] = parse_yaml_value(text)
        except InputError as error:
            raise InputError(f"--set {entry}: the value is {error}") from None
    return values


def apply_overrides(tree: Mapping[str, object], overrides: Iterable[str]) -> dict[str, object]:
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


def build_config(tree: Mapping[str, object], origin: str, lines: Lines | None = None) -> Config:
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

    Examples
    --------
    >>> build_config({"train": {"epochs": 3}}, "example").train.epochs
    3.0
    >>> build_config({"train": {"epochs": 0}}, "example")
    Traceback (most recent call last):
    gazetune.errors.InputError: example: train.epochs: 0 is not accepted; accepted: a number > 0
    """
    where = lines or {}
    sections = config_sections()
    tree = {name: value for name, value in tree.items() if value is not None or name not in sections}
    for name in sections:
        if not isinstance(tree.get(name, {}), Mapping):
            raise InputError(_describe_refusal(origin, where, name, tree[name], f"; accepted: {accepted_values(name)}"))
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise InputError(_describe_first_mistake(error, tree, origin, where)) from None


def _describe_first_mistake(error: ValidationError, tree: Mapping[str, object], origin: str, lines: Lines) -> str:
    """Return the line about the first wrong key; a union of types has several entries for one key."""
    mistakes: dict[str, str] = {}
    for entry in error.errors(include_url=False):
        parts = [str(part) for part in entry["loc"]]
        key = ".".join(parts) if entry["type"] == "extra_forbidden" else find_key(parts)
        if key in mistakes:
            continue
        if find_leaf(key) is None and entry["type"] != "extra_forbidden":  # about the whole tree
            mistakes[key] = f"{_locate_key(origin, lines, key)}: {entry['msg']}"
        elif entry["type"] == "extra_forbidden":
            mistakes[key] = f"{_locate_key(origin, lines, key)}: unknown key '{key}'; {_suggest_key(key, parts)}"
        elif entry["type"] == "value_error":
            reason = f": {entry['msg'].removeprefix('Value error, ')}"
            mistakes[key] = _describe_refusal(origin, lines, key, get_key(tree, key), reason)
        else:
            accepted = f"; accepted: {accepted_values(key)}"
            mistakes[key] = _describe_refusal(origin, lines, key, get_key(tree, key), accepted)
    first, *more = mistakes.values()
    return f"{first} (and {len(more)} more)" if more else first


def _suggest_key(key: str, parts: list[str]) -> str:
    section, _, name = parts[-1].partition(".")
    if find_leaf(key) == key and name:  # `optim.learning_rate: 1` is one name to YAML
        return f"write it as a section: {section}: {{{name}: ...}}"
    return key_hint(key)


def _describe_refusal(origin: str, lines: Lines, key: str, value: object, reason: str) -> str:
    shown = json.dumps(hide_secret_values(value), default=str, ensure_ascii=False)
    shown = hide_secrets(shown)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return f"{_locate_key(origin, lines, key)}: {key}: {shown} is not accepted{reason}"


def _locate_key(origin: str, lines: Lines, key: str) -> str:
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
    """Return the config with the local files and folders it names as absolute paths: workers run in other folders.

    Raises
    ------
    InputError
        For a key whose value can be no path and so no name or id either: empty, too long, with control characters.
    """

    def make_absolute(name: str | None, key: str, to_be_made: bool = False) -> str | None:
        if name is None or _URI.match(name):
            return name
        fault = find_path_fault(name)
        if fault is not None:
            raise InputError(f"{key}: {show_text(name)} {fault}")
        if not (to_be_made or path_exists(name)):
            return name
        return str(resolve_path(name, key))

    source, template = config.data.source, config.data.chat_template
    return config.model_copy(
        update={
            # `tiny`, `planted` and `plain` are values of their own, whatever lies in the working directory.
            "backbone": config.backbone if config.backbone == "tiny" else make_absolute(config.backbone, "backbone"),
            "data": config.data.model_copy(
                update={
                    "source": source if source == "planted" else make_absolute(source, "data.source"),
                    "chat_template": template if template == "plain" else make_absolute(template, "data.chat_template"),
                }
            ),
            "gaze": config.gaze.model_copy(
                update={
                    "path": make_absolute(config.gaze.path, "gaze.path"),
                    "store": make_absolute(config.gaze.store, "gaze.store", to_be_made=True),
                }
            ),
        }
    )


def dump_config(config: Config) -> str:
    """Return the resolved config as YAML; reading it gives an equal config."""
    return dump_yaml(config.model_dump(mode="json"))


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
