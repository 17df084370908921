"""The prepared data set: pairs divided, tokenised, with gaze aligned, in flat files that every worker maps.

It is made once per combination of data, tokenizer and gaze (not per feature mask, fusion or trial) in a folder named by
that combination, so that all trials of a search share it:

    cache/prepared/KEY/
        facts.json              `DatasetFacts`; a folder without it is not finished
        tokenizer/
        values.npy              [N, 5] reading measures of all units of all texts
        train.ids.npy, ...      the fields of `EncodedSplit`, for each split
        train.words.npy, ...    words of each response, for the length baseline
        train.items.npy, ...    key of each pair, by which the evaluations of runs are compared
        train.groups.npy, ...   group of each pair: pairs with a prompt in common are no independent items
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gazetune import __version__
from gazetune.config import Config, DataConfig
from gazetune.config.config_file import with_absolute_paths
from gazetune.errors import InputError
from gazetune.files.atomic_write import write_atomically
from gazetune.files.build_lock import build_lock
from gazetune.files.folder_files import list_files
from gazetune.files.replaced_folder import replace_folder
from gazetune.gaze.controls import training_statistics
from gazetune.gaze.networks.weights import FILES_BESIDE_WEIGHTS
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.preferences.grouping import link_groups
from gazetune.preferences.pair import PreferencePair, collect_margins, item_key
from gazetune.preferences.splits import compute_fingerprint
from gazetune.reward.data.conversation import CUT_NOTE, ChatEncoder
from gazetune.reward.data.dataset import SPLITS, DatasetFacts, PreparedData
from gazetune.reward.data.encoding import TextRows
from gazetune.reward.data.gaze_unit import gaze_unit
from gazetune.reward.data.pair_encoding import PairEncoder, Progress, distort_measures, gather_measures
from gazetune.reward.data.rendered_length import load_pair_splits
from gazetune.reward.data.stored_gaze import RemotePrediction, distinct_texts, texts_to_predict
from gazetune.reward.model.backbone import context_length, load_tokenizer
from gazetune.reward.model.chat_templates import freeze_date, uses_date
from gazetune.reward.model.fusion_registry import fusion_class

FORMAT = 6


def count_response_words(pairs: Sequence[PreferencePair]) -> NDArray[np.int32]:
    """Return [pairs, 2] white-space words of the chosen and the rejected response."""
    words = [[len(pair.chosen.split()), len(pair.rejected.split())] for pair in pairs]
    return np.asarray(words, dtype=np.int32).reshape(-1, 2)


def _hash_groups(pairs: Sequence[PreferencePair]) -> list[str]:
    """Return for each pair the sha256 hex of what its group is called, which is a name of any length."""
    return [hashlib.sha256(group.encode()).hexdigest() for group in link_groups(pairs)]


def prepare_data(
    config: Config, cache: Path, progress: Progress | None = None, remote_prediction: RemotePrediction | None = None
) -> PreparedData:
    """Open the prepared data set of `config` below `cache`, making it first where it is missing.

    Several processes may ask at once. A killed preparation leaves nothing that is taken for finished, and one that is
    refused leaves nothing at all.

    Parameters
    ----------
    config
        Its sections `data` and `gaze`, its backbone and the unit of its fusion count. With `train.fold` the same
        prepared data set is divided anew.
    cache
        The folder `cache` of the storage folder.
    progress
        Told of each stage: its name, how much is done, of how much.
    remote_prediction
        Predicts measures that are not stored yet in other processes; by default this process does.

    Raises
    ------
    InputError
        For pairs, gaze or a backbone that cannot be read, and a conversation that the backbone has no room for.
    """
    folder = cache / "prepared" / preparation_key(config)
    if not (folder / "facts.json").exists():
        with build_lock(folder.with_suffix(".lock"), f"prepared data {folder}"):
            if not (folder / "facts.json").exists():
                preparation = _Preparation(config, cache, progress, remote_prediction)
                with replace_folder(folder) as partial:
                    preparation.write_files(partial)
    data = PreparedData.from_folder(folder)
    check_context(config, data.facts.longest, data.facts.longest_origin, data.facts.context)
    return data if config.train.fold is None else data.take_fold(config.train.fold, config.data.seed)


def is_prepared(config: Config, cache: Path) -> bool:
    """Tell whether `prepare_data` finds the data set below `cache`."""
    return _facts_file(config, cache).exists()


def prepared_facts(config: Config, cache: Path) -> DatasetFacts:
    """Return the facts of a data set that has been prepared below `cache`."""
    return DatasetFacts(**json.loads(_facts_file(config, cache).read_text()))


def _facts_file(config: Config, cache: Path) -> Path:
    return cache / "prepared" / preparation_key(config) / "facts.json"


def preparation_key(config: Config) -> str:
    """Return the name of the folder that everything with the same data, tokenizer and gaze shares."""
    config = with_absolute_paths(config)  # a file has one key, however its path is written
    in_model = {"features", "normalise", "store"}
    gaze = {**config.gaze.model_dump(mode="json", exclude=in_model), "unit": gaze_unit(config)}
    named = (config.data.source, config.backbone, config.gaze.path, config.data.chat_template)
    files = [_file_states(name) for name in named if name]
    if config.gaze.path and Path(config.gaze.path).is_file():  # the state of a folder has all that is in it
        files += [_file_states(str(Path(config.gaze.path).with_name(name))) for name in FILES_BESIDE_WEIGHTS]
    # The version stands for what comes with the package: the lexical predictor's weights, the planted words.
    content = [FORMAT, __version__, list_named_keys(config.data), config.backbone, gaze, files]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def list_named_keys(data: DataConfig) -> dict[str, object]:
    """Return the keys of `data` that name a prepared data set; one that came later counts only where it is set.

    So data that were prepared before there was `data.group` keep their name.
    """
    return data.model_dump(mode="json", exclude={"group"} if data.group is None else set())


def _file_states(name: str) -> list[list[str | int]]:
    """Return name, size and time of a local file or of a folder's files: a changed file changes the key."""
    path = Path(name)
    files = list_files(path, lambda error: None) if path.is_dir() else [path]
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]


