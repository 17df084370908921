"""The MLflow runs of searches and trials: one parent run for a search, one child run for a trial.

Only the driver of a search logs. It may be killed and resumed at any point, and then repeats part of what it did.
Every write can therefore be repeated without changing anything:

    a run        is found again by the trial id among its tags
    a parameter  is written unless the run has it
    a metric     is written unless its key has a value at this step or a later one
    an end       is written unless the run has ended in the same state
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gazetune.config.address import Address
from gazetune.config.yaml_file import parse_yaml_value
from gazetune.errors import InputError
from gazetune.errors.redact import hide_secrets
from gazetune.files.paths import resolve_path
from gazetune.tracking.database import make_database
from gazetune.tracking.lineage import code_version
from gazetune.tracking.location import SERVERS, check_tracking_uri, hand_over_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RunState = Literal["COMPLETE", "PRUNED", "FAIL", "INTERRUPTED"]

# MLflow has no status for a pruned trial; the tag `gazetune.state` tells it from a complete one.
MLFLOW_STATUS: dict[RunState, str] = {
    "COMPLETE": "FINISHED",
    "PRUNED": "FINISHED",
    "FAIL": "FAILED",
    "INTERRUPTED": "KILLED",
}

PARENT_TAG = "mlflow.parentRunId"
TRIAL_TAG = "gazetune.trial"
STATE_TAG = "gazetune.state"
REASON_TAG = "gazetune.reason"
NOTE_TAG = "mlflow.note.content"
"""What MLflow shows as the description of a run, in Markdown."""
BEST_METRIC = "val/accuracy_best"
MARGINS_FOLDER = "margins"
"""Of a run's artifacts: its margins on each split, keyed by item."""
"""Validation accuracy of a run's saved model; `val/accuracy` ends with that of its last evaluation."""

_EXPERIMENT_TAGS = {
    # Without a kind MLflow 3 opens an experiment on an empty page about generative models.
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": BEST_METRIC,
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}


