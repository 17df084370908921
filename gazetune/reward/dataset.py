"""The prepared data set: pairs divided, tokenised, with gaze aligned, in flat files that every worker maps.

It is made once per combination of data, tokenizer and gaze (not per feature mask, fusion or trial) in a folder named by
that combination, so that all trials of a search share it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.alignment import align_units
from gazetune.gaze.controls import add_noise, apply_control, training_statistics
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.registry import create_predictor
from gazetune.gaze.store import GazeStore, build_store
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import Splits, load_splits
from gazetune.reward.backbone import context_length, load_tokenizer
from gazetune.reward.batching import ARRAYS, EncodedSplit
from gazetune.reward.conversation import ChatEncoder, EncodedChat

SPLITS = ("train", "validation", "test")
FORMAT = 1
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a prepared data set without reading its arrays."""

    data_fingerprint: str
    gaze_fingerprint: str
    pairs: dict[str, int]
    """Pairs of each split."""
    dropped: dict[str, int]
    """Pairs left out, by reason."""
    bayes: dict[str, float] | None
    """Planted data only: the best accuracies that are possible, by what is seen."""
    pad_id: int
    gaze_mean: list[float]
    """[5] over the units of the training split."""
    gaze_sd: list[float]


@dataclass(frozen=True)
class PreparedData:
    """A prepared data set, open for reading."""

    folder: Path
    facts: DatasetFacts
    train: EncodedSplit
    validation: EncodedSplit
    test: EncodedSplit

    @classmethod
    def open(cls, folder: Path) -> PreparedData:
        """Map a finished folder into memory."""
        facts = DatasetFacts(**json.loads((folder / "facts.json").read_text()))
        values = np.load(folder / "values.npy", mmap_mode="r")
        return cls(folder, facts, *(EncodedSplit.open(folder, split, values) for split in SPLITS))

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer that the data set was made with."""
        return AutoTokenizer.from_pretrained(self.folder / "tokenizer")

    def response_words(self, split: str) -> NDArray[np.int32]:
        """[pairs, 2] white-space words of the chosen and the rejected response, for the length baseline."""
        return np.load(self.folder / f"{split}.words.npy", mmap_mode="r")


def prepare(config: Config, cache: Path, progress: Progress | None = None) -> PreparedData:
    """Open the prepared data set of `config` below `cache`, making it first where it is missing.

    Safe when several processes ask at once; a killed preparation leaves nothing that is taken for finished.
    """
    folder = cache / "prepared" / preparation_key(config)
    if not (folder / "facts.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / "facts.json").exists():
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                _Preparation(config, cache, progress).write(partial)
                partial.rename(folder)
    return PreparedData.open(folder)


def preparation_key(config: Config) -> str:
    """Return the name of the folder that everything with the same data, tokenizer and gaze shares."""
    gaze = config.gaze.model_dump(mode="json", exclude={"features"})
    files = [_state(name) for name in (config.data.source, config.backbone, config.gaze.path) if name]
    content = [FORMAT, config.data.model_dump(mode="json"), config.backbone, gaze, files]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _state(name: str) -> list[list[str | int]]:
    """Return name, size and time of a local file or of a folder's files, so that a changed file is prepared anew."""
    path = Path(name)
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


