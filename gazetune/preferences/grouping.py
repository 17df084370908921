"""Which pairs belong together: pairs of one group never stand in two splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from gazetune.preferences.pair import Message, PreferencePair


def prompt_group(prompt: Sequence[Message]) -> str:
    """Return the sha256 hex of a prompt's messages, without regard to letter case and to runs of white space.

    Examples
    --------
    >>> prompt_group([Message("user", "Why  so?")]) == prompt_group([Message("user", "why so?")])
    True
    """
    normal = [[message.role, " ".join(message.content.split()).casefold()] for message in prompt]
    return hashlib.sha256(json.dumps(normal).encode()).hexdigest()


def link_groups(pairs: Sequence[PreferencePair]) -> list[str]:
    """Return one name per pair such that pairs of the same group, or with the same prompt, have the same name.

    Two conversation trees can hold the same prompt. All pairs of both trees then share a name. The groups are joined by
    a union-find over the names of groups and prompts. The name is the smallest one that was joined, so it depends
    neither on the order of the pairs nor on unrelated pairs.
    """
    parent: dict[str, str] = {}

    def find_root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in pairs:
        first, second = sorted((find_root(pair.group), find_root(prompt_group(pair.prompt))))
        parent[second] = first
    return [find_root(pair.group) for pair in pairs]
