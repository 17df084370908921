"""One search, from a space file to the table of what won."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune

from gazetune.cluster.connect import ClusterSize, connect, disconnect
from gazetune.config import Config
from gazetune.config_file import dump_config, set_key
from gazetune.errors import InputError, Interrupted, RunError
from gazetune.report.document import SearchDocument
from gazetune.report.markdown import write_report
from gazetune.reward.dataset import PreparedData, prepare
from gazetune.search.baselines import Candidate, winner_and_baselines
from gazetune.search.feeder import Feeder
from gazetune.search.ledger import Ledger, log_evaluation, trial_records
from gazetune.search.progress import SearchProgress
from gazetune.search.schedulers import Rungs, create_scheduler, milestones, plan_rungs
from gazetune.search.searcher import TruthfulOptuna, open_study
from gazetune.search.slots import Slots
from gazetune.search.space import SearchSpace, read_space
from gazetune.tracking.lineage import code_version
from gazetune.tracking.mlflow_runs import Tracker
from gazetune.train.steps import StepPlan

SLOT_END_SECONDS = 60.0
"""How long a slot may take to give its CPUs back."""


def search(
    space_file: Path,
    name: str | None,
    trials: int | None,
    overrides: Sequence[str],
    storage: Path,
    tracking_uri: str | None,
    address: str | None,
) -> SearchDocument:
    """Run a search to its end and return what it found.

    Raises
    ------
    InputError
        For whatever is wrong with the space, the data, the storage, the tracking server or the size of the cluster;
        no worker was started then.
    RunError
        When every trial FAILed.
    Interrupted
        When the user stopped it.
    """
    space = read_space(space_file, name, trials, overrides)
    if tracking_uri is not None:
        set_key(space.base, "tracking.uri", tracking_uri)
    storage = storage.resolve()
    folder = storage / space.name
    _check_free(folder)
    tracker = Tracker.open(space.config.tracking.uri, storage, "gazetune")
    with SearchProgress(space.config.search.trials) as progress:
        data = _prepare_data(space, storage / "cache", progress)
        rungs = plan_rungs(space.config.search, _budget(space.config, data))
        cluster = connect(address, space.config.resources, storage)
        try:
            folder.mkdir(parents=True)
            return _Search(space, folder, tracker, data, rungs, cluster, progress).run()
        finally:
            disconnect()


class _Search:
    """A search whose input is known to be good and whose cluster is connected."""

    def __init__(
        self,
        space: SearchSpace,
        folder: Path,
        tracker: Tracker,
        data: PreparedData,
        rungs: Rungs,
        cluster: ClusterSize,
        progress: SearchProgress,
    ) -> None:
        self.space, self.folder, self.tracker, self.progress = space, folder, tracker, progress
        self.data, self.rungs, self.config = data, rungs, space.config
        self.cache = folder.parent / "cache"
        self.slot_count = min(cluster.slots, self.config.search.trials)
        self.fingerprints = {
            "data": data.facts.data_fingerprint,
            "gaze": data.facts.gaze_fingerprint,
            "code": code_version(),
        }
        self.tags = {f"gazetune.{name}_fingerprint": self.fingerprints[name] for name in ("data", "gaze")}

    def run(self) -> SearchDocument:
        """Start the slots, search, compare with the baselines, and write the report."""
        (self.folder / "space.yaml").write_text(dump_config(self.config))
        shutil.copyfile(self.space.origin, self.folder / "space.source.yaml")
        self.parent = self.tracker.start_search(self.space.name, dump_config(self.config), {}, self.tags)
        self.ledger = Ledger(self.space, self.folder, self.tracker, self.parent, self.tags, self.progress)
        self.study = open_study(self.space.name, self.config.search, self.folder, self.slot_count > 1)
        restarts = 2 * self.config.search.trials
        self.progress.stage(f"starting {self.slot_count} slot(s) of {self.config.resources.workers} worker(s)")
        self.slots = Slots(self.slot_count, self.config.resources, self.folder / "slots", self.cache, restarts)
        try:
            self._tune()
            document = self._document()
        except BaseException:
            self.tracker.end_all_running(self.parent)
            raise
        finally:
            self.slots.close(SLOT_END_SECONDS)
        self.tracker.log_file(self.parent, Path(document.report))
        self.tracker.finish(self.parent, "COMPLETE" if document.best else "FAIL", None)
        if document.best is None and all(trial.state == "FAIL" for trial in document.trials):
            raise RunError(f"every trial failed, the first one: {document.trials[0].reason}; see {document.report}")
        return document

    def _tune(self) -> None:
        """Let Tune propose and schedule trials until all are finished."""
        for name, value in _TUNE_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        searcher = TruthfulOptuna(
            self.space, self.study, self.ledger, self.slots.board_name, self._job,
            cancel=lambda trial_id: self.slots.board.cancel.remote(trial_id),
        )  # fmt: skip
        tuner = tune.Tuner(
            tune.with_resources(Feeder, tune.PlacementGroupFactory([{"node:__internal_head__": 0.001}])),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=create_scheduler(self.config.search, self.rungs),
                num_samples=self.config.search.trials,
                max_concurrent_trials=self.slot_count,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(self.folder),
                # The slots write the checkpoints; a feeder has nothing to save.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        tuner.fit()
        finished = self.study.get_trials(deepcopy=False, states=_FINISHED)
        if len(finished) < self.config.search.trials:
            raise Interrupted(
                f"search '{self.space.name}' was stopped with {len(finished)} of {self.config.search.trials} trials "
                f"finished; they are in {self.folder} and in MLflow"
            )

    def _document(self) -> SearchDocument:
        """Compare winner and baselines on the test split and write the report."""
        trials = trial_records(self.study)
        configs = {str(trial.id): self._trial_config(str(trial.id)) for trial in trials}
        self.progress.stage("evaluating the best trial and the baselines on the test split")
        best, baselines = winner_and_baselines(
            trials,
            configs,
            {trial_id: self.ledger.trial_folder(trial_id) / "best" for trial_id in configs},
            self._train_baseline,
            self._run_job,
            lambda config: prepare(config, self.cache),
        )
        document = SearchDocument(
            name=self.space.name,
            storage=str(self.folder),
            tracking_uri=self.tracker.shown_uri,
            mlflow_parent_run=self.parent,
            trials=trials,
            best=best,
            baselines=baselines,
            report=str(self.folder / "report.md"),
            config=dump_config(self.config),
            fingerprints={**self.fingerprints, **_bayes(self.data)},
        )
        write_report(document, Path(document.report))
        (self.folder / "search.json").write_text(document.dumps())
        return document

    def _trial_config(self, trial_id: str) -> Config:
        trial = self.study.get_trials(deepcopy=False)[int(trial_id)]
        return self.space.trial_config(trial.user_attrs["record"]["params"])

    def _job(self, trial_id: str, params: dict[str, Any]) -> dict[str, Any]:
        return self._train_job(trial_id, self.space.trial_config(params), self.ledger.trial_folder(trial_id))

    def _train_job(self, job_id: str, config: Config, folder: Path) -> dict[str, Any]:
        return {
            "id": job_id,
            "kind": "train",
            "config": config.model_dump(mode="json"),
            "folder": str(folder),
            "milestones": list(milestones(self.rungs)),
            "objective": config.search.objective,
        }

    def _train_baseline(self, role: str, config: Config) -> Candidate:
        """Train a config to the full budget in a slot, as a run with `role=baseline`."""
        folder = self.folder / "baselines" / role
        tags = {**self.tags, "role": "baseline"}
        run = self.tracker.start_trial(
            self.parent, role, {"fusion.kind": config.fusion.kind}, dump_config(config), tags
        )
        message = self._run_job(self._train_job(role, config, folder), run)
        self.tracker.log_file(run, folder / "best" / "margins.npy", "validation")
        self.tracker.finish(run, "COMPLETE", None)
        shutil.rmtree(folder / "last", ignore_errors=True)
        return Candidate(config, folder / "best", message["val_accuracy"])

    def _run_job(self, spec: dict[str, Any], mlflow_run: str | None = None) -> dict[str, Any]:
        """Run one job in a slot and return its last message; evaluations go to `mlflow_run`."""
        board = self.slots.board
        ray.get(board.submit.remote(spec))
        while True:
            message = ray.get(board.next.remote(spec["id"]))
            if "failed" in message:
                raise RunError(f"{spec['id']}: {message['failed']}")
            if mlflow_run is not None:
                log_evaluation(self.tracker, mlflow_run, message)
            if message.get("done", True):
                return message


_TUNE_ENVIRONMENT = {
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # a stopped search does not wait for reports that nobody reads
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has it all
    "RAY_AIR_NEW_OUTPUT": "0",  # the new reporter prints even when told not to
}

_FINISHED = tuple(state for state in optuna.trial.TrialState if state.is_finished())


def _check_free(folder: Path) -> None:
    """Refuse a name that is taken, and a storage folder that cannot be written."""
    if folder.exists():
        raise InputError(f"--name: a search '{folder.name}' is already in {folder.parent}; choose another --name")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        probe = folder.parent / f".write-probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"--storage: {folder.parent} cannot be written ({error.strerror})") from error


def _prepare_data(space: SearchSpace, cache: Path, progress: SearchProgress) -> PreparedData:
    """Prepare every data set that trials can ask for; returns the base config's (or the first) one."""
    progress.stage("preparing data and gaze")
    prepared = [prepare(config, cache) for config in space.data_configs()]
    for data in prepared:
        pairs = ", ".join(f"{split} {count}" for split, count in data.facts.pairs.items())
        progress.stage(f"pairs: {pairs}" + (f"; dropped: {data.facts.dropped}" if data.facts.dropped else ""))
    return prepared[0]


def _bayes(data: PreparedData) -> dict[str, str]:
    """Return the best accuracies that planted data allows, for the report; nothing for other data."""
    return {f"Bayes accuracy, {seen}": f"{accuracy:.3f}" for seen, accuracy in (data.facts.bayes or {}).items()}


def _budget(config: Config, data: PreparedData) -> int:
    plan = StepPlan.of(config.train, len(data.train))
    return plan.examples(plan.total_steps)
