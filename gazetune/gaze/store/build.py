"""Building the store of reading measures: what is missing is predicted and added in parts.

A build keeps no state beside the parts. It sorts the keys of the texts that the store lacks, cuts them into parts of
2,048 texts, and gives the parts the free numbers in their order:

    sorted keys that are missing    k1 ......... k2048 | k2049 ....... k4096 | k4097 .... k5000
    parts                                part 0        |        part 1       |      part 2
    batches of the predictor        8 batches of 256   |  8 batches of 256   |   4 batches

Every finished part is one whole cut. If a build is killed after part 1 alone, the next build lacks the keys of the
parts 0 and 2, cuts them at the same keys and finds the numbers 0 and 2 free. It therefore ends with the same files as
a build that was never disturbed. The same holds for a build that replaces damaged parts.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from gazetune.errors import InputError
from gazetune.files.build_lock import build_lock
from gazetune.gaze.measures import FlatGaze, GazePredictor
from gazetune.gaze.store.gaze_store import GazeStore
from gazetune.gaze.store.location import RemoteParts, StoreLocation
from gazetune.gaze.store.part import KEY, UNFINISHED, list_parts, map_part, write_part
from gazetune.gaze.words import text_key

_PART_TEXTS = 2048  # a killed build loses at most this many texts, and what other processes had begun
_CALL_TEXTS = 256  # texts of one call of the predictor: bounds its memory, paces the progress; divides _PART_TEXTS
_LOG = logging.getLogger(__name__)

Batches = Sequence[Sequence[str]]
PredictBatches = Callable[[Batches], Generator[tuple[int, FlatGaze], None, None]]
"""Yields the index and the measures of each batch of texts, in any order."""
Progress = Callable[[int, int], None]


@runtime_checkable
class _ChecksTexts(Protocol):
    """A predictor that knows before the work starts which texts it has no measures for."""

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raise InputError naming the texts that cannot be predicted."""


def predict_flat(predictor: GazePredictor, texts: Sequence[str]) -> FlatGaze:
    """Return the measures of texts, checked against the predictor's contract.

    Raises
    ------
    InputError
        If the predictor refuses a text.
    ValueError
        If there are not as many measured texts as texts, arrays have a wrong shape, or measures are negative or not
        finite.
    """
    gazes = predictor.predict(texts)
    if len(gazes) != len(texts):
        raise ValueError(f"the gaze predictor returned measures of {len(gazes)} texts for {len(texts)}")
    return FlatGaze.from_texts(gazes, unclipped=getattr(predictor, "unclipped", False))


def build_store(
    texts: Iterable[str],
    predictor: GazePredictor,
    location: StoreLocation | Path,
    progress: Progress | None = None,
    predict: PredictBatches | None = None,
) -> GazeStore:
    """Make sure that the predictor's store holds all `texts`, and open it.

    Texts that the store has already are not predicted again. Damaged parts are named on the log and removed first, as
    are the remains of a killed build. Several processes may build at once: one works, the others wait and find its
    parts.

    Parameters
    ----------
    texts
        Texts in any order; repeats count once.
    location
        Where the store lies (see `locate_store`), or the folder below which it is.
    progress
        Called with the number of distinct texts that are predicted and the number asked for.
    predict
        Predicts batches of texts elsewhere; without, this process does.

    Raises
    ------
    InputError
        If the store cannot be read or written, or the predictor refuses a text.
    ValueError
        If the predictor breaks its contract: an unusable fingerprint, arrays of a wrong shape, measures that are not
        finite or are negative.
    """
    root, remote = location if isinstance(location, StoreLocation) else StoreLocation(Path(location), None)
    fingerprint = predictor.fingerprint
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", fingerprint):
        raise ValueError(f"the gaze predictor's fingerprint {fingerprint!r} is no folder name (A-Z a-z 0-9 . _ -)")
    folder = root / fingerprint
    with _hold_lock(folder):
        _remove_unfinished(folder)
        _remove_damaged(folder)
        there = remote.parts_of(fingerprint) if remote is not None else None
        if there is not None:
            there.download_parts(folder)
        wanted = {text_key(text): text for text in texts}
        _add_missing(folder, there, wanted, predictor, progress or (lambda done, total: None), predict)
        return _open_parts(folder)


