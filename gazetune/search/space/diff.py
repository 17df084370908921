"""What differs between the space a search was started with and another one."""

from __future__ import annotations

import json
from collections.abc import Mapping

_SHOWN = 3
_LENGTH = 70


def describe_changes(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Return `KEY: OLD -> NEW` for the first keys of two space files that differ, in one line; empty when none does.

    The files are trees as `SearchSpace.to_yaml` writes them. The name, and what was taken over from other searches, do
    not count.

    Examples
    --------
    >>> describe_changes({"space": {"adapter.r": {"int": [4, 8]}}}, {"space": {"adapter.r": {"int": [4, 16]}}})
    'space.adapter.r: {"int": [4, 8]} -> {"int": [4, 16]}'
    """
    before, after = _leaf_texts(old), _leaf_texts(new)
    changes = [
        f"{key}: {before.get(key, 'nothing')} -> {after.get(key, 'nothing')}"
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]
    more = len(changes) - _SHOWN
    return "; ".join(changes[:_SHOWN]) + (f" (and {more} more)" if more > 0 else "")


def _leaf_texts(tree: Mapping[str, object]) -> dict[str, str]:
    base, axes = tree.get("base"), tree.get("space")
    leaves = _flatten(base, "") if isinstance(base, Mapping) else {}
    leaves |= {f"space.{key}": entry for key, entry in axes.items()} if isinstance(axes, Mapping) else {}
    leaves |= {key: tree[key] for key in ("forbid", "try_first", "fixed") if key in tree}
    return {key: _short_text(value) for key, value in leaves.items()}


def _flatten(tree: Mapping[str, object], prefix: str) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _short_text(value: object) -> str:
    text = json.dumps(value, default=str, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
