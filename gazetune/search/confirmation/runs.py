"""Which trainings a confirmation takes: each is a complete config, so that any of them can be made again.

candidates    top k     x folds                                  train.fold, a seed for each fold
arms          winner, its config without gaze, best run without
              gaze, the winner with each control  x seeds        the usual split, a seed for each
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gazetune.config import Config, ConfirmConfig, FoldConfig, FusionConfig, GazeConfig, ProjectorConfig
from gazetune.search.baselines import baseline_name, config_without_gaze
from gazetune.search.confirmation.arms import CONTROL, OWN_CONFIG, SEARCHED, WINNER


@dataclass(frozen=True)
class ConfirmationRun:
    """One training of a confirmation."""

    role: str
    """What it is for: `fold-TRIAL`, or the name of an arm."""
    config: Config

    @property
    def name(self) -> str:
        """Of its folder and its MLflow run: another config is another run."""
        return baseline_name(self.role, self.config)


def fresh_seed(config: Config, number: int) -> int:
    """Return the n-th seed of a confirmation; no trial of the search was trained with it, but by one chance in 2**31.

    Examples
    --------
    >>> fresh_seed(Config(), 1) == fresh_seed(Config(), 1) != fresh_seed(Config(), 2)
    True
    """
    digest = hashlib.sha256(f"confirmation {config.search.seed} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def list_fold_runs(trial_id: str, config: Config, settings: ConfirmConfig) -> list[ConfirmationRun]:
    """Return the trainings of a candidate, one for each fold; the seeds are the same for all candidates."""
    return [
        ConfirmationRun(
            f"fold-{trial_id}",
            _change(
                config, "train", fold=FoldConfig(number=number, of=settings.folds), seed=fresh_seed(config, number)
            ),
        )
        for number in range(1, settings.folds + 1)
    ]


def list_arm_runs(
    winner: Config, without_gaze: Config | None, settings: ConfirmConfig
) -> Mapping[str, list[ConfirmationRun]]:
    """Return the trainings of each arm, by its name.

    Parameters
    ----------
    winner
        The chosen config. Where it has no gaze, there is nothing to take away and nothing to control.
    without_gaze
        The config of the search's best trial without gaze; None where there is none. Where it is the same run as the
        winner's own config without gaze, it has no arm of its own.
    """
    arms = {WINNER: winner}
    if winner.fusion.kind != "none":
        arms[OWN_CONFIG] = config_without_gaze(winner)
    if without_gaze is not None and _without_gaze_keys(without_gaze) != _without_gaze_keys(config_without_gaze(winner)):
        arms[SEARCHED] = without_gaze
    if winner.fusion.kind != "none":
        arms |= {f"{CONTROL}{name}": _change(winner, "gaze", control=name) for name in settings.controls}
    return {
        name: [
            ConfirmationRun(name, _change(config, "train", seed=fresh_seed(config, settings.folds + number)))
            for number in range(1, settings.seeds + 1)
        ]
        for name, config in arms.items()
    }


def count_trainings(settings: ConfirmConfig, trials: int) -> tuple[int, int]:
    """Return the most trainings of both stages, for a search of so many trials.

    Examples
    --------
    >>> count_trainings(ConfirmConfig(), trials=30)
    (12, 12)
    """
    candidates = min(settings.top, trials)
    return (0 if candidates == 1 else candidates * settings.folds), settings.seeds * (3 + len(settings.controls))


def _without_gaze_keys(config: Config) -> Config:
    """Return what a run without gaze depends on: two that differ in nothing else are the same run."""
    return config.model_copy(
        update={"gaze": GazeConfig(), "projector": ProjectorConfig(), "fusion": FusionConfig(kind=config.fusion.kind)}
    )


def _change(config: Config, section: str, **values: Any) -> Config:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})
