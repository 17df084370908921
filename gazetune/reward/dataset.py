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
from typing import Any, Literal, cast

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gazetune import __version__
from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.alignment import align_units
from gazetune.gaze.controls import add_noise, apply_control, training_statistics
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.published import BESIDE
from gazetune.gaze.redistribution import redistribute_trt
from gazetune.gaze.registry import create_predictor
from gazetune.gaze.word_units import word_units
from gazetune.preferences.pair import PreferencePair, margins_of
from gazetune.preferences.splits import Splits, load_splits
from gazetune.reward.backbone import context_length, load_tokenizer
from gazetune.reward.batching import EncodedSplit
from gazetune.reward.conversation import ChatEncoder, EncodedChat
from gazetune.reward.fusion import fused_length
from gazetune.reward.gaze_unit import gaze_unit
from gazetune.reward.stored_gaze import Elsewhere, distinct_texts, stored_gaze

SPLITS = ("train", "validation", "test")
FORMAT = 4
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
    gaze_mean: list[float]
    """[5] over the units of the training split."""
    gaze_sd: list[float]
    context: int | None
    """The most positions that the backbone takes, None for no limit."""
    longest: dict[str, int]
    """`tokens` and gaze `units` of the conversation that has most of both together."""
    longest_origin: str


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
        return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(self.folder / "tokenizer"))

    def response_words(self, split: str) -> NDArray[np.int32]:
        """[pairs, 2] white-space words of the chosen and the rejected response, for the length baseline."""
        return np.load(self.folder / f"{split}.words.npy", mmap_mode="r")


def prepare(
    config: Config, cache: Path, progress: Progress | None = None, elsewhere: Elsewhere | None = None
) -> PreparedData:
    """Open the prepared data set of `config` below `cache`, making it first where it is missing.

    Safe when several processes ask at once; a killed preparation leaves nothing that is taken for finished. With
    `elsewhere`, measures that are not stored yet may be predicted in other processes.

    Raises
    ------
    InputError
        For pairs, gaze or a backbone that cannot be read, and a conversation that the backbone has no room for.
    """
    folder = cache / "prepared" / preparation_key(config)
    if not (folder / "facts.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / "facts.json").exists():
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                _Preparation(config, cache, progress, elsewhere).write(partial)
                partial.rename(folder)
    data = PreparedData.open(folder)
    _check_room(config, data.facts)
    return data


def preparation_key(config: Config) -> str:
    """Return the name of the folder that everything with the same data, tokenizer and gaze shares."""
    gaze = {**config.gaze.model_dump(mode="json", exclude={"features", "store"}), "unit": gaze_unit(config)}
    files = [_state(name) for name in (config.data.source, config.backbone, config.gaze.path) if name]
    if config.gaze.path and Path(config.gaze.path).is_file():  # the state of a folder has all that is in it
        files += [_state(str(Path(config.gaze.path).with_name(name))) for name in BESIDE]
    # The version stands for what comes with the package: the lexical predictor's weights, the planted words.
    content = [FORMAT, __version__, config.data.model_dump(mode="json"), config.backbone, gaze, files]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _state(name: str) -> list[list[str | int]]:
    """Return name, size and time of a local file or of a folder's files, so that a changed file is prepared anew."""
    path = Path(name)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]


def _check_room(config: Config, facts: DatasetFacts) -> None:
    """Refuse a fusion that makes a conversation longer than the backbone's context; the text alone was seen to fit."""
    length = fused_length(config.fusion.kind, **facts.longest)
    if facts.context is not None and length > facts.context:
        raise InputError(
            f"{facts.longest_origin}: the conversation has {facts.longest['tokens']} tokens and "
            f"{facts.longest['units']} gaze units, {length} positions with fusion.kind {config.fusion.kind}, and "
            f"backbone '{config.backbone}' takes {facts.context}; a lower data.max_chars drops such pairs"
        )


