"""The data files of a folder by the split that they belong to, and what else of the folder might be data."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from gazetune.errors import InputError
from gazetune.files.folder_files import list_files
from gazetune.preferences.sources.rows import SUFFIXES
from gazetune.preferences.split_names import file_suffix, missing_shards, split_kind, split_name

_log = logging.getLogger(__name__)

_UNREADABLE = (
    *(".csv", ".tsv", ".json", ".ndjson", ".txt", ".xlsx", ".pkl", ".zip", ".tar", ".avro", ".orc", ".feather"),
    *(".json.gz", ".jsonl.zst", ".jsonl.bz2", ".jsonl.xz", ".csv.gz", ".tar.gz", ".parquet.gz"),
)
"""Endings of files that may hold pairs and are not read."""
_STATE = "state.json"
"""File that `datasets` writes beside the Arrow files of a split (`save_to_disk`); it lists them."""


def find_split_files(folder: Path) -> dict[str, list[Path]]:
    """Return the data files of a folder by split, in the order of their paths.

    A folder is searched to its leaves for `train.parquet`, `data/validation-00000-of-00002.parquet`, `test.jsonl.gz`,
    what `datasets` saves (`train/data-00000-of-00001.arrow`) and the like. Hidden files are left out, and so are Arrow
    files that `datasets` keeps as a cache.

    Raises
    ------
    InputError
        When there is no data file, a folder, a link or a file that names a split cannot be read, or a split is there in
        two formats.
    """
    folder = _choose_revision(folder)

    def refuse_unreadable(error: OSError) -> None:
        if not _is_hidden(Path(error.filename).relative_to(folder)):  # editors lock files by hidden links to nothing
            raise InputError(f"data.source: {error.filename}: cannot be read ({error.strerror})") from error

    there = [file for file in list_files(folder, refuse_unreadable) if not _is_hidden(file.relative_to(folder))]
    files = [file for file in there if file_suffix(file.name) is not None and not _is_cache(file)]
    if not files:
        raise InputError(f"data.source: folder '{folder}' has no data files; accepted: {', '.join(SUFFIXES)}")
    _look_at_others(folder, [file for file in there if file.name.lower().endswith(_UNREADABLE)])
    splits: dict[str, list[Path]] = {}
    for file in files:
        splits.setdefault(split_name(file.relative_to(folder)), []).append(file)
    for members in splits.values():
        _require_one_format(members)
    for line in missing_shards(files):
        _log.warning("data.source: %s: files are missing: %s", folder, line)
    return splits


def _choose_revision(folder: Path) -> Path:
    """Return the snapshot in a folder of the hub's cache, any other folder as it is."""
    snapshots = folder / "snapshots"
    if not (folder / "blobs").is_dir() or not snapshots.is_dir():
        return folder
    revisions = sorted(item.name for item in snapshots.iterdir() if item.is_dir())
    if len(revisions) > 1:
        raise InputError(
            f"data.source: '{folder}' has several revisions of a data set; accepted: one of the folders in "
            f"{snapshots}: {', '.join(revisions)}"
        )
    return snapshots / revisions[0] if revisions else folder


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _is_cache(file: Path) -> bool:
    """Tell whether `datasets` keeps an Arrow file as a cache of its own beside the files of a split."""
    if not file.name.endswith(".arrow"):
        return False
    try:
        state = json.loads((file.parent / _STATE).read_text(encoding="utf-8"))
        return file.name not in {entry["filename"] for entry in state["_data_files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return file.name.startswith(("cache-", "tmp"))


def _look_at_others(folder: Path, others: Sequence[Path]) -> None:
    """Refuse a file that names a split and cannot be read; tell of other ones that may be data."""
    others = [file for file in others if not file.name.endswith(".json") or split_kind(file.stem) is not None]
    named = next((file for file in others if split_kind(file.name.partition(".")[0]) is not None), None)
    if named is not None:
        raise InputError(
            f"data.source: {named} is named as a split and has an unknown file type; accepted: {', '.join(SUFFIXES)}"
        )
    if others:
        names = ", ".join(str(file.relative_to(folder)) for file in others)
        _log.warning("data.source: %s: not read, unknown file type: %s", folder, names)


def _require_one_format(files: Sequence[Path]) -> None:
    """Refuse files of one split in two formats, or one compressed and not: they may hold the same rows."""
    first = files[0]
    for file in files[1:]:
        suffixes = [(file_suffix(each.name) or "").removesuffix(".gz") for each in (first, file)]
        same_place = file.name.removesuffix(".gz") == first.name.removesuffix(".gz") and file.parent == first.parent
        if suffixes[0] != suffixes[1] or same_place:
            raise InputError(
                f"data.source: {first} and {file} are one split in two forms, which may hold the same rows; accepted: "
                f"the path of one of them"
            )
