"""What a run reads, looked at once before anything is prepared, and then prepared: backbones, predictors, pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gazetune.config import Config
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.gaze.store.parallel import RayPrediction
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import is_prepared, prepare_data
from gazetune.reward.model.checks.backbone import check_backbone
from gazetune.reward.model.pair_losses import check_scores
from gazetune.trials.progress import ProgressDisplay


def check_backbones(configs: Iterable[Config]) -> None:
    """Check every backbone with every adapter that some configs have.

    Raises
    ------
    InputError
        As `check_backbone`.
    """
    different = {(each.backbone, each.adapter, each.data, each.train): each for each in configs}
    for config in different.values():
        check_backbone(config)


def prepare_data_sets(
    configs: Sequence[Config], cache: Path, progress: ProgressDisplay, prediction: RayPrediction
) -> list[PreparedData]:
    """Prepare the data set of each config, and print which pairs each has.

    Raises
    ------
    InputError
        For a predictor or pairs that cannot be read.
    """
    missing = [config for config in configs if not is_prepared(config, cache)]
    if len(missing) > 1:  # `prepare_data` itself reads those of one before it writes
        check_sources(missing)
    prepared = []
    for config in configs:
        prepared.append(prepare_data(config, cache, remote_prediction=prediction))
        check_scores(config.loss, config.data.source, prepared[-1].train.scores)
    for line in dict.fromkeys(line for data in prepared for line in data.facts.describe_pairs()):
        progress.print_line(line)
    return prepared


def check_sources(configs: Sequence[Config]) -> None:
    """Read each predictor and source once, so that a bad one is refused before the first data set is made.

    Raises
    ------
    InputError
        For a predictor or pairs that cannot be read.
    """
    for config in {_predictor_key(config): config for config in configs}.values():
        create_predictor(config)
    for data in {config.data: None for config in configs}:
        load_splits(data)


def _predictor_key(config: Config) -> tuple[str | int | None, ...]:
    """Return what a gaze predictor is made from; configs that agree in it have the same one."""
    return (config.gaze.predictor, config.gaze.path, config.gaze.reader, config.data.seed)
