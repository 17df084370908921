"""A look at the prepared measures before anything is trained: whether there is something for a model to find."""

from __future__ import annotations

from collections.abc import Sequence

from gazetune.config import Config, is_control
from gazetune.evaluate.probe.features import describe_prepared
from gazetune.evaluate.probe.run import has_enough, run_probe
from gazetune.report.probe_wording import describe_probe_difference
from gazetune.reward.data.dataset import PreparedData

MOST_PAIRS = 1000
"""Drawn from train and validation of each predictor's data. The probe then takes some tenths of a second."""
MOST_PREDICTORS = 3


def list_missing_signals(configs: Sequence[Config], data: Sequence[PreparedData]) -> list[str]:
    """Return a line for each predictor whose measures say nothing about the preference beyond length.

    Parameters
    ----------
    configs
        Those that the data sets were prepared for. Controls and runs without gaze are not looked at, and of configs
        with one predictor and file the first alone is.
    data
        The prepared data set of each.
    """
    first: dict[tuple[str, str | None, str | None], tuple[Config, PreparedData]] = {}
    for config, prepared in zip(configs, data, strict=True):
        if config.fusion.kind != "none" and not is_control(config.gaze.control):
            key = (config.gaze.predictor, config.gaze.path, config.gaze.reader)
            first.setdefault(key, (config, prepared))
    lines = []
    for config, prepared in list(first.values())[:MOST_PREDICTORS]:
        items = describe_prepared(prepared, MOST_PAIRS, config.data.seed)
        if not has_enough(items):
            continue
        result = run_probe(items, by_measure=False, seed=config.data.seed)
        if not result.found:
            lines.append(
                f"gaze: summaries of the measures of '{config.gaze.predictor}' say nothing about the preference beyond "
                f"length: {describe_probe_difference(result)}; a gain of gaze would have to come from where in a reply "
                "they stand"
            )
    return lines
