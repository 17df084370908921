"""The store of reading measures: memory-mapped, content-addressed, without pickle.

    <root>/<fingerprint of the predictor>/part-00000-<checksum>.arrow

Parts are only ever added, so a text's row stays the same while the store grows, and a process that opened it earlier
goes on reading what it mapped. Texts are found by the sha256 of their bytes, kept as sorted arrays in the mapped files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.measures import GazePredictor, TextGaze
from gazetune.gaze.store_part import (
    KEY,
    FlatGaze,
    StorePart,
    is_intact,
    map_part,
    part_number,
    part_paths,
    remove_unfinished,
    write_part,
)
from gazetune.gaze.words import text_key

_PART_TEXTS = 2048  # a killed build loses at most this many texts
_CALL_TEXTS = 256  # texts of one call of the predictor: bounds its memory, paces the progress


@runtime_checkable
class _ChecksTexts(Protocol):
    """A predictor that can tell before the work starts which texts it has no measures for."""

    def check(self, texts: Sequence[str]) -> None:
        """Raise InputError naming the texts that cannot be predicted."""


class GazeStore:
    """Measures of texts, read from the mapped files of one predictor."""

    def __init__(self, folder: Path, parts: Sequence[StorePart]) -> None:
        self.folder = folder
        self.parts = tuple(parts)
        self._bases = np.cumsum([0, *(len(part.keys) for part in parts)])

    @classmethod
    def open(cls, folder: Path) -> GazeStore:
        """Open the store in the folder `<root>/<fingerprint>` and verify the checksum of every part.

        Raises
        ------
        InputError
            If there is no store, or a part is corrupt or truncated (it is named).
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"{folder}: no gaze store is here")
        paths = part_paths(folder)
        for path in paths:
            if not is_intact(path):
                raise InputError(
                    f"{path}: corrupt or truncated (checksum differs); building the store again replaces it"
                )
        return cls(folder, [map_part(path) for path in paths])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the predictor whose measures these are."""
        return self.folder.name

    def __len__(self) -> int:
        """Return the number of texts."""
        return int(self._bases[-1])

    def rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each text, [texts].

        Raises
        ------
        InputError
            If a text is not in the store.
        """
        rows = self.find(np.array([text_key(text) for text in texts], dtype=KEY))
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            text = texts[missing[0]]
            raise InputError(
                f"{self.folder}: {len(missing)} of {len(texts)} texts are not in the store, first "
                f"text_sha256 {text_key(text).hex()}, which begins {text[:40]!r}"
            )
        return rows

    def text(self, row: int) -> TextGaze:
        """Return the measures of one row, without a copy.

        Raises
        ------
        IndexError
            If the store has no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a store of {len(self)} texts")
        part = int(np.searchsorted(self._bases, row, side="right")) - 1
        gaze = self.parts[part].gaze
        start, stop = gaze.offsets[row - self._bases[part] :][:2]
        return TextGaze(gaze.spans[start:stop], gaze.values[start:stop], gaze.words[start:stop])

    def gather(self, rows: Sequence[int] | NDArray[np.int64]) -> FlatGaze:
        """Return copies of the units of the asked rows, one text after another in the order asked.

        Raises
        ------
        IndexError
            If the store has no such row.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} of a store of {len(self)} texts")
        places = np.searchsorted(self._bases, wanted, side="right") - 1
        touched = [int(part) for part in np.unique(places)]
        starts, counts = np.zeros_like(wanted), np.zeros_like(wanted)
        for part in touched:
            here = places == part
            local = wanted[here] - self._bases[part]
            edges = self.parts[part].gaze.offsets
            starts[here], counts[here] = edges[local], edges[local + 1] - edges[local]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        units = int(offsets[-1])
        flat = FlatGaze(
            np.empty((units, 2), np.int32),
            np.empty((units, len(MEASURES)), np.float32),
            np.empty(units, np.int32),
            offsets,
        )
        # One copy of a whole run of units a text: an index for each unit costs several times that.
        for part, start, count, low in zip(
            places.tolist(), starts.tolist(), counts.tolist(), offsets.tolist(), strict=False
        ):
            gaze = self.parts[part].gaze
            flat.spans[low : low + count] = gaze.spans[start : start + count]
            flat.values[low : low + count] = gaze.values[start : start + count]
            flat.words[low : low + count] = gaze.words[start : start + count]
        return flat

    def find(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Return the row of each key, -1 where there is none."""
        rows = np.full(len(keys), -1, dtype=np.int64)
        for base, part in zip(self._bases, self.parts, strict=False):
            local = np.minimum(np.searchsorted(part.keys, keys), len(part.keys) - 1)
            found = part.keys[local] == keys
            rows[found] = base + local[found]
        return rows


def build_store(
    texts: Iterable[str],
    predictor: GazePredictor,
    root: Path,
    progress: Callable[[int, int], None] | None = None,
) -> GazeStore:
    """Make sure that the predictor's store under `root` holds all `texts`, and open it.

    Texts that the store has already are not predicted again. Corrupt parts and the remains of a killed build are
    removed first. Several processes may build at once: one works, the others wait and find its parts.

    Parameters
    ----------
    texts
        Texts in any order; repeats count once.
    progress
        Called with the number of distinct texts that are in the store and the number asked for.

    Raises
    ------
    InputError
        If the folder cannot be written, or the predictor refuses a text.
    ValueError
        If the predictor breaks its contract: an unusable fingerprint, arrays of a wrong shape, measures that are not
        finite or are negative.
    """
    fingerprint = predictor.fingerprint
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", fingerprint):
        raise ValueError(f"the gaze predictor's fingerprint {fingerprint!r} is no folder name (A-Z a-z 0-9 . _ -)")
    folder = Path(root) / fingerprint
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        raise InputError(f"{folder}: the gaze store cannot be written here ({error.strerror})") from None
    with lock:
        remove_unfinished(folder)
        for path in part_paths(folder):
            if not is_intact(path):
                path.unlink()
        wanted = {text_key(text): text for text in texts}
        _add_missing(folder, wanted, predictor, progress or (lambda done, total: None))
        return GazeStore(folder, [map_part(path) for path in part_paths(folder)])


def _add_missing(
    folder: Path, wanted: dict[bytes, str], predictor: GazePredictor, progress: Callable[[int, int], None]
) -> None:
    paths = part_paths(folder)
    known = GazeStore(folder, [map_part(path) for path in paths]).find(np.array(list(wanted), dtype=KEY)) >= 0
    missing = [item for item, has in zip(wanted.items(), known, strict=True) if not has]
    if isinstance(predictor, _ChecksTexts):
        predictor.check([text for _, text in missing])
    done = len(wanted) - len(missing)
    progress(done, len(wanted))
    number = part_number(paths[-1]) + 1 if paths else 0
    gazes: dict[bytes, TextGaze] = {}
    for start in range(0, len(missing), _CALL_TEXTS):
        keys, batch = zip(*missing[start : start + _CALL_TEXTS], strict=True)
        for key, gaze in zip(keys, predictor.predict(batch), strict=True):
            _refuse_broken(gaze)
            gazes[key] = gaze
        last = start + _CALL_TEXTS >= len(missing)
        if last or len(gazes) >= _PART_TEXTS:
            write_part(folder, number, gazes)
            number, gazes = number + 1, {}
        progress(done + min(start + _CALL_TEXTS, len(missing)), len(wanted))


def _refuse_broken(gaze: TextGaze) -> None:
    units = len(gaze.words)
    if gaze.spans.shape != (units, 2) or gaze.values.shape != (units, len(MEASURES)):
        raise ValueError(
            f"the gaze predictor returned spans {gaze.spans.shape} and values {gaze.values.shape} for {units} units"
        )
    if not (np.isfinite(gaze.values) & (gaze.values >= 0)).all():
        raise ValueError("the gaze predictor returned measures that are negative or not finite")