@dataclass(slots=True)
class _Written:
    """Per metric key the last step that a run has; None when the store has to be asked."""

    steps: dict[str, int] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Tracker:
    """Runs of one MLflow experiment. Safe to use from several threads; made by `Tracker.open`.

    A server that is lost while a search runs is retried for about half a minute, then
    `mlflow.exceptions.MlflowException` is raised; what was being written can be written again.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, uri: str) -> None:
        self.client = client
        """MLflow's own."""
        self.experiment = experiment_id
        """Its id."""
        self._lock = threading.RLock()
        self._written: dict[str, _Written] = {}
        self.uri = uri
        """The tracking URI as MLflow needs it; may hold a password."""
        self.shown_uri = str(Address(uri))
        """The tracking URI to print."""

    @classmethod
    def open(cls, uri: str | None, storage: Path, experiment: str) -> Tracker:
        """Open the tracking store, creating database and experiment where they are missing.

        Parameters
        ----------
        uri
            Tracking URI; None: the sqlite file `mlflow.db` in `storage`.
        storage
            Folder of the search. With a database for tracking, artifacts go to its `mlartifacts`; a server has its own.
        experiment
            Name of the MLflow experiment.

        Raises
        ------
        InputError
            For a URI that is not accepted, a server that does not answer (told in seconds), a database that cannot be
            written, and an experiment that was deleted.
        """
        uri = check_tracking_uri(uri, storage)
        if uri.startswith(SERVERS):
            uri = hand_over_credentials(uri)
        # MLflow's own patience is 7 retries of up to two minutes each: too long for a driver that trials wait for.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
        for noisy in ("alembic", "mlflow.store.db.utils"):  # they narrate the making of a new database
            logging.getLogger(noisy).setLevel(logging.WARNING)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            if uri.startswith("sqlite"):
                make_database(uri)
            client = MlflowClient(tracking_uri=uri)
            return cls(client, _find_experiment(client, uri, storage, experiment), uri)
        except MlflowException as error:
            line = next(iter(str(error).strip().splitlines()), "")
            raise InputError(f"tracking.uri '{Address(uri)}' cannot be used by MLflow: {line}") from error

    def start_search(self, name: str, config_yaml: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Create the parent run of a search and return its id; keep the id and `reopen_run` it to resume."""
        return self._create_run(name, config_yaml, params, {"gazetune.search": name, **tags})

    def start_ablation(self, name: str, config_yaml: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Create the parent run of an ablation, as `start_search`."""
        return self._create_run(name, config_yaml, params, {"gazetune.ablation": name, **tags})

    def start_trial(
        self,
        parent: str,
        trial_id: int | str,
        params: Mapping[str, object],
        config_yaml: str,
        tags: Mapping[str, str],
        label: str = "",
    ) -> str:
        """Return the id of a trial's run, creating it under `parent` unless it is there.

        A run that is there and is not COMPLETE or PRUNED is set RUNNING again. Parameters are dotted config paths;
        `config_yaml` becomes the artifact `config.yaml`; `tags` hold data and gaze fingerprints and, for runs that are
        no trials of the search, their `role`. A trial's run is called by its id and `label`, which says what it tries.
        """
        with self._lock:
            here = f"tags.`{TRIAL_TAG}` = '{trial_id}' and tags.`{PARENT_TAG}` = '{parent}'"
            found = self.client.search_runs([self.experiment], here, max_results=1)
            if not found:
                name = f"{tags['role']} {trial_id}" if "role" in tags else f"{trial_id} {label or 'trial'}"
                return self._create_run(
                    name, config_yaml, params, {**tags, TRIAL_TAG: str(trial_id), PARENT_TAG: parent}
                )
            run = found[0]
        if run.data.tags.get(STATE_TAG) not in ("COMPLETE", "PRUNED"):
            self._describe_run(run, params, config_yaml)
            self.reopen_run(run.info.run_id)
        return str(run.info.run_id)

    def reopen_run(self, run_id: str) -> None:
        """Set a run RUNNING again, to resume it.

        Raises
        ------
        InputError
            When the run is not in this tracking store.
        """
        from mlflow.exceptions import MlflowException

        try:
            self.client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise InputError(
                f"tracking.uri '{self.shown_uri}' has no run '{run_id}', which the search to resume logged to"
            ) from error
        self.set_tags(run_id, {STATE_TAG: "RUNNING", REASON_TAG: ""})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run; those that it has under these names are replaced."""
        from mlflow.entities import RunTag
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        shown = {key: hide_secrets(value)[:MAX_TAG_VAL_LENGTH] for key, value in tags.items()}
        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in shown.items()])

    def set_experiment_tag(self, key: str, value: str) -> None:
        """Set a tag of the experiment; one that it has under this name is replaced."""
        self.client.set_experiment_tag(self.experiment, key, value)

    def list_params(self, parent_run: str) -> list[str]:
        """Return the names of the parameters of the runs below a parent, as the first of them has them."""
        here = f"tags.`{PARENT_TAG}` = '{parent_run}'"
        runs = self.client.search_runs([self.experiment], here, order_by=["attributes.start_time"], max_results=1)
        return sorted(runs[0].data.params) if runs else []

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        """Write metrics of one step. Keys whose last written step is `step` or later are left as they are.

        Steps of a key must therefore come in rising order; NaN and infinity are written as they are.
        """
        self._write_points(run_id, [(key, value, step) for key, value in metrics.items()])

    def log_test(self, run_id: str, accuracy: float, pairs: int, ci95: tuple[float, float], step: int) -> None:
        """Write what a run's model scores on test pairs, with the ends of the interval as metrics of their own."""
        values = {"test/accuracy": accuracy, "test/accuracy_low": ci95[0], "test/accuracy_high": ci95[1]}
        self.log_metrics(run_id, {**values, "test/pairs": pairs}, step)

    def log_series(self, run_id: str, key: str, values: Sequence[float], first_step: int) -> None:
        """Write one metric at consecutive steps; as with `log_metrics`, steps that are written already are left."""
        self._write_points(run_id, [(key, value, step) for step, value in enumerate(values, start=first_step)])

    def _write_points(self, run_id: str, points: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        with self._lock:
            written = self._written.setdefault(run_id, _Written())
        with written.lock:
            if written.steps is None:
                written.steps = self._last_steps(run_id)
            steps = written.steps
            now = time.time_ns() // 1_000_000
            new = [Metric(key, float(value), now, step) for key, value, step in points if step > steps.get(key, -1)]
            try:
                for start in range(0, len(new), MAX_METRICS_PER_BATCH):
                    self.client.log_batch(run_id, metrics=new[start : start + MAX_METRICS_PER_BATCH])
            except Exception:
                # It may have arrived although no answer came: ask the store before the next write.
                written.steps = None
                raise
            steps.update({metric.key: metric.step for metric in new})

    def log_file(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Store a file as an artifact of a run, in `folder` of its artifacts; replaces one of the same name."""
        self.client.log_artifact(run_id, str(path), folder)

    def finish_run(self, run_id: str, state: RunState, reason: str | None = None) -> None:
        """End a run. Ending it in the same state again changes nothing.

        COMPLETE and PRUNED become MLflow's FINISHED, FAIL becomes FAILED, INTERRUPTED becomes KILLED; the tags
        `gazetune.state` and `gazetune.reason` say it exactly.
        """
        if _read_end_state(self.client.get_run(run_id)) == state:
            return
        self.set_tags(run_id, {STATE_TAG: state, REASON_TAG: reason or ""})
        self.client.set_terminated(run_id, MLFLOW_STATUS[state])
        with self._lock:
            self._written.pop(run_id, None)

    def list_ended_runs(self, parent: str) -> dict[str, RunState]:
        """Return by id in which state each run below a parent ended. Runs that `finish_run` would change are left out.

        One query for a thousand runs.
        """
        states = {
            run.info.run_id: _read_end_state(run) for run in self._search_runs(f"tags.`{PARENT_TAG}` = '{parent}'")
        }
        return {run_id: state for run_id, state in states.items() if state is not None}

    def end_all_running(self, parent: str) -> int:
        """End the parent and all its runs that still stand as RUNNING, as INTERRUPTED; return how many there were."""
        running = [
            run.info.run_id
            for run in self._search_runs(f"tags.`{PARENT_TAG}` = '{parent}' and attributes.status = 'RUNNING'")
        ]
        if self.client.get_run(parent).info.status == "RUNNING":
            running.append(parent)
        for run_id in running:
            self.finish_run(run_id, "INTERRUPTED", "the search ended before this run did")
        return len(running)

    def _create_run(self, name: str, config_yaml: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        known = {"mlflow.source.name": "gazetune", "gazetune.code_version": code_version(), STATE_TAG: "RUNNING"}
        cut = {key: str(value)[:MAX_TAG_VAL_LENGTH] for key, value in {**known, **tags}.items()}
        run = self.client.create_run(self.experiment, tags=cut, run_name=name)
        with self._lock:
            self._written[run.info.run_id] = _Written({})
        self._describe_run(run, params, config_yaml)
        self._log_pairs(str(run.info.run_id), config_yaml, tags)
        return str(run.info.run_id)

    def _log_pairs(self, run_id: str, config_yaml: str, tags: Mapping[str, str]) -> None:
        """Log the preference pairs as the data set of a run, as its config and its tags name them."""
        fingerprint = tags.get("gazetune.data_fingerprint")
        config = parse_yaml_value(config_yaml)
        data = config.get("data") if isinstance(config, dict) else None
        if not fingerprint or not isinstance(data, dict):
            return
        from mlflow.entities import Dataset, DatasetInput

        # MLflow's longest name and digest. A local path is cut at its front, where it says least.
        source = hide_secrets(str(data["source"]))[-400:]
        pairs = json.dumps({"pairs": tags.get("gazetune.pairs", ""), "dropped": tags.get("gazetune.dropped", "")})
        named = Dataset(source, fingerprint[:36], "preference pairs", json.dumps({"source": source}), profile=pairs)
        self.client.log_inputs(run_id, [DatasetInput(named, [])])

    def _describe_run(self, run: Run, params: Mapping[str, object], config_yaml: str) -> None:
        """Log parameters and config of a run, but not again the parameters that it has: MLflow never changes one."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

        missing = [
            Param(key, str(value)[:MAX_PARAM_VAL_LENGTH]) for key, value in params.items() if key not in run.data.params
        ]
        for start in range(0, len(missing), MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run.info.run_id, params=missing[start : start + MAX_PARAMS_TAGS_PER_BATCH])
        self.client.log_text(run.info.run_id, config_yaml, "config.yaml")

    def _last_steps(self, run_id: str) -> dict[str, int]:
        keys = self.client.get_run(run_id).data.metrics
        return {key: max(metric.step for metric in self.client.get_metric_history(run_id, key)) for key in keys}

    def _search_runs(self, where: str) -> Iterator[Run]:
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment], where, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _read_end_state(run: Run) -> RunState | None:
    """Return the state that a run ended in; None before both its status and its tags say so."""
    said = (run.data.tags.get(STATE_TAG), run.info.status)
    return next((state for state, status in MLFLOW_STATUS.items() if (state, status) == said), None)


def _find_experiment(client: MlflowClient, uri: str, storage: Path, name: str) -> str:
    from mlflow.exceptions import MlflowException

    # Without a location, MLflow writes artifacts of a database store into the working directory.
    artifacts = None if uri.startswith(SERVERS) else (resolve_path(storage, "--storage") / "mlartifacts").as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts, tags=_EXPERIMENT_TAGS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another search was quicker
    if found is None or found.lifecycle_stage != "active":
        raise InputError(f"MLflow experiment '{name}' was deleted at '{Address(uri)}'; restore it or name another one")
    return str(found.experiment_id)
