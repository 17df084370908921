"""From the names of files and of published splits to what each one is: train, validation or test."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gazetune.errors import InputError, did_you_mean
from gazetune.preferences.sources.rows import SUFFIXES

_log = logging.getLogger(__name__)

KINDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""A word in the name of a split, and what it says that the split is."""

_SHARD = re.compile(r"-(\d+)-of-(\d+)(?:-[0-9a-f]{6,})?$")
"""What stands behind the name of a split that is kept in several files; older versions of `datasets` add a hash."""
_NO_NAME = re.compile(r"(data|part|shard|chunk|file)?[-_.]?\d*")
"""A file name that says nothing, so that its folder does."""


def split_kind(name: str) -> str | None:
    """Return whether a name is that of a train, validation or test split; None where no word of it, or two, say so.

    Examples
    --------
    >>> split_kind("train_prefs"), split_kind("default-test"), split_kind("harmless"), split_kind("train_test")
    ('train', 'test', None, None)
    """
    kinds = {KINDS[word] for word in re.split(r"[-_.\s]+", name.lower()) if word in KINDS}
    return kinds.pop() if len(kinds) == 1 else None


def file_suffix(name: str) -> str | None:
    """Return the ending of a data file's name as in `SUFFIXES`, None for another file.

    Examples
    --------
    >>> file_suffix("train.JSONL.gz"), file_suffix("README.md")
    ('.jsonl.gz', None)
    """
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


def split_name(relative: Path) -> str:
    """Return the split that a file, named from its data folder, belongs to.

    It is the file's name without ending and shard number. Where that names no split, the nearest folder that does.

    Raises
    ------
    InputError
        When the file's name and its folder say different splits.

    Examples
    --------
    >>> split_name(Path("data/train-00000-of-00002-b42a775f407cee40.parquet"))
    'train'
    >>> split_name(Path("default/test/0000.parquet"))
    'test'
    """
    stem = _SHARD.sub("", relative.name[: -len(file_suffix(relative.name) or "")])
    folders = [part for part in reversed(relative.parts[:-1]) if split_kind(part) is not None]
    kind = split_kind(stem)
    if folders and kind is not None and kind != split_kind(folders[0]):
        raise InputError(f"data.source: '{relative}' is {kind} by its name and {split_kind(folders[0])} by its folder")
    if kind is None and folders:
        return folders[0]
    if kind is None and _NO_NAME.fullmatch(stem) and len(relative.parts) > 1:
        return next((part for part in reversed(relative.parts[:-1]) if not _NO_NAME.fullmatch(part)), stem)
    return stem


def missing_shards(files: Iterable[Path]) -> list[str]:
    """Return a line for each set of shards of which some are not there, such as `train-*-of-00004: 1 of 4 files`."""
    sets: dict[tuple[Path, str, int], set[int]] = {}
    for file in files:
        stem = file.name[: -len(file_suffix(file.name) or "")]
        shard = _SHARD.search(stem)
        if shard is not None:
            sets.setdefault((file.parent, stem[: shard.start()], int(shard[2])), set()).add(int(shard[1]))
    return [
        f"{name}-*-of-{count:05d}: {len(numbers)} of {count} files"
        for (_, name, count), numbers in sets.items()
        if len(numbers) < count
    ]


def classify_splits(names: Sequence[str], source: str, wanted: str | None) -> dict[str, str]:
    """Return the splits of a source that are read, and what each one is: train, validation or test.

    Parameters
    ----------
    names
        The splits that there are.
    source
        The source's name, for error lines.
    wanted
        `data.split`: one name, which is read alone as train; or several with commas between, each what its name says.

    Raises
    ------
    InputError
        When several names, or none, say that they are one split, so that it has to be asked which is meant.
    """
    if wanted is not None:
        return _classify_wanted(names, source, wanted)
    if len(names) == 1:
        return {names[0]: "train"}
    kinds = {name: kind for name in names if (kind := split_kind(name)) is not None}
    _require_one_name_each(kinds, source)
    unknown = [name for name in names if name not in kinds]
    if not kinds:
        _log.warning("data.source: %s: no split by name, joined and divided: %s", source, ", ".join(unknown))
        return dict.fromkeys(names, "train")
    if "train" not in kinds.values():
        raise InputError(
            f"data.source: '{source}' has no train split by name; found: {', '.join(names)}; accepted: data.split with "
            f"one of them, which is then divided"
        )
    if unknown:
        _log.warning("data.source: %s: not read, no split by name: %s", source, ", ".join(unknown))
    return kinds


def choose_scored_splits(names: Sequence[str], source: str, wanted: str | None) -> list[str]:
    """Return the splits on which a saved model is evaluated: all, but of published ones test, or else validation.

    Parameters
    ----------
    names, source, wanted
        As for `classify_splits`.

    Raises
    ------
    InputError
        When several names say that they are one split, or `wanted` names none.

    Examples
    --------
    >>> choose_scored_splits(["train", "test"], "mine", None), choose_scored_splits(["raw", "filtered"], "mine", None)
    (['test'], ['raw', 'filtered'])
    """
    if wanted is not None:
        parts = [wanted] if wanted in names else [part.strip() for part in wanted.split(",")]
        _require_known(parts, names, source)
        return parts
    kinds = {name: kind for name in names if (kind := split_kind(name)) is not None}
    if len(names) == 1 or not kinds:
        return list(names)
    _require_one_name_each(kinds, source)
    kind = next((kind for kind in ("test", "validation") if kind in kinds.values()), "train")
    return [name for name in kinds if kinds[name] == kind]


def _require_known(parts: Iterable[str], names: Sequence[str], source: str) -> None:
    for part in parts:
        if part not in names:
            raise InputError(f"data.split: '{part}' is no split of {source}; {did_you_mean(part, names)}")


def _classify_wanted(names: Sequence[str], source: str, wanted: str) -> dict[str, str]:
    parts = [wanted] if wanted in names else [part.strip() for part in wanted.split(",")]
    _require_known(parts, names, source)
    if len(parts) == 1:
        return {parts[0]: "train"}
    kinds = {part: split_kind(part) for part in parts}
    if None in kinds.values() or "train" not in kinds.values():
        raise InputError(
            f"data.split: '{wanted}' must be one split, or a train split and others whose names say what they are"
        )
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _require_one_name_each(kinds: Mapping[str, str], source: str) -> None:
    """Refuse several names of one split: they may hold the same rows, other rows, or rows of another kind."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        by_kind.setdefault(kind, []).append(name)
    several = next(((kind, names) for kind, names in by_kind.items() if len(names) > 1), None)
    if several is not None:
        kind, names = several
        raise InputError(
            f"data.source: '{source}' has several {kind} splits by name: {', '.join(names)}; accepted: data.split with "
            f"one name, which is read alone and divided, or with one of each, such as "
            f"data.split={','.join(_one_of_each(by_kind, _likeliest(names)))}"
        )


def _likeliest(names: Sequence[str]) -> str:
    """Return the name that speaks of preferences, else the first one."""
    return next((name for name in names if "pref" in name.lower()), names[0])


def _one_of_each(by_kind: Mapping[str, Sequence[str]], like: str) -> list[str]:
    """Return one name of each kind, those that end as `like` does where there are such."""
    end = like.partition("_")[2] or like.partition("-")[2]
    order = [kind for kind in ("train", "validation", "test") if kind in by_kind]
    return [next((name for name in by_kind[kind] if end and name.endswith(end)), by_kind[kind][0]) for kind in order]
