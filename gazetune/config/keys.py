"""The dotted keys of the config tree: which exist, what each accepts, and reading and setting one in a tree.

A dotted key such as `optim.learning_rate` names one leaf of `Config`. Search spaces, `--set`, a trial's parameters and
error lines all speak of keys in this form.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from gazetune.config import Config, Section
from gazetune.errors import InputError, did_you_mean

_PLAIN = {
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


def known_key(key: str) -> str | None:
    """Return the leaf of `Config` that a dotted key lies on or in, or None.

    `deepspeed.override` is a free-form mapping, so `deepspeed.override.zero_optimization.overlap_comm` lies in it;
    `train.early_stop` is null or a mapping with given keys, so `train.early_stop.patience` lies in it.
    """
    leaves = config_keys()
    parts = key.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    leaf = next((prefix for prefix in prefixes if prefix in leaves), None)
    if leaf is None or leaf == key:
        return leaf
    free = get_origin(leaves[leaf].annotation) is dict
    return leaf if free or key.removeprefix(f"{leaf}.") in _fields_in(leaves[leaf]) else None


def _fields_in(leaf: FieldInfo) -> dict[str, FieldInfo]:
    """Return the keys of the mapping that a leaf takes, where it is one with given keys."""
    kinds = [kind for kind in get_args(leaf.annotation) if isinstance(kind, type) and issubclass(kind, Section)]
    return dict(kinds[0].model_fields) if kinds else {}


def key_at(place: Sequence[str]) -> str:
    """Return the key that a place in the tree belongs to; members of a union and list indices may follow the key."""
    if not place or place[0] not in config_sections():
        return ".".join(place[:1])
    leaf = ".".join(place[:2])
    inside = leaf in config_keys() and place[2:3] and place[2] in _fields_in(config_keys()[leaf])
    return ".".join(place[:3]) if inside else leaf


def key_hint(key: str) -> str:
    """Return the tail of an error line about an unknown dotted key: the nearest keys, or those of its section."""
    leaves = list(config_keys())
    section, _, name = key.rpartition(".")
    if known_key(key) is not None:
        return f"it is a part of '{known_key(key)}', which has one value"
    if section in leaves and _fields_in(config_keys()[section]):
        return did_you_mean(key, [f"{section}.{inner}" for inner in _fields_in(config_keys()[section])])
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
    """Return in words what a known dotted key accepts, such as `a number > 0` or `none, cpu`."""
    section = config_sections().get(key)
    if section is not None:
        return _in_words(section)
    leaf = known_key(key) or key
    field = config_keys()[leaf] if leaf == key else _fields_in(config_keys()[leaf])[key.removeprefix(f"{leaf}.")]
    return _in_words(field.annotation, field.metadata)


def _in_words(annotation: Any, metadata: Any = ()) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        extra = [item for each in args[1:] for item in (each.metadata if isinstance(each, FieldInfo) else [each])]
        return _in_words(args[0], extra)
    if origin is Literal:
        return ", ".join(str(choice) for choice in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(each) for each in args)
    if origin is tuple:
        return f"a list of {'' if args[-1] is Ellipsis else f'{len(args)}, each '}{_in_words(args[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"a mapping with the keys {', '.join(annotation.model_fields)}"
    words = _PLAIN[origin or annotation]
    known = [(item, *_BOUNDS[type(item)]) for item in metadata if type(item) in _BOUNDS]
    # Not 4.29497e+09 for a whole number.
    values = [(sign, getattr(item, name)) for item, name, sign in known]
    bounds = " and ".join(f"{sign} {value if isinstance(value, int) else f'{value:g}'}" for sign, value in values)
    return f"{words} {bounds}".strip()


def get_key(tree: Config | Mapping[str, Any], key: str) -> Any:
    """Return the value that a dotted key has in a validated config or in a plain tree.

    Raises
    ------
    KeyError
        When the key is not there.
    """
    value: Any = tree
    for part in key.split("."):
        if isinstance(value, Section) and part in type(value).model_fields:
            value = getattr(value, part)
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            raise KeyError(key)
    return value


def set_key(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in a plain tree, in place; sections on the way are made when missing.

    Raises
    ------
    InputError
        When a part of the key before the last one holds a value instead of a section.
    """
    *sections, name = key.split(".")
    for depth, section in enumerate(sections, start=1):
        if tree.get(section) is None:
            tree[section] = {}
        tree = tree[section]
        if not isinstance(tree, dict):
            raise InputError(f"{key}: cannot be set, '{'.'.join(sections[:depth])}' is not a mapping but {tree!r}")
    tree[name] = value