def _read_frozen_date(cache: Path) -> datetime:
    """Return the date that chat templates write in all data below `cache`: that of the first preparation that asks."""
    path = cache / "chat_template_date"
    with build_lock(path.with_suffix(".lock"), str(path)):
        if not path.exists():
            write_atomically(path, datetime.now().isoformat())
        return datetime.fromisoformat(path.read_text())


def check_context(config: Config, longest: Mapping[str, int], origin: str, context: int | None) -> None:
    """Refuse a fusion that makes a conversation longer than the backbone's context; the text alone was seen to fit.

    `longest` has the tokens and gaze units of the longest conversation, and `origin` is its row.

    Raises
    ------
    InputError
        When there are more positions than `context`.
    """
    length = fusion_class(config.fusion.kind).fused_length(**longest)
    if context is not None and length > context:
        raise InputError(
            f"{origin}: the conversation has {longest['tokens']} tokens and "
            f"{longest['units']} gaze units, {length} positions with fusion.kind {config.fusion.kind}, and "
            f"backbone '{config.backbone}' takes {context}; a lower data.max_chars drops such pairs"
        )


class _Preparation:
    """One preparation: reads the pairs, predicts gaze, tokenises, aligns, and writes the arrays."""

    def __init__(
        self, config: Config, cache: Path, progress: Progress | None, remote_prediction: RemotePrediction | None = None
    ) -> None:
        self.config = config
        self.remote_prediction = remote_prediction
        self.cache = cache
        self.progress = progress or (lambda stage, done, total: None)
        # What can be refused is read first, and what is read soonest before the rest.
        self.context = context_length(config.backbone)
        self.predictor = create_predictor(config)
        self.splits = load_pair_splits(config)
        texts = distinct_texts(self.splits.train, "prompt+response")
        self.tokenizer = load_tokenizer(config.backbone, texts, config.data.tokens, config.data.chat_template)

    def write_files(self, folder: Path) -> None:
        """Write all files of the prepared data set into `folder`."""
        splits = self.splits
        if uses_date(self.tokenizer):
            freeze_date(self.tokenizer, _read_frozen_date(self.cache))
        self.tokenizer.save_pretrained(folder / "tokenizer")
        texts, values = self._gather_gaze()
        np.save(folder / "values.npy", values)
        encoder = ChatEncoder(self.tokenizer, self.config.data.max_tokens, self.config.data.tokens)
        pair_encoder = PairEncoder(self.config, encoder, self.context, splits.reading)
        encoded = {
            split: pair_encoder.encode_pairs(split, getattr(splits, split), texts, self.progress) for split in SPLITS
        }
        pair_encoder.check_bad_rows()
        for split, (pairs, arrays, _, _) in encoded.items():
            for name, array in arrays.items():
                np.save(folder / f"{split}.{name}.npy", cast("NDArray[np.generic]", array))
            np.save(folder / f"{split}.scores.npy", collect_margins(pairs))
            np.save(folder / f"{split}.words.npy", count_response_words(pairs))
            # Keys of 64 hexadecimal digits as bytes: a quarter of what numpy takes for text.
            np.save(folder / f"{split}.items.npy", np.array([item_key(pair) for pair in pairs], dtype="S64"))
            np.save(folder / f"{split}.groups.npy", np.array(_hash_groups(pairs), dtype="S64"))
        mean, sd = training_statistics(values[encoded["train"].arrays["unit_index"]])
        dropped = sum((each.dropped for each in encoded.values()), Counter(splits.dropped))
        cut = sum(each.cut for each in encoded.values())
        cut_note = {CUT_NOTE: cut} if cut else {}
        kept = {split: each.pairs for split, each in encoded.items()}
        facts = DatasetFacts(
            # Of the pairs that are kept: runs are compared pair by pair where it is the same.
            data_fingerprint=compute_fingerprint(kept),
            gaze_fingerprint=self.predictor.fingerprint,
            pairs={split: len(pairs) for split, pairs in kept.items()},
            dropped=dict(dropped),
            notes={**splits.notes, **encoder.renderer.tally.list_notes(), **cut_note},
            bayes=splits.bayes,
            gaze_mean=[float(value) for value in mean],
            gaze_sd=[float(value) for value in sd],
            context=self.context,
            longest=pair_encoder.longest,
            longest_origin=pair_encoder.longest_origin,
            pad_token=int(self.tokenizer.pad_token_id or 0),
        )
        (folder / "facts.json").write_text(json.dumps(asdict(facts), indent=1))

    def _gather_gaze(self) -> tuple[TextRows, NDArray[np.float32]]:
        """Predict every text once and return where each text's units stand, and their values [N, 5]."""
        of_split = {split: texts_to_predict(getattr(self.splits, split), self.config.gaze) for split in SPLITS}
        everything = (text for split in SPLITS for text in of_split[split])
        texts, values = gather_measures(
            self.config, self.cache, everything, self.predictor, self.progress, self.remote_prediction
        )
        return texts, distort_measures(self.config, texts, values, of_split)
