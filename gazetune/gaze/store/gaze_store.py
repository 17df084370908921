"""The store of reading measures: memory-mapped, content-addressed, without pickle.

    <root>/<fingerprint of the predictor>/part-00000-<checksum>.arrow
                                          part-00001-<checksum>.arrow

A text is found by its key, the sha256 of its bytes. Each part has the sorted keys of its texts, and a row of the store
is counted over all parts. A part never changes. A process that opened the store therefore goes on reading what it
mapped while other processes add parts. `gazetune.gaze.store.build` writes the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.measures import FlatGaze, TextGaze
from gazetune.gaze.store.part import KEY, StorePart, list_parts, map_part
from gazetune.gaze.words import text_key


class GazeStore:
    """Measures of texts, read from the mapped files of one predictor."""

    def __init__(self, folder: Path, parts: Sequence[StorePart]) -> None:
        self.folder = folder
        self.parts = tuple(parts)
        self._bases = np.cumsum([0, *(len(part.keys) for part in parts)])
        self._first = np.array([part.keys[0] for part in parts], dtype=KEY)
        self._last = np.array([part.keys[-1] for part in parts], dtype=KEY)

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
        parts = list_parts(folder)
        for path, name in parts.items():
            if not name.matches_content(path):
                raise InputError(
                    f"{path}: corrupt or truncated (checksum differs); building the store again replaces it"
                )
        return cls(folder, [map_part(path) for path in parts])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the predictor whose measures these are."""
        return self.folder.name

    def __len__(self) -> int:
        """Return the number of texts."""
        return int(self._bases[-1])

    def find_rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each text, [texts].

        Raises
        ------
        InputError
            If a text is not in the store.
        """
        rows = self.find_keys(np.array([text_key(text) for text in texts], dtype=KEY))
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            text = texts[missing[0]]
            raise InputError(
                f"{self.folder}: {len(missing)} of {len(texts)} texts are not in the store, first "
                f"text_sha256 {text_key(text).hex()}, which begins {text[:40]!r}"
            )
        return rows

    def read_text(self, row: int) -> TextGaze:
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

    def gather_rows(self, rows: Sequence[int] | NDArray[np.int64]) -> FlatGaze:
        """Return copies of the units of the asked rows, one text after another in the order asked.

        Raises
        ------
        IndexError
            If the store has no such row.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} of a store of {len(self)} texts")
        part_of = np.searchsorted(self._bases, wanted, side="right") - 1
        touched = [int(part) for part in np.unique(part_of)]
        starts, counts = np.zeros_like(wanted), np.zeros_like(wanted)
        for part in touched:
            here = part_of == part
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
            part_of.tolist(), starts.tolist(), counts.tolist(), offsets.tolist(), strict=False
        ):
            gaze = self.parts[part].gaze
            flat.spans[low : low + count] = gaze.spans[start : start + count]
            flat.values[low : low + count] = gaze.values[start : start + count]
            flat.words[low : low + count] = gaze.words[start : start + count]
        return flat

    def find_keys(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Return the row of each key, -1 where there is none."""
        rows = np.full(len(keys), -1, dtype=np.int64)
        order = np.argsort(keys)
        ordered = keys[order]
        # A build's parts are ranges of the sorted keys: of hundreds of parts, a few hold the texts of a batch.
        lows, highs = np.searchsorted(ordered, self._first), np.searchsorted(ordered, self._last, side="right")
        for index in np.flatnonzero(highs > lows).tolist():
            asked = order[lows[index] : highs[index]]
            part = self.parts[index]
            local = np.searchsorted(part.keys, keys[asked])
            found = part.keys[local] == keys[asked]
            rows[asked[found]] = self._bases[index] + local[found]
        return rows
