"""A search while a driver works on it: what it was prepared from, its state, and its slots."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna

from gazetune.cluster.connect import ClusterSize
from gazetune.config import Config
from gazetune.errors import Interrupted, RunError
from gazetune.report.wording import resume_command
from gazetune.reward.data.dataset import PreparedData
from gazetune.search.folder import SearchFolder
from gazetune.search.kept_models import KeptModels
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.caps import Caps
from gazetune.search.stopping.rungs import Rungs
from gazetune.search.study.finished_trials import finished_trials
from gazetune.tracking.lineage import code_version
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.trials.ledger import Ledger
from gazetune.trials.messages import TrainJob
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.slot_pool import SlotPool


@dataclass(frozen=True)
class PreparedSearch:
    """A search whose input is known to be good and whose cluster is connected."""

    space: SearchSpace
    folder: SearchFolder
    tracker: Tracker
    data: Sequence[PreparedData]
    """Every data set that trials can ask for."""
    rungs: Rungs
    cluster: ClusterSize
    progress: ProgressDisplay

    @functools.cached_property
    def config(self) -> Config:
        """The base config: what the search itself is, and every value that is not searched."""
        return self.space.config

    @functools.cached_property
    def fingerprints(self) -> dict[str, str]:
        """What was run, by `data`, `gaze` and `code`."""
        return {
            "data": _join_unique(each.facts.data_fingerprint for each in self.data),
            "gaze": _join_unique(each.facts.gaze_fingerprint for each in self.data),
            "code": code_version(),
        }

    def list_pair_counts(self) -> tuple[dict[str, dict[str, int]], ...]:
        """Return `pairs`, `dropped` and `notes` of each data set, those that are the same once."""
        counts = [each.facts.list_counts() for each in self.data]
        return tuple(each for place, each in enumerate(counts) if each not in counts[:place])

    @functools.cached_property
    def pair_counts(self) -> dict[str, str]:
        """Which pairs each data set has, what was dropped and what else is to be known of them, as one line each."""
        tags = [each.facts.count_tags() for each in self.data]
        return {name.removeprefix("gazetune."): "; ".join(dict.fromkeys(tag[name] for tag in tags)) for name in tags[0]}

    def train_job(self, job_id: str, config: Config, folder: Path) -> TrainJob:
        """Return the job that trains a config in a folder, and is evaluated at the rungs of the search."""
        fingerprints = tuple(each.facts.data_fingerprint for each in self.data)
        return TrainJob(job_id, config, folder, fingerprints, tuple(self.rungs.milestones))


@dataclass(frozen=True)
class ActiveSearch:
    """A prepared search with its study, its books and its slots. The study is the only state that lasts."""

    prepared: PreparedSearch
    parent_run: str
    """Id of the search's own MLflow run."""
    study: optuna.Study
    ledger: Ledger
    models: KeptModels
    caps: Caps
    slots: SlotPool

    def check_interrupted(self) -> None:
        """Raise what ends a search that cannot go on or was stopped by hand.

        Raises
        ------
        RunError
            When no slot can be kept up any more.
        Interrupted
            When somebody asked for it.
        """
        self.check_slots()
        if self.prepared.folder.requests.is_stop_requested(None):
            raise self.interruption()

    def check_slots(self) -> None:
        """Raise `RunError` when no slot can be kept up any more."""
        if self.slots.fatal_reason is not None:
            raise RunError(
                f"search '{self.prepared.space.name}' ended {self.how_to_go_on()}; it ended as "
                f"{self.slots.fatal_reason}"
            )

    def interruption(self) -> Interrupted:
        """Return the error of a search that was stopped by hand."""
        return Interrupted(f"search '{self.prepared.space.name}' was stopped {self.how_to_go_on()}")

    def how_to_go_on(self) -> str:
        """Return how many trials are finished and which command resumes the search, for the end of a sentence."""
        name, storage = self.prepared.space.name, self.prepared.folder.path.parent
        return (
            f"with {len(finished_trials(self.study))} of {self.prepared.config.search.trials} trials finished; "
            f"go on with: {resume_command(name, storage)}"
        )


def _join_unique(fingerprints: Iterable[str]) -> str:
    """Return the fingerprints of all data sets of a search, each once, in order."""
    return ", ".join(dict.fromkeys(fingerprints))