class _Preparation:
    """One preparation: reads the pairs, predicts gaze, tokenises, aligns, and writes the arrays."""

    def __init__(self, config: Config, cache: Path, progress: Progress | None) -> None:
        self.config = config
        self.cache = cache
        self.progress = progress or (lambda stage, done, total: None)

    def write(self, folder: Path) -> None:
        """Write all files of the prepared data set into `folder`."""
        splits = load_splits(self.config.data)
        predictor = create_predictor(self.config)
        tokenizer = load_tokenizer(self.config.backbone, _distinct_texts(splits.train))
        tokenizer.save_pretrained(folder / "tokenizer")
        store, texts, values = self._gaze(splits, predictor)
        np.save(folder / "values.npy", values)
        encoder = ChatEncoder(tokenizer)
        for split in SPLITS:
            arrays = self._encode(split, getattr(splits, split), encoder, store, texts)
            for name in ARRAYS:
                np.save(folder / f"{split}.{name}.npy", arrays[name])
            counts = [[len(pair.chosen.split()), len(pair.rejected.split())] for pair in getattr(splits, split)]
            np.save(folder / f"{split}.words.npy", np.asarray(counts, dtype=np.int32))
            if split == "train":
                mean, sd = training_statistics(values[arrays["unit_index"]])
        facts = DatasetFacts(
            data_fingerprint=splits.fingerprint,
            gaze_fingerprint=predictor.fingerprint,
            pairs={split: len(getattr(splits, split)) for split in SPLITS},
            dropped=splits.dropped,
            bayes=splits.bayes,
            pad_id=int(tokenizer.pad_token_id),
            gaze_mean=[float(value) for value in mean],
            gaze_sd=[float(value) for value in sd],
        )
        (folder / "facts.json").write_text(json.dumps(asdict(facts), indent=1))

    def _gaze(self, splits: Splits, predictor: GazePredictor) -> tuple[GazeStore, _TextRows, NDArray[np.float32]]:
        """Predict every text once and return the store, where each text's units stand, and their values [N, 5]."""
        of_split = {split: _distinct_texts(getattr(splits, split)) for split in SPLITS}
        texts = list(dict.fromkeys(text for split in SPLITS for text in of_split[split]))
        store = build_store(
            texts, predictor, self.cache / "gaze", lambda done, total: self.progress("gaze", done, total)
        )
        spans, values, _, offsets = store.gather(store.rows(texts))
        rows = {text: row for row, text in enumerate(texts)}
        split_rows = {split: np.asarray([rows[text] for text in of_split[split]], dtype=np.int64) for split in SPLITS}
        seed = self.config.data.seed
        values = apply_control(self.config.gaze.control, values, offsets, split_rows, split_rows["train"], seed)
        if self.config.gaze.noise:
            values = add_noise(values, self.config.gaze.noise, seed)
        return store, _TextRows(rows, offsets, spans), np.ascontiguousarray(values, dtype=np.float32)

    def _encode(
        self, split: str, pairs: Sequence[PreferencePair], encoder: ChatEncoder, store: GazeStore, texts: _TextRows
    ) -> dict[str, NDArray]:
        """Return the flat arrays of one split (see `EncodedSplit`)."""
        limit = context_length(self.config.backbone)
        columns: dict[str, list[NDArray]] = {name: [] for name in ("ids", "token_unit", "token_share", "unit_index")}
        for done, pair in enumerate(pairs):
            chats = [pair.chat(pair.chosen), pair.chat(pair.rejected)]
            for chat, encoded in zip(chats, encoder.encode(chats, [pair.origin] * 2), strict=True):
                if limit is not None and len(encoded.ids) > limit:
                    raise InputError(
                        f"{pair.origin}: the conversation has {len(encoded.ids)} tokens and backbone "
                        f"'{self.config.backbone}' takes {limit}; a lower data.max_chars drops such pairs"
                    )
                contents = [message.content for message in chat]
                scoped = [len(contents) - 1] if self.config.gaze.scope == "response" else range(len(contents))
                unit, share, index = _align(encoded, [(m, contents[m]) for m in scoped], texts, self.config.gaze.align)
                for name, column in zip(columns, (encoded.ids, unit, share, index), strict=True):
                    columns[name].append(column)
            self.progress(f"tokens of {split}", done + 1, len(pairs))
        return {
            **{name: np.concatenate(column) for name, column in columns.items()},
            "token_starts": _starts(columns["ids"]),
            "unit_starts": _starts(columns["unit_index"]),
        }


@dataclass(frozen=True)
class _TextRows:
    """Where the units of each distinct text stand in the values of the data set."""

    rows: dict[str, int]
    offsets: NDArray[np.int64]
    spans: NDArray[np.int32]


def _align(
    encoded: EncodedChat, messages: Sequence[tuple[int, str]], texts: _TextRows, policy: str
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    """Return for each token its unit and share, and the rows of `values` that the conversation's units are."""
    unit = np.full(len(encoded.ids), -1, dtype=np.int32)
    share = np.zeros(len(encoded.ids), dtype=np.float32)
    index: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    count = 0
    for message, content in messages:
        first, last = texts.offsets[texts.rows[content]], texts.offsets[texts.rows[content] + 1]
        at = np.flatnonzero(encoded.message == message)
        token_unit, token_share = align_units(encoded.spans[at], texts.spans[first:last], policy)
        unit[at] = np.where(token_unit >= 0, token_unit + count, -1)
        share[at] = token_share
        index.append(np.arange(first, last, dtype=np.int32))
        count += int(last - first)
    return unit, share, np.concatenate(index)


def _starts(columns: Sequence[NDArray]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(column) for column in columns])]).astype(np.int64)


def _distinct_texts(pairs: Sequence[PreferencePair]) -> list[str]:
    texts = (
        text for pair in pairs for text in (*(message.content for message in pair.prompt), pair.chosen, pair.rejected)
    )
    return list(dict.fromkeys(texts))

