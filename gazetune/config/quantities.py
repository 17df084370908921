"""Sizes and durations as people write them: `20GB`, `500 MiB`, `30min`, `1h30m`."""

from __future__ import annotations

import re

_SIZE_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for ending, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_size(size: str) -> int:
    """Return the bytes of a size such as `20GB`, `20G`, `1.5 TiB` or `500000`; upper and lower case are the same.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> parse_size("20GB"), parse_size("20G"), parse_size("1.5 KiB"), parse_size("500000")
    (20000000000, 20000000000, 1536, 500000)
    """
    found = re.fullmatch(r"\s*([+-]?\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size)
    if found is None or found[2].lower() not in _SIZE_UNITS:
        raise ValueError(
            "a size is a number of bytes, or a number with one of KB, MB, GB, TB, KiB, MiB, GiB, TiB, K, M, G, T"
        )
    return int(float(found[1]) * _SIZE_UNITS[found[2].lower()])


def parse_seconds(duration: str, unit: str) -> float:
    """Return the seconds of a duration such as `90s`, `30min`, `2h`, `1h30m` or `1.5 days`.

    Parameters
    ----------
    duration : str
        Numbers with units, or one number without.
    unit : str
        What a number without a unit counts: `hours` or `seconds`.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> parse_seconds("1h30m", "hours"), parse_seconds("2", "hours"), parse_seconds("30min", "seconds")
    (5400.0, 7200.0, 1800.0)
    """
    text = duration.strip()
    if re.fullmatch(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", text):
        return float(text) * _SECONDS[unit]
    parts = _PART.findall(text)
    known = parts and not _PART.sub("", text) and all(name.lower() in _SECONDS for _, name in parts)
    if not known:
        raise ValueError(f"a duration is a number of {unit}, or numbers with units such as 90s, 30min, 2h, 1h30m, 1.5d")
    return sum(float(number) * _SECONDS[name.lower()] for number, name in parts)