@contextmanager
def _hold_lock(folder: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(build_lock(folder / ".lock", f"gaze store {folder}"))
        except OSError as error:
            raise _make_unwritable_error(folder, error) from None
        yield


def _remove_unfinished(folder: Path) -> None:
    """Delete what killed builds left behind. Only the process that holds the store's lock may do so."""
    for path in folder.glob(f"{UNFINISHED}*"):
        path.unlink()


def _remove_damaged(folder: Path) -> None:
    for path, name in list_parts(folder).items():
        if not name.matches_content(path):
            _LOG.warning(f"{path}: corrupt or truncated (checksum differs); it is built again")
            path.unlink()


def _open_parts(folder: Path) -> GazeStore:
    return GazeStore(folder, [map_part(path) for path in list_parts(folder)])


def _add_missing(
    folder: Path,
    there: RemoteParts | None,
    wanted: dict[bytes, str],
    predictor: GazePredictor,
    progress: Progress,
    predict: PredictBatches | None,
) -> None:
    keys = sorted(wanted)
    known = _open_parts(folder).find_keys(np.array(keys, dtype=KEY)) >= 0
    missing = [key for key, has in zip(keys, known.tolist(), strict=True) if not has]
    if isinstance(predictor, _ChecksTexts):
        predictor.check_texts([wanted[key] for key in missing])
    done = len(wanted) - len(missing)
    progress(done, len(wanted))
    if there is not None:
        there.upload_missing(folder, more_to_come=bool(missing))
    cuts = [missing[start : start + _CALL_TEXTS] for start in range(0, len(missing), _CALL_TEXTS)]
    batches = [[wanted[key] for key in cut] for cut in cuts]
    parts = _PartWriter(folder, cuts)
    with closing((predict or _predict_here(predictor))(batches)) as predicted:
        for index, gaze in predicted:
            path = parts.add_batch(index, gaze)
            if path is not None and there is not None:
                there.upload_part(path)
            done += len(cuts[index])
            progress(done, len(wanted))
    if there is not None:
        there.delete_replaced()


class _PartWriter:
    """Joins the measures of batches to parts. A part is written as soon as all of its batches have come."""

    def __init__(self, folder: Path, cuts: Sequence[Sequence[bytes]]) -> None:
        self._folder = folder
        size = _PART_TEXTS // _CALL_TEXTS
        self._parts = [range(start, min(start + size, len(cuts))) for start in range(0, len(cuts), size)]
        taken = {name.number for name in list_parts(folder).values()}
        free = (number for number in itertools.count() if number not in taken)
        self._numbers = list(itertools.islice(free, len(self._parts)))
        self._cuts = cuts
        self._waiting: dict[int, FlatGaze] = {}

    def add_batch(self, index: int, gaze: FlatGaze) -> Path | None:
        """Take the measures of the batch at `index`; returns the part's path if that made it whole."""
        self._waiting[index] = gaze
        part = index // (_PART_TEXTS // _CALL_TEXTS)
        indices = self._parts[part]
        if not all(each in self._waiting for each in indices):
            return None
        keys = [key for each in indices for key in self._cuts[each]]
        try:
            return write_part(
                self._folder, self._numbers[part], keys, FlatGaze.concatenate([self._waiting.pop(p) for p in indices])
            )
        except OSError as error:
            raise _make_unwritable_error(self._folder, error) from None


def _predict_here(predictor: GazePredictor) -> PredictBatches:
    def predict(batches: Batches) -> Generator[tuple[int, FlatGaze], None, None]:
        for index, texts in enumerate(batches):
            yield index, predict_flat(predictor, texts)

    return predict


def _make_unwritable_error(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: the gaze store cannot be written here ({error.strerror or error})")
