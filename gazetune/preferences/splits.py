"""From a `data` config to the three splits. No prompt stands in two of them.

    splits of the source     what becomes of them
    train                    divided 70/15/15 by hash
    train, test              test stays; train is divided 85/15 into train and validation
    train, validation        validation becomes test; then as above
    train, validation, test  kept as they are
    any, with data.splits    all pairs are divided by hash, with these shares
    any, with data.fold      one of five folds, by hash, is test; the rest is divided into train and validation

"By hash" means that the hash of `data.seed` and a pair's group is a number in [0, 1), and the shares cut this range. A
pair therefore keeps its split when other pairs come or go, and every process divides in the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gazetune.config import DataConfig
from gazetune.errors import InputError
from gazetune.preferences.grouping import link_groups, prompt_group
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.planted import make_planted_data
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.source_splits import read_source_splits
from gazetune.preferences.split_names import classify_splits
from gazetune.preferences.take_pairs import (
    CountCharacters,
    ReadCounts,
    SeenTexts,
    count_characters,
    is_second_copy,
    start_reading,
    take_pairs,
)

SHARES = (0.70, 0.15, 0.15)
"""Shares of train, validation and test where no test split was published."""
TRAIN_SHARE = 0.85
"""Share of train where the test split is given: the rest is validation."""
FOLDS = 5
PLANTED_PAIRS = 3000

_Published = dict[str, list[PreferencePair]]


@dataclass(frozen=True)
class Splits:
    """The pairs of one run, divided."""

    train: tuple[PreferencePair, ...]
    validation: tuple[PreferencePair, ...]
    test: tuple[PreferencePair, ...]
    fingerprint: str
    """sha256 hex over the pairs in their order and their splits; where the file lies does not enter."""
    dropped: dict[str, int]
    """How many pairs were left out, by reason."""
    notes: dict[str, int]
    """What a user should know of the rows that were read, such as a column that was not, and how many they are."""
    reading: SourceReading = field(default_factory=SourceReading, compare=False)
    """How the rows were read. A pair that turns out to be of no use when it is encoded is counted here."""
    bayes: dict[str, float] | None = None
    """Planted data only: the best reachable accuracy by what a model sees (see `PlantedData.bayes`)."""


def load_splits(config: DataConfig, count_rendered: CountCharacters | None = None) -> Splits:
    """Read the pairs of `config.source` and divide them, the same way in every process.

    A published test split (or validation split, where that is the only one) is the test split and train is divided
    85/15; a folder with all three keeps them. Otherwise, or when `config.splits` is set, all pairs are divided by the
    hash of `config.seed` and their group. `config.pairs` takes the first pairs of each published split.

    Parameters
    ----------
    config
        The section of the config.
    count_rendered
        Counts the characters of both chats of a pair as the backbone's chat template writes them, which
        `config.max_chars_of: rendered` needs. Without it their contents are counted, which are fewer.

    Raises
    ------
    InputError
        For a source that cannot be read, a published split that does not exist, and a split that ends up empty.
    """
    counts = ReadCounts(Counter(), Counter(), start_reading(config))
    count: CountCharacters = count_characters
    if config.max_chars_of == "rendered" and count_rendered is not None:
        count = count_rendered
    published, bayes = _read_published(config, counts, count)
    found = sum(map(len, published.values()))
    if config.splits or config.fold or len(published) == 1:
        divided = _divide_by_hash(_join_splits(published, counts), config)
    else:
        divided = _divide_as_published(published, config, counts.dropped)
    kept = [pair for pair in divided["train"] if _is_in_subsample(pair, config)]
    counts.dropped["subsample"] += len(divided["train"]) - len(kept)
    divided["train"] = kept
    reasons = {reason: count for reason, count in counts.dropped.items() if count}
    left_out = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none"
    for name, pairs in divided.items():
        if not pairs:
            raise InputError(
                f"data.source: '{config.source}' gave {found} pairs (left out: {left_out}) and none of them is in the "
                f"{name} split; give more pairs or set data.splits"
            )
    return Splits(
        train=tuple(divided["train"]),
        validation=tuple(divided["validation"]),
        test=tuple(divided["test"]),
        fingerprint=compute_fingerprint(divided),
        dropped=reasons,
        notes=dict(counts.notes),
        reading=counts.reading,
        bayes=bayes,
    )


def _read_published(
    config: DataConfig, counts: ReadCounts, count: CountCharacters
) -> tuple[_Published, dict[str, float] | None]:
    """Return the pairs as published: `train`, and `test` and `validation` where there are such; Bayes if planted."""
    if config.source == "planted":
        if config.group is not None:
            raise InputError(f"data.group: {config.group}: planted pairs have no columns; accepted: null")
        data = make_planted_data(config.pairs or PLANTED_PAIRS, config.seed)
        return {"train": list(data.pairs)}, data.bayes
    reading = counts.reading
    streams = read_source_splits(config.source, reading)
    published: _Published = {}
    seen: dict[str, SeenTexts] = {}
    for name, kind in classify_splits(list(streams), config.source, config.split).items():
        pairs = take_pairs(streams[name], config, counts, seen.setdefault(kind, {}), count)
        published.setdefault(kind, []).extend(pairs)
    reading.check_bad_rows(config.max_bad_rows)
    counts.dropped.update(reading.bad)
    counts.notes.update(reading.list_notes())
    if "test" not in published and "validation" in published:
        published["test"] = published.pop("validation")
    return published, None


def _join_splits(published: _Published, counts: ReadCounts) -> list[PreferencePair]:
    """Return the pairs of all published splits, each one once."""
    if len(published) == 1:
        return [pair for pairs in published.values() for pair in pairs]
    seen: SeenTexts = {}
    uncounted = counts._replace(notes=Counter())  # each file's own pairs were counted before
    return [pair for pairs in published.values() for pair in pairs if not is_second_copy(pair, uncounted, seen)]


def _divide_by_hash(pairs: Sequence[PreferencePair], config: DataConfig) -> _Published:
    train, validation, _ = shares = config.splits or SHARES
    divided: _Published = {"train": [], "validation": [], "test": []}
    for pair, group in zip(pairs, link_groups(pairs), strict=True):
        draw = _hash_to_uniform(config.seed, "split", group)
        if config.fold:
            tested = int(FOLDS * _hash_to_uniform(config.seed, "fold", group)) == config.fold - 1
            bound = train / (train + validation) if config.splits else TRAIN_SHARE
            name = "test" if tested else "train" if draw < bound else "validation"
        else:
            name = "train" if draw < train else "validation" if draw < train + shares[1] else "test"
        divided[name].append(pair)
    return divided


def _divide_as_published(published: _Published, config: DataConfig, dropped: Counter[str]) -> _Published:
    test, shared = published["test"], config.group or "prompt"
    train = _drop_shared_prompts(published["train"], test, f"{shared} in test", dropped)
    if "validation" in published:
        validation = _drop_shared_prompts(published["validation"], test, f"{shared} in test", dropped)
        train = _drop_shared_prompts(train, validation, f"{shared} in validation", dropped)
        return {"train": train, "validation": validation, "test": test}
    divided: _Published = {"train": [], "validation": [], "test": test}
    for pair, group in zip(train, link_groups(train), strict=True):
        trained = _hash_to_uniform(config.seed, "split", group) < TRAIN_SHARE
        divided["train" if trained else "validation"].append(pair)
    return divided


def _drop_shared_prompts(
    pairs: Iterable[PreferencePair], other: Iterable[PreferencePair], reason: str, dropped: Counter[str]
) -> list[PreferencePair]:
    """Return the pairs that share neither group nor prompt with `other`; the rest is counted."""
    taken = {name for pair in other for name in (pair.group, prompt_group(pair.prompt))}
    free = []
    for pair in pairs:
        if pair.group in taken or prompt_group(pair.prompt) in taken:
            dropped[reason] += 1
        else:
            free.append(pair)
    return free


def _is_in_subsample(pair: PreferencePair, config: DataConfig) -> bool:
    # The hash is of the pair and not of its group. The share is then met closely on conversation trees, too. A smaller
    # share is always a part of a larger one.
    return (
        _hash_to_uniform(config.seed, "subsample", json.dumps([pair.group, pair.chosen, pair.rejected]))
        < config.subsample
    )


def _hash_to_uniform(seed: int, purpose: str, key: str) -> float:
    """Return a number in [0, 1) that is fixed by its arguments; different purposes give independent numbers.

    Examples
    --------
    >>> _hash_to_uniform(0, "split", "a") == _hash_to_uniform(0, "split", "a") != _hash_to_uniform(0, "fold", "a")
    True
    """
    digest = hashlib.sha256(f"{seed}\n{purpose}\n{key}".encode()).digest()
    # A float64 holds 53 bits. With more of them, the largest numbers would round up to 1.0.
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def compute_fingerprint(divided: Mapping[str, Sequence[PreferencePair]]) -> str:
    """Return the sha256 hex over the pairs of train, validation and test, in their order."""
    digest = hashlib.sha256()
    for name in ("train", "validation", "test"):
        for pair in divided[name]:
            prompt = [[message.role, message.content] for message in pair.prompt]
            line = json.dumps([name, prompt, pair.chosen, pair.rejected, pair.margin])
            digest.update(line.encode() + b"\n")
    return digest.hexdigest()
