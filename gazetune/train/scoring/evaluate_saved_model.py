"""What a saved model scores on pairs: the test split it was trained beside, or others that are named."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.config import Config
from gazetune.config.config_file import load_config
from gazetune.errors import InputError
from gazetune.evaluate.margins import Margins
from gazetune.files.paths import resolve_path
from gazetune.report.activity import ActivityLines
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import is_prepared, prepare_data
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.model.backbone import check_backbone_weights
from gazetune.reward.saved.saved_model import has_saved_template, read_facts, with_saved_template
from gazetune.reward.saved.scored_pairs import ScoredPairs, encode_named_pairs, without_division
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
from gazetune.train.scoring.evaluation import score_saved_model
from gazetune.train.scoring.score_documents import EvaluateDocument, PairsDocument, describe_test_scores

logger = logging.getLogger(__name__)


def evaluate_saved_model(
    folder: Path, storage: Path, data: Config | None = None, given: Collection[str] = ()
) -> EvaluateDocument:
    """Score the reward model saved in `folder` on the test split of its own data, or on other pairs.

    Prepared data and measures are cached in `storage`.

    Parameters
    ----------
    folder
        The saved model.
    storage
        The folder of all results.
    data
        A config whose section `data` stands in the place of the model's own.
    given
        The keys of that section that the user set. With `data.source` or `data.split` every pair of what is named is
        scored, unless a key that divides pairs is among them.
    """
    saved = load_config(folder / "config.yaml", [])
    config = saved if data is None else saved.model_copy(update={"data": data.data})
    named = bool({"data.source", "data.split"} & set(given))
    whole = named and not {"data.splits", "data.fold", "data.group"} & set(given)
    if named:
        config = config.model_copy(update={"data": without_division(config.data, given)})
    cache = resolve_path(storage, "--storage") / "cache"
    try:
        check_backbone_weights(config.backbone)
    except InputError as error:
        raise InputError(f"{folder / 'config.yaml'}: {error}") from error
    scored = _own_test_pairs(config, folder, cache) if config.data == saved.data and not whole else None
    if scored is None:
        scored = encode_named_pairs(config, folder, cache, saved.data, whole)
    with ActivityLines() as lines:
        for line in scored.describe(config.data.source):
            lines.print_line(line)
    rewards = _score_split(config, folder, scored.split)
    counts: PairsDocument = {"pairs": {"test": len(scored.split)}, "dropped": scored.dropped, "notes": scored.notes}
    return {"folder": str(folder), "data": counts, **describe_test_scores(rewards, scored.words)}


def score_own_test_pairs(folder: Path, storage: Path) -> Margins:
    """Score the model saved in `folder` on the test split that it was trained beside.

    Raises
    ------
    InputError
        When its pairs have changed since, or cannot be read any more.
    """
    config = load_config(folder / "config.yaml")
    data = _read_own_data(config, folder, resolve_path(storage, "--storage") / "cache")
    if data is None:
        raise InputError(f"{folder}: its pairs, {config.data.source}, are not as they were when it was trained")
    return Margins.of_split(data, "test", _score_split(config, folder, data.test))


def _score_split(config: Config, folder: Path, split: EncodedSplit) -> NDArray[np.float64]:
    """Return the rewards [pairs, 2] of a saved model, computed in this process."""
    worker = join_worker_group()
    try:
        rewards, _ = score_saved_model(config, folder, load_worker_backbone(config, worker), split, worker)
    finally:
        leave_worker_group()
    return rewards


def _own_test_pairs(config: Config, folder: Path, cache: Path) -> ScoredPairs | None:
    """Return the test split that a saved model was prepared with; None where its data have changed since."""
    data = _read_own_data(config, folder, cache)
    if data is None:
        logger.warning("data.source: %s: is not as it was when the model was trained", config.data.source)
        return None
    return ScoredPairs(data.test, data.response_words("test"), "the test split", data.facts.dropped, data.facts.notes)


def _read_own_data(config: Config, folder: Path, cache: Path) -> PreparedData | None:
    """Return the data that a saved model was prepared with; None where they have changed since."""
    data = prepare_data(config, cache) if is_prepared(config, cache) else None
    if data is None or not has_saved_template(data, folder):  # what lies in the cache may have another date
        data = prepare_data(with_saved_template(config, folder), cache)
    return data if data.facts.data_fingerprint == read_facts(folder).data_fingerprint else None
