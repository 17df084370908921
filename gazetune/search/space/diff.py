"""What differs between the space a search was started with and another one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SHOWN = 3
_LENGTH = 70


def space_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return `KEY: OLD -> NEW` for each key of two space files (as `SearchSpace.dump` writes them) that differs.

    The name, and what was taken over from other searches, do not count.
    """
    before, after = _leaves(old), _leaves(new)
    return [
        f"{key}: {before.get(key, 'nothing')} -> {after.get(key, 'nothing')}"
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]


def shown_changes(changes: list[str]) -> str:
    """Return the first changes in one line."""
    more = len(changes) - _SHOWN
    return "; ".join(changes[:_SHOWN]) + (f" (and {more} more)" if more > 0 else "")


def _leaves(tree: Mapping[str, Any]) -> dict[str, str]:
    base = tree.get("base") or {}
    leaves = dict(_flat(base, ""))
    leaves |= {f"space.{key}": entry for key, entry in (tree.get("space") or {}).items()}
    leaves |= {key: tree[key] for key in ("forbid", "try_first", "fixed") if key in tree}
    return {key: _text(value) for key, value in leaves.items()}


def _flat(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _text(value: Any) -> str:
    text = json.dumps(value, default=str, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
