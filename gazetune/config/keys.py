"""The dotted keys of the config tree: which exist, what each accepts, and reading and setting one in a tree.

A dotted key such as `optim.learning_rate` names one leaf of `Config`. Search spaces, `--set`, a trial's parameters and
error lines all speak of keys in this form.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from gazetune.config import Config, Section
from gazetune.errors import InputError, did_you_mean

_PLAIN: dict[object, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    dict: "a mapping",
}
_BOUNDS = {
    annotated_types.Ge: ("ge", ">="),
    annotated_types.Gt: ("gt", ">"),
    annotated_types.Le: ("le", "<="),
    annotated_types.Lt: ("lt", "<"),
}


def config_sections() -> dict[str, type[Section]]:
    """Return the sections of `Config` by name, in the order of the tree."""
    fields = {name: field.annotation for name, field in Config.model_fields.items()}
    return {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Section)}


def config_keys() -> dict[str, FieldInfo]:
    """Return every leaf of `Config` by its dotted key, in the order of the tree."""
    sections = config_sections()
    leaves = {name: field for name, field in Config.model_fields.items() if name not in sections}
    for section, kind in sections.items():
        leaves |= {f"{section}.{name}": field for name, field in kind.model_fields.items()}
    return leaves


def find_leaf(key: str) -> str | None:
    """Return the leaf of `Config` that a dotted key lies on or in, or None.

    `deepspeed.override` is a free-form mapping, so `deepspeed.override.zero_optimization.overlap_comm` lies in it;
    `train.early_stop` is null or a mapping with given keys, so `train.early_stop.patience` lies in it.

    Examples
    --------
    >>> find_leaf("deepspeed.override.zero_optimization.overlap_comm")
    'deepspeed.override'
    >>> find_leaf("optim.lr") is None
    True
    """
    leaves = config_keys()
    parts = key.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    leaf = next((prefix for prefix in prefixes if prefix in leaves), None)
    if leaf is None or leaf == key:
        return leaf
    free = get_origin(leaves[leaf].annotation) is dict
    return leaf if free or key.removeprefix(f"{leaf}.") in _inner_fields(leaves[leaf]) else None


def _inner_fields(leaf: FieldInfo) -> dict[str, FieldInfo]:
    """Return the keys of the mapping that a leaf takes, where it is one with given keys."""
    kinds = [kind for kind in get_args(leaf.annotation) if isinstance(kind, type) and issubclass(kind, Section)]
    return dict(kinds[0].model_fields) if kinds else {}


def find_key(path: Sequence[str]) -> str:
    """Return the key that a path into the tree belongs to; members of a union and list indices may follow the key.

    Examples
    --------
    >>> find_key(["projector", "dropout", "1"])
    'projector.dropout'
    """
    if not path or path[0] not in config_sections():
        return ".".join(path[:1])
    leaf = ".".join(path[:2])
    inside = leaf in config_keys() and path[2:3] and path[2] in _inner_fields(config_keys()[leaf])
    return ".".join(path[:3]) if inside else leaf


def key_hint(key: str) -> str:
    """Return the tail of an error line about an unknown dotted key: the nearest keys, or those of its section."""
    leaves = list(config_keys())
    section, _, name = key.rpartition(".")
    if find_leaf(key) is not None:
        return f"it is a part of '{find_leaf(key)}', which has one value"
    if section in leaves and _inner_fields(config_keys()[section]):
        return did_you_mean(key, [f"{section}.{inner}" for inner in _inner_fields(config_keys()[section])])
    siblings = [leaf for leaf in leaves if leaf.startswith(f"{section}.")]
    # Compared with the names of its own section, then of any: `learning_rate` alone means `optim.learning_rate`.
    for candidates in (siblings, leaves):
        names = {leaf.rpartition(".")[2] for leaf in candidates}
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
        found = [f"'{leaf}'" for leaf in candidates if near and leaf.rpartition(".")[2] == near[0]]
        if found:
            return f"did you mean {' or '.join(found)}?"
    if not siblings and difflib.get_close_matches(key, leaves, n=1):
        return did_you_mean(key, leaves)
    return f"accepted: {', '.join(siblings or Config.model_fields)}"


def accepted_values(key: str) -> str:
    """Return in words what a known dotted key accepts.

    Examples
    --------
    >>> accepted_values("optim.learning_rate"), accepted_values("deepspeed.offload")
    ('a number > 0', 'none, cpu, nvme')
    """
    section = config_sections().get(key)
    if section is not None:
        return _describe_type(section)
    leaf = find_leaf(key) or key
    field = config_keys()[leaf] if leaf == key else _inner_fields(config_keys()[leaf])[key.removeprefix(f"{leaf}.")]
    return _describe_type(field.annotation, field.metadata)


def _describe_type(annotation: object, metadata: Sequence[object] = ()) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        extra = [item for each in args[1:] for item in (each.metadata if isinstance(each, FieldInfo) else [each])]
        return _describe_type(args[0], extra)
    if origin is Literal:
        return ", ".join(str(choice) for choice in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe_type(each) for each in args)
    if origin is tuple:
        return f"a list of {'' if args[-1] is Ellipsis else f'{len(args)}, each '}{_describe_type(args[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"a mapping with the keys {', '.join(annotation.model_fields)}"
    words = _PLAIN[origin or annotation]
    known = [(item, *_BOUNDS[type(item)]) for item in metadata if type(item) in _BOUNDS]
    # Not 4.29497e+09 for a whole number.
    values = [(sign, getattr(item, name)) for item, name, sign in known]
    bounds = " and ".join(f"{sign} {value if isinstance(value, int) else f'{value:g}'}" for sign, value in values)
    return f"{words} {bounds}".strip()


def get_key(tree: Config | Mapping[str, object], key: str) -> object:
    """Return the value that a dotted key has in a validated config or in a plain tree.

    Raises
    ------
    KeyError
        When the key is not there.

    Examples
    --------
    >>> get_key(Config(), "fusion.kind"), get_key({"train": {"epochs": 2}}, "train.epochs")
    ('add', 2)
    """
    value: object = tree
    for part in key.split("."):
        if isinstance(value, Section) and part in type(value).model_fields:
            value = getattr(value, part)
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            raise KeyError(key)
    return value


def set_key(tree: dict[str, object], key: str, value: object) -> None:
    """Set a dotted key in a plain tree, in place; sections on the way are made when missing.

    Raises
    ------
    InputError
        When a part of the key before the last one holds a value instead of a section.

    Examples
    --------
    >>> tree = {"backbone": "tiny"}
    >>> set_key(tree, "train.epochs", 2)
    >>> tree
    {'backbone': 'tiny', 'train': {'epochs': 2}}
    """
    *sections, name = key.split(".")
    for depth, section in enumerate(sections, start=1):
        if tree.get(section) is None:
            tree[section] = {}
        inner = tree[section]
        if not isinstance(inner, dict):
            raise InputError(f"{key}: cannot be set, '{'.'.join(sections[:depth])}' is not a mapping but {inner!r}")
        tree = inner
    tree[name] = value
