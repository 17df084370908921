"""A prepared data set, open for reading, and what is known of it.

`gazetune.reward.data.prepared_data` makes it. A loop that trains reads it, and imports nothing of what prepares data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gazetune.config import FoldConfig
from gazetune.reward.data.folds import divide_into_folds, join_splits
from gazetune.reward.layout.batching import EncodedSplit

SPLITS = ("train", "validation", "test")
LONGEST_TAG = 5000
"""Characters of the longest tag that MLflow keeps."""


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
    pad_token: int = 0
    """The id of the tokenizer's padding token."""
    notes: dict[str, int] = field(default_factory=dict)
    """What a user should know of the pairs that are there, and of how many rows or texts."""

    def describe_pairs(self) -> list[str]:
        """Return lines for people: the pairs of each split and what was dropped, and a line for each note."""
        pairs = ", ".join(f"{split} {count}" for split, count in self.pairs.items())
        dropped = f"; dropped: {describe_counts(self.dropped)}" if self.dropped else ""
        return [f"pairs: {pairs}{dropped}", *(f"pairs: {what} ({count})" for what, count in self.notes.items())]

    def list_counts(self) -> dict[str, dict[str, int]]:
        """Return which pairs there are, which were dropped, and what was noted."""
        return {"pairs": self.pairs, "dropped": self.dropped, "notes": self.notes}

    def count_tags(self) -> dict[str, str]:
        """Return the tags of an MLflow run that say which pairs there are, which were dropped, and what was noted."""
        lines = {f"gazetune.{name}": describe_counts(its) or "none" for name, its in self.list_counts().items()}
        return {name: line[:LONGEST_TAG] for name, line in lines.items()}


def describe_counts(counts: Mapping[str, int]) -> str:
    """Return counts as one line.

    Examples
    --------
    >>> describe_counts({"tie": 3, "empty reply": 1})
    '3 tie, 1 empty reply'
    """
    return ", ".join(f"{count} {what}" for what, count in counts.items())


@dataclass(frozen=True)
class PreparedData:
    """A prepared data set, open for reading."""

    folder: Path
    facts: DatasetFacts
    train: EncodedSplit
    validation: EncodedSplit
    test: EncodedSplit
    fold: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    """Of a fold: which of the prepared pairs of train and validation, counted on, are its train and its validation."""

    @classmethod
    def from_folder(cls, folder: Path) -> PreparedData:
        """Map a finished folder into memory."""
        facts = DatasetFacts(**json.loads((folder / "facts.json").read_text()))
        values = np.load(folder / "values.npy", mmap_mode="r")
        splits = [EncodedSplit.from_folder(folder, split, values, facts.pad_token) for split in SPLITS]
        train, validation, test = splits
        return cls(folder, facts, train, validation, test)

    def load_tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer that the data set was made with."""
        return cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(self.folder / "tokenizer"))

    def take_fold(self, fold: FoldConfig, seed: int) -> PreparedData:
        """Return the data with train and validation divided anew by group; test, measures and fingerprints stay.

        Raises
        ------
        InputError
            When there are fewer groups than folds.
        """
        groups = np.concatenate([self.item_groups("train"), self.item_groups("validation")])
        folds = divide_into_folds(groups, fold.of, seed)
        train, validation = (np.flatnonzero(chosen) for chosen in (folds != fold.number - 1, folds == fold.number - 1))
        pairs = {**self.facts.pairs, "train": len(train), "validation": len(validation)}
        return replace(
            self,
            facts=replace(self.facts, pairs=pairs),
            train=join_splits(self.train, self.validation, train),
            validation=join_splits(self.train, self.validation, validation),
            fold=(train, validation),
        )

    def response_words(self, split: str) -> NDArray[np.int32]:
        """[pairs, 2] white-space words of the chosen and the rejected response, for the length baseline."""
        words: NDArray[np.int32] = self._load_rows(split, "words")
        return words

    def item_keys(self, split: str) -> NDArray[np.str_]:
        """[pairs] keys of the pairs (`item_key`), by which evaluations of different runs are compared."""
        return self._load_rows(split, "items").astype(str)

    def item_groups(self, split: str) -> NDArray[np.str_]:
        """[pairs] names of the pairs' groups: those with a prompt or a conversation tree in common share one."""
        return self._load_rows(split, "groups").astype(str)

    def _load_rows(self, split: str, name: str) -> NDArray[Any]:
        """Return what there is one row of for each pair of a split."""
        if self.fold is None or split == "test":
            rows: NDArray[Any] = np.load(self.folder / f"{split}.{name}.npy", mmap_mode="r")
            return rows
        both = [np.load(self.folder / f"{each}.{name}.npy", mmap_mode="r") for each in ("train", "validation")]
        return np.concatenate(both)[self.fold[("train", "validation").index(split)]]