class _Preparation:
    """One preparation: reads the pairs, predicts gaze, tokenises, aligns, and writes the arrays."""

    def __init__(
        self, config: Config, cache: Path, progress: Progress | None, elsewhere: Elsewhere | None = None
    ) -> None:
        self.config = config
        self.elsewhere = elsewhere
        self.cache = cache
        self.progress = progress or (lambda stage, done, total: None)
        self.context = context_length(config.backbone)
        self.longest, self.longest_origin = {"tokens": 0, "units": 0}, ""

    def write(self, folder: Path) -> None:
        """Write all files of the prepared data set into `folder`."""
        splits = load_splits(self.config.data)
        predictor = create_predictor(self.config)
        tokenizer = load_tokenizer(self.config.backbone, distinct_texts(splits.train, "prompt+response"))
        tokenizer.save_pretrained(folder / "tokenizer")
        texts, values = self._gaze(splits, predictor)
        np.save(folder / "values.npy", values)
        encoder = ChatEncoder(tokenizer)
        for split in SPLITS:
            arrays = self._encode(split, getattr(splits, split), encoder, texts)
            for name, array in arrays.items():
                np.save(folder / f"{split}.{name}.npy", array)
            np.save(folder / f"{split}.scores.npy", margins_of(getattr(splits, split)))
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
            gaze_mean=[float(value) for value in mean],
            gaze_sd=[float(value) for value in sd],
            context=self.context,
            longest=self.longest,
            longest_origin=self.longest_origin,
        )
        (folder / "facts.json").write_text(json.dumps(asdict(facts), indent=1))

    def _gaze(self, splits: Splits, predictor: GazePredictor) -> tuple[_TextRows, NDArray[np.float32]]:
        """Predict every text once and return where each text's units stand, and their values [N, 5]."""
        scope = self.config.gaze.scope
        of_split = {split: distinct_texts(getattr(splits, split), scope) for split in SPLITS}
        texts = list(dict.fromkeys(text for split in SPLITS for text in of_split[split]))
        store = stored_gaze(
            self.config,
            self.cache,
            texts,
            predictor,
            lambda done, total: self.progress("gaze", done, total),
            self.elsewhere,
        )
        units = store.gather(store.rows(texts))
        if gaze_unit(self.config) == "word":
            units = word_units(units)
        if self.config.gaze.sigma is not None:
            units = units._replace(values=redistribute_trt(units, self.config.gaze.sigma))
        spans, values, _, offsets = units
        rows = {text: row for row, text in enumerate(texts)}
        split_rows = {split: np.asarray([rows[text] for text in of_split[split]], dtype=np.int64) for split in SPLITS}
        seed = self.config.data.seed
        values = apply_control(self.config.gaze.control, values, offsets, split_rows, split_rows["train"], seed)
        if self.config.gaze.noise:
            values = add_noise(values, self.config.gaze.noise, seed)
        return _TextRows(rows, offsets, spans), np.ascontiguousarray(values, dtype=np.float32)

    def _encode(
        self, split: str, pairs: Sequence[PreferencePair], encoder: ChatEncoder, texts: _TextRows
    ) -> dict[str, NDArray[Any]]:
        """Return the flat arrays of one split (see `EncodedSplit`)."""
        names = ("ids", "token_unit", "token_share", "unit_index")
        columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        for done, pair in enumerate(pairs):
            chats = [pair.chat(pair.chosen), pair.chat(pair.rejected)]
            for chat, encoded in zip(chats, encoder.encode(chats, [pair.origin] * 2), strict=True):
                contents = [message.content for message in chat]
                scoped = [len(contents) - 1] if self.config.gaze.scope == "response" else range(len(contents))
                unit, share, index = _align(encoded, [(m, contents[m]) for m in scoped], texts, self.config.gaze.align)
                self._measure(len(encoded.ids), len(index), pair.origin)
                for name, column in zip(columns, (encoded.ids, unit, share, index), strict=True):
                    columns[name].append(column)
            self.progress(f"tokens of {split}", done + 1, len(pairs))
        return {
            **{name: np.concatenate(column) for name, column in columns.items()},
            "token_starts": _starts(columns["ids"]),
            "unit_starts": _starts(columns["unit_index"]),
        }

    def _measure(self, tokens: int, units: int, origin: str) -> None:
        """Refuse a conversation that is longer than the backbone's context, and remember the longest one."""
        if self.context is not None and tokens > self.context:
            raise InputError(
                f"{origin}: the conversation has {tokens} tokens and backbone '{self.config.backbone}' takes "
                f"{self.context}; a lower data.max_chars drops such pairs"
            )
        if tokens + units > sum(self.longest.values()):
            self.longest, self.longest_origin = {"tokens": tokens, "units": units}, origin


@dataclass(frozen=True)
class _TextRows:
    """Where the units of each distinct text stand in the values of the data set."""

    rows: dict[str, int]
    offsets: NDArray[np.int64]
    spans: NDArray[np.int32]


def _align(
    encoded: EncodedChat, messages: Sequence[tuple[int, str]], texts: _TextRows, policy: Literal["spread", "first"]
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


def _starts(columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(column) for column in columns])]).astype(np.int64)
