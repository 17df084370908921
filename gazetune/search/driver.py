"""The driver of one search: slots, Tune, the comparison with the baselines, the report.

What happened is read from the study, so a driver that starts where another one stopped goes on from there.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ray import tune
from ray.tune.stopper import CombinedStopper

from gazetune.cluster.connect import ClusterSize
from gazetune.cluster.node_watch import NodeWatch
from gazetune.config import Config, ResourcesConfig
from gazetune.config.yaml_file import dump_config
from gazetune.errors import Interrupted, RunError
from gazetune.report.document import SearchDocument
from gazetune.report.markdown import write_report
from gazetune.reward.data.prepared_data import PreparedData, prepare, prepared_facts
from gazetune.search.baselines import Candidate, baseline_name, winner_and_baselines
from gazetune.search.folder import SearchFolder
from gazetune.search.kept_models import KeptModels
from gazetune.search.ledger import Ledger, bayes_facts, fingerprint_tags, log_evaluation, told_once, trial_records
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.caps import Caps
from gazetune.search.stopping.prune_unfinished import prune_unfinished_trials
from gazetune.search.stopping.repeated_failures import RepeatedFailures
from gazetune.search.stopping.replay_rungs import replay
from gazetune.search.stopping.schedulers import Rungs, Stopping, create_scheduler, milestones
from gazetune.search.stopping.stop_rules import Halting, StoppedByCap, StoppedByHand
from gazetune.search.study.objectives import validation_objective
from gazetune.search.study.samplers import Samplers
from gazetune.search.study.searcher import TruthfulOptuna, importance, open_study, pareto_front
from gazetune.search.study.seeding import own_trials
from gazetune.tracking.lineage import code_version
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.trials.feeder import Feeder
from gazetune.trials.gone import SlotsGone
from gazetune.trials.jobs import run_job
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.slot_pool import Slots

SLOT_END_SECONDS = 60.0
"""How long a slot may take to give its CPUs back."""

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
        progress: ProgressDisplay,
    ) -> None:
        self.space, self.folder, self.tracker, self.progress = space, folder, tracker, progress
        self.data, self.rungs, self.cluster, self.config = data, rungs, cluster, space.config
        self.failures = RepeatedFailures(self.config.search.max_failures)
        self.fingerprints = {
            "data": told_once(each.facts.data_fingerprint for each in data),
            "gaze": told_once(each.facts.gaze_fingerprint for each in data),
            "code": code_version(),
        }

    def run(self) -> SearchDocument:
        """Start the slots, search, compare with the baselines, and write the report."""
        self.folder.steering.announce(0)
        self.parent = self._parent_run()
        self.ledger = Ledger(self.space, self.folder, self.tracker, self.parent, self.progress)
        self.study = open_study(self.space.name, self.config.search, self.folder.path)
        self.ledger.settle(own_trials(self.study, _FINISHED))
        self.models = KeptModels(self.study, self.space, self.folder)
        self.models.drop()
        self.caps = Caps(self.config.search, self.folder.path)
        self.caps.add_earlier_trials(own_trials(self.study))
        self.slots = Slots(
            self.space.shapes(),
            self.config.search.node_patience,
            NodeWatch(self.cluster.joined, self.folder.path.parent),
            self.config.search.trials - len(own_trials(self.study, _FINISHED)),
            self.folder.slots,
            self.folder.cache,
            self._slots_changed,
        )
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
        self.folder.write_document(document.dumps())
        for last in (self.folder.path / "baselines").glob("*/last"):  # until now, or a resumed search trains it again
            shutil.rmtree(last, ignore_errors=True)
        if document.trials and all(trial.state == "FAIL" for trial in document.trials):
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
        replay(scheduler, trials, validation_objective(self.config.search), self.folder.trial_folder)
        scheduler.add(StoppedByHand(self.folder.steering))
        scheduler.add(StoppedByCap(self.caps))
        if not self.caps.is_reached():
            self._tuner(scheduler, self.config.search.trials - len(finished)).fit()
            self.caps.save_time()
        if len(own_trials(self.study, _FINISHED)) < self.config.search.trials:
            self._end_early()

    def _end_early(self) -> None:
        """Close the trials of a search that a cap ended; raise what a search ends with that was stopped or given up."""
        self._check_slots()
        if self.failures.verdict is not None:
            raise RunError(
                f"search '{self.space.name}' was given up, since {self.failures.verdict}; once that is put right, it "
                f"can go on: it ended {self._how_to_go_on()}"
            )
        if self.caps.reached is None or self.folder.steering.asked_to_stop(None):
            raise self._interrupted()
        prune_unfinished_trials(self.study, self.space, self.ledger, self.caps.reached.reason)

    def _tuner(self, scheduler: Stopping, trials: int) -> tune.Tuner:
        """Return what runs so many trials."""
        searcher = TruthfulOptuna(
            self.space,
            self.study,
            Samplers(self.space, self.cluster.slots > 1 or self.cluster.joined),
            self.ledger,
            self.slots.board_name,
            self._job,
            cancel=self.slots.over,
            why=scheduler.reason,
            ended=self._note_end,
            room=self.slots.room,
            over=self.caps.is_reached,
        )
        return tune.Tuner(
            tune.with_resources(Feeder, tune.PlacementGroupFactory([{"node:__internal_head__": 0.001}])),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=scheduler,
                num_samples=trials,
                max_concurrent_trials=trials,  # the searcher holds back what no slot could take
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(self.folder.path),
                # A feeder fails when Ray does, so a trial must not FAIL for it: the search ends, to be resumed.
                failure_config=tune.FailureConfig(fail_fast="raise"),
                # The slots write the checkpoints; a feeder has nothing to save.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                stop=CombinedStopper(Halting(self.folder.steering, self.failures, self.caps), SlotsGone(self.slots)),
                verbose=0,
            ),
        )

    def _note_end(self, ended: FrozenTrial) -> None:
        self.failures.count_trial(ended.user_attrs["record"]["reason"] if ended.state == TrialState.FAIL else None)
        if ended.state == TrialState.COMPLETE:
            self.models.drop()

    def _document(self) -> SearchDocument:
        """Compare winner and baselines on the test split and write the report."""
        self.slots.keep_one()
        trials = trial_records(self.study)
        configs = {str(trial.id): self._trial_config(str(trial.id)) for trial in trials}
        self.progress.print_stage("evaluating the best trial and the baselines on the test split")
        best, baselines = winner_and_baselines(
            trials,
            configs,
            {trial_id: self.folder.trial_folder(trial_id) / "best" for trial_id in configs},
            self._train_baseline,
            self._run_job,
            lambda config: prepare(config, self.folder.cache),
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
            importance=importance(self.study, self.space),
            ended_by=self.caps.end_record(trials),
            report=str(self.folder.report),
            config=dump_config(self.config),
            fingerprints={**self.fingerprints, **bayes_facts(self.data)},
        )
        write_report(document, self.folder.report)
        return document

    def _trial_config(self, trial_id: str) -> Config:
        trial = self.study.get_trials(deepcopy=False)[int(trial_id)]
        return self.space.trial_config(trial.user_attrs["record"]["params"])

    def _job(self, trial_id: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._train_job(trial_id, self.space.trial_config(params), self.folder.trial_folder(trial_id))

    def _train_job(self, job_id: str, config: Config, folder: Path) -> dict[str, Any]:
        return {
            "id": job_id,
            "kind": "train",
            "config": config.model_dump(mode="json"),
            "folder": str(folder),
            "data": [each.facts.data_fingerprint for each in self.data],
            "milestones": list(milestones(self.rungs)),
            "objective": validation_objective(config.search),
        }

    def _train_baseline(self, role: str, config: Config) -> Candidate | None:
        """Train a config to the full budget in a slot, as a run with `role=baseline`."""
        name = baseline_name(role, config)
        folder = self.folder.baseline_folder(name)
        facts = prepared_facts(config, self.folder.cache)
        tags = {"role": "baseline", **fingerprint_tags(facts.data_fingerprint, facts.gaze_fingerprint)}
        run = self.tracker.start_trial(
            self.parent, name, {"fusion.kind": config.fusion.kind}, dump_config(config), tags
        )
        try:
            message = self._run_job(self._train_job(name, config, folder), run)
        except RunError as error:
            self._check_slots()
            # What the search found stands without this baseline.
            self.progress.print_stage(f"baseline FAIL ({error})")
            self.tracker.finish(run, "FAIL", str(error))
            return None
        self.tracker.log_file(run, folder / "best" / "margins.npy", "validation")
        self.tracker.finish(run, "COMPLETE", None)
        return Candidate(config, folder / "best", message["val_accuracy"])

    def _run_job(self, spec: dict[str, Any], mlflow_run: str | None = None) -> dict[str, Any]:
        """Run one job in a slot and return its last message; evaluations go to `mlflow_run`."""

        def heard(message: dict[str, Any]) -> None:
            if mlflow_run is not None:
                log_evaluation(self.tracker, mlflow_run, message)

        return run_job(self.slots.board, spec, self._may_go_on, heard)

    def _may_go_on(self) -> None:
        self._check_slots()
        if self.folder.steering.asked_to_stop(None):
            raise self._interrupted()

    def _check_slots(self) -> None:
        if self.slots.verdict is not None:
            raise RunError(f"search '{self.space.name}' ended {self._how_to_go_on()}; it ended as {self.slots.verdict}")

    def _slots_changed(self, count: Counter[ResourcesConfig], why: str | None) -> None:
        self.folder.steering.announce(count.total())
        each = [f"{slots} slot(s) of {shape.workers} worker(s)" for shape, slots in count.items()] or ["0 slot(s)"]
        self.progress.print_stage(", ".join(each) + (f": {why}" if why else ""))
