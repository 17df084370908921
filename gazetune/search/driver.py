"""The driver of one search: slots, Tune, the comparison with the baselines, the report.

What happened is read from the study, so a driver that starts where another one stopped goes on from there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import ray
from optuna.trial import FrozenTrial, TrialState
from ray import tune

from gazetune.cluster.connect import ClusterSize
from gazetune.config import Config
from gazetune.config_file import dump_config
from gazetune.errors import Interrupted, RunError
from gazetune.report.document import SearchDocument
from gazetune.report.markdown import write_report
from gazetune.reward.dataset import PreparedData, prepare, prepared_facts
from gazetune.search.baselines import Candidate, winner_and_baselines
from gazetune.search.folder import SearchFolder
from gazetune.search.ledger import Ledger, fingerprint_tags, log_evaluation, trial_records
from gazetune.search.progress import SearchProgress
from gazetune.search.slots.feeder import Feeder
from gazetune.search.slots.slots import Slots
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.failures import Failures
from gazetune.search.stopping.halting import Halting, StoppedByHand
from gazetune.search.stopping.schedulers import KnownTrial, Rungs, Stopping, create_scheduler, milestones
from gazetune.search.study.history import own_trials
from gazetune.search.study.objectives import sign, validation_objective
from gazetune.search.study.samplers import Samplers
from gazetune.search.study.searcher import TruthfulOptuna, open_study, pareto_front, trial_name
from gazetune.tracking.lineage import code_version
from gazetune.tracking.mlflow_runs import Tracker

SLOT_END_SECONDS = 60.0
"""How long a slot may take to give its CPUs back."""

POLL_SECONDS = 0.5
"""How often the driver looks whether it is asked to stop, while a baseline trains."""

_TUNE_ENVIRONMENT = {
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # a stopped search does not wait for reports that nobody reads
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has it all
    "RAY_AIR_NEW_OUTPUT": "0",  # the new reporter prints even when told not to
}

_FINISHED = tuple(state for state in TrialState if state.is_finished())


class Driver:
    """A search whose input is known to be good and whose cluster is connected."""

    def __init__(
        self,
        space: SearchSpace,
        folder: SearchFolder,
        tracker: Tracker,
        data: Sequence[PreparedData],
        rungs: Rungs,
        cluster: ClusterSize,
        progress: SearchProgress,
    ) -> None:
        self.space, self.folder, self.tracker, self.progress = space, folder, tracker, progress
        self.data, self.rungs, self.config = data, rungs, space.config
        self.cache = folder.cache
        self.slot_count = min(cluster.slots, self.config.search.trials)
        self.failures = Failures(self.config.search.max_failures)
        self.fingerprints = {
            "data": _all(each.facts.data_fingerprint for each in data),
            "gaze": _all(each.facts.gaze_fingerprint for each in data),
            "code": code_version(),
        }

    def run(self) -> SearchDocument:
        """Start the slots, search, compare with the baselines, and write the report."""
        self.parent = self._parent_run()
        self.ledger = Ledger(self.space, self.folder, self.tracker, self.parent, self.progress)
        self.study = open_study(self.space.name, self.config.search, self.folder.path)
        for trial in own_trials(self.study, _FINISHED):
            self.ledger.settle(trial, trial_name(trial.number))
        self.folder.steering.announce(self.slot_count)
        restarts = 2 * self.config.search.trials
        self.progress.stage(f"starting {self.slot_count} slot(s) of {self.config.resources.workers} worker(s)")
        self.slots = Slots(self.slot_count, self.config.resources, self.folder.path / "slots", self.cache, restarts)
        try:
            self._tune()
            document = self._document()
        except BaseException as error:
            self.tracker.end_all_running(self.parent)
            if isinstance(error, KeyboardInterrupt):
                raise self._interrupted() from None
            raise
        finally:
            self.slots.close(SLOT_END_SECONDS)
        self.tracker.log_file(self.parent, Path(document.report))
        self.tracker.finish(self.parent, "COMPLETE" if document.best else "FAIL", None)
        # Last, since a search with this file counts as finished.
        partial = self.folder.document.with_suffix(".partial")
        partial.write_text(document.dumps())
        partial.rename(self.folder.document)
        if document.best is None and all(trial.state == "FAIL" for trial in document.trials):
            raise RunError(f"every trial failed, the first one: {document.trials[0].reason}; see {document.report}")
        return document

    def _parent_run(self) -> str:
        """Return the search's MLflow run, the same one when the search is resumed."""
        run = self.folder.read_parent_run()
        if run is None:
            tags = fingerprint_tags(self.fingerprints["data"], self.fingerprints["gaze"])
            run = self.tracker.start_search(self.space.name, dump_config(self.config), {}, tags)
            self.folder.write_parent_run(run)
        else:
            self.tracker.reopen(run)
        return run

    def _interrupted(self) -> Interrupted:
        return Interrupted(f"search '{self.space.name}' was stopped {self._how_to_go_on()}")

    def _how_to_go_on(self) -> str:
        finished = len(own_trials(self.study, _FINISHED))
        return (
            f"with {finished} of {self.config.search.trials} trials finished; "
            f"go on with: gazetune search --resume {self.space.name} --storage {self.folder.path.parent}"
        )

    def _tune(self) -> None:
        """Let Tune propose and schedule trials until all are finished."""
        for name, value in _TUNE_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        finished = own_trials(self.study, _FINISHED)
        if len(finished) == self.config.search.trials:
            return
        scheduler = create_scheduler(self.config.search, self.rungs)
        trials = own_trials(self.study)
        replay(scheduler, trials, validation_objective(self.config.search), self.folder.trial)
        scheduler.add(StoppedByHand(self.folder.steering))
        self._tuner(scheduler, self.config.search.trials - len(finished)).fit()
        if len(own_trials(self.study, _FINISHED)) < self.config.search.trials:
            if self.failures.verdict is None:
                raise self._interrupted()
            raise RunError(
                f"search '{self.space.name}' was given up, since {self.failures.verdict}; once that is put right, it "
                f"can go on: it ended {self._how_to_go_on()}"
            )

    def _tuner(self, scheduler: Stopping, trials: int) -> tune.Tuner:
        """Return what runs so many trials; `self.failures` hears how they end."""
        searcher = TruthfulOptuna(
            self.space, self.study, Samplers(self.space, self.slot_count > 1), self.ledger, self.slots.board_name,
            self._job, cancel=lambda trial_id: self.slots.board.cancel.remote(trial_id), why=scheduler.reason,
            ended=self._note_failure,
        )  # fmt: skip
        return tune.Tuner(
            tune.with_resources(Feeder, tune.PlacementGroupFactory([{"node:__internal_head__": 0.001}])),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=trials,
                max_concurrent_trials=self.slot_count,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(self.folder.path),
                # The slots write the checkpoints; a feeder has nothing to save.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                stop=Halting(self.folder.steering, self.failures),
                verbose=0,
            ),
        )

    def _note_failure(self, ended: FrozenTrial) -> None:
        self.failures.ended(ended.user_attrs["record"]["reason"] if ended.state == TrialState.FAIL else None)

    def _document(self) -> SearchDocument:
        """Compare winner and baselines on the test split and write the report."""
        trials = trial_records(self.study)
        configs = {str(trial.id): self._trial_config(str(trial.id)) for trial in trials}
        self.progress.stage("evaluating the best trial and the baselines on the test split")
        best, baselines = winner_and_baselines(
            trials,
            configs,
            {trial_id: self.folder.trial(trial_id) / "best" for trial_id in configs},
            self._train_baseline,
            self._run_job,
            lambda config: prepare(config, self.cache),
        )
        document = SearchDocument(
            name=self.space.name,
            storage=str(self.folder.path),
            tracking_uri=self.tracker.shown_uri,
            mlflow_parent_run=self.parent,
            trials=trials,
            best=best,
            baselines=baselines,
            pareto=pareto_front(self.study, self.config.search),
            report=str(self.folder.report),
            config=dump_config(self.config),
            fingerprints={**self.fingerprints, **_bayes(self.data)},
        )
        write_report(document, self.folder.report)
        return document

    def _trial_config(self, trial_id: str) -> Config:
        trial = self.study.get_trials(deepcopy=False)[int(trial_id)]
        return self.space.trial_config(trial.user_attrs["record"]["params"])

    def _job(self, trial_id: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._train_job(trial_id, self.space.trial_config(params), self.folder.trial(trial_id))

    def _train_job(self, job_id: str, config: Config, folder: Path) -> dict[str, Any]:
        return {
            "id": job_id,
            "kind": "train",
            "config": config.model_dump(mode="json"),
            "folder": str(folder),
            "milestones": list(milestones(self.rungs)),
            "objective": validation_objective(config.search),
        }

    def _train_baseline(self, role: str, config: Config) -> Candidate | None:
        """Train a config to the full budget in a slot, as a run with `role=baseline`."""
        folder = self.folder.path / "baselines" / role
        facts = prepared_facts(config, self.cache)
        tags = {"role": "baseline", **fingerprint_tags(facts.data_fingerprint, facts.gaze_fingerprint)}
        run = self.tracker.start_trial(
            self.parent, role, {"fusion.kind": config.fusion.kind}, dump_config(config), tags
        )
        try:
            message = self._run_job(self._train_job(role, config, folder), run)
        except RunError as error:
            # What the search found stands without this baseline.
            self.progress.stage(f"baseline FAIL ({error})")
            self.tracker.finish(run, "FAIL", str(error))
            return None
        self.tracker.log_file(run, folder / "best" / "margins.npy", "validation")
        self.tracker.finish(run, "COMPLETE", None)
        shutil.rmtree(folder / "last", ignore_errors=True)
        return Candidate(config, folder / "best", message["val_accuracy"])

    def _run_job(self, spec: dict[str, Any], mlflow_run: str | None = None) -> dict[str, Any]:
        """Run one job in a slot and return its last message; evaluations go to `mlflow_run`."""
        board = self.slots.board
        ray.get(board.submit.remote(spec))
        while True:
            message = self._wait(board.next.remote(spec["id"]))
            if "failed" in message:
                raise RunError(f"{spec['id']}: {message['failed']}")
            if mlflow_run is not None:
                log_evaluation(self.tracker, mlflow_run, message)
            if message.get("done", True):
                return message

    def _wait(self, message: Any) -> Any:
        """Return a message of the board once it comes, unless the search is asked to stop before."""
        while not ray.wait([message], timeout=POLL_SECONDS)[0]:
            if self.folder.steering.asked_to_stop(None):
                raise self._interrupted()
        return ray.get(message)


def replay(
    scheduler: Stopping, trials: Sequence[FrozenTrial], objective: str, folder_of: Callable[[str], Path]
) -> None:
    """Tell a fresh scheduler what the trials of a resumed search reached at its rungs.

    An unfinished trial repeats its last report itself, so that one is left out here. Their validation margins lie in
    the trials' folders, which `folder_of` names by trial id.
    """
    for trial in trials:
        known = KnownTrial(trial_name(trial.number), str(folder_of(trial_name(trial.number))))
        reports = sorted(trial.intermediate_values.items())
        told = reports if trial.state.is_finished() else reports[:-1]
        scheduler.remember(known, [{"examples": at, "objective": sign(objective) * value} for at, value in told])


def _all(fingerprints: Iterable[str]) -> str:
    """Return the fingerprints of all data sets of the search, each once."""
    return ", ".join(dict.fromkeys(fingerprints))


def _bayes(data: Sequence[PreparedData]) -> dict[str, str]:
    """Return the best accuracies that planted data allows, for the report; nothing for other data or several sets."""
    best = data[0].facts.bayes or {}
    if any(each.facts.bayes != data[0].facts.bayes for each in data):
        return {}
    return {f"Bayes accuracy, {seen}": f"{accuracy:.3f}" for seen, accuracy in best.items()}
