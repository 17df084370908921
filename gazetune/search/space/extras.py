"""What stands beside the axes of a space: `forbid`, `try_first`, and what gazetune itself writes there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gazetune.config.keys import config_keys, key_hint
from gazetune.errors import InputError
from gazetune.search.space.conditions import Condition, parse_condition, shown_value
from gazetune.search.space.groups import with_dotted_keys

_NEVER_AXES = ("search.", "tracking.")


@dataclass(frozen=True)
class PastTrial:
    """A COMPLETE trial of another search."""

    source: str
    """`NAME:NUMBER` of the search and its trial."""
    values: tuple[float, ...]
    """Its objectives, as its study has them."""
    params: Mapping[str, object]
    """The values of the axes, by dotted key."""


@dataclass(frozen=True)
class Extras:
    """The keys of a space file beside its axes."""

    forbid: tuple[Condition, ...] = ()
    try_first: tuple[Mapping[str, object], ...] = ()
    """Partial configs with dotted keys, as they were given."""
    fixed: tuple[str, ...] = ()
    """Keys that `--set` fixed; their values are in the base config, their axes are gone."""
    history: tuple[PastTrial, ...] = ()
    """What `--warm-start` took over."""
    forbid_location: str = ""
    try_first_location: str = ""

    def as_written(self) -> dict[str, object]:
        """Return them as the file has them, without what is empty."""
        history = [
            {"from": past.source, "values": list(past.values), "params": dict(past.params)} for past in self.history
        ]
        written = {
            "forbid": [str(condition) for condition in self.forbid],
            "try_first": [dict(each) for each in self.try_first],
            "fixed": list(self.fixed),
            "history": history,
        }
        return {key: value for key, value in written.items() if value}


def read_extras(
    tree: Mapping[str, object], lines: Mapping[str, int], path: str, overrides: Mapping[str, object]
) -> Extras:
    """Return the extras of a space file, its overrides among them.

    Raises
    ------
    InputError
        For what is no list, a condition that cannot be read, a config that is no mapping.
    """
    locations = {key: f"{path}:{lines[key]}" for key in ("forbid", "try_first", "fixed", "history") if key in lines}
    forbid = _read_list(tree, "forbid", "conditions", locations)
    first = _read_list(tree, "try_first", "configs", locations)
    for number, each in enumerate(first, start=1):
        if not isinstance(each, Mapping) or not each:
            raise InputError(
                f"{locations['try_first']}: try_first: config {number}: needs a mapping of keys to values, got "
                f"{shown_value(each)}"
            )
    past = _read_list(tree, "history", "past trials", locations)
    fixed = _read_list(tree, "fixed", "config keys", locations)
    for key in fixed:
        if key not in config_keys():
            raise InputError(f"{locations['fixed']}: fixed: unknown key '{key}'; {key_hint(str(key))}")
    fixed += [key for key in overrides if key in config_keys() and not key.startswith(_NEVER_AXES)]
    return Extras(
        forbid=tuple(parse_condition(text, f"{locations['forbid']}: forbid") for text in forbid),
        try_first=tuple(with_dotted_keys(each) for each in first),
        fixed=tuple(dict.fromkeys(fixed)),
        history=tuple(_read_past_trial(each, locations["history"]) for each in past),
        forbid_location=locations.get("forbid", path),
        try_first_location=locations.get("try_first", path),
    )


def _read_list(tree: Mapping[str, object], key: str, of: str, locations: Mapping[str, str]) -> list[Any]:
    found = tree.get(key, [])
    if not isinstance(found, list):
        raise InputError(f"{locations[key]}: {key}: needs a list of {of}, got {shown_value(found)}")
    return list(found)


def _read_past_trial(entry: object, location: str) -> PastTrial:
    keys = {"from": str, "values": list, "params": Mapping}
    if not isinstance(entry, Mapping) or any(not isinstance(entry.get(key), kind) for key, kind in keys.items()):
        raise InputError(f"{location}: history: {shown_value(entry)} is no past trial; --warm-start writes this key")
    return PastTrial(entry["from"], tuple(map(float, entry["values"])), dict(entry["params"]))
