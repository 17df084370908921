"""The second phase of a search: winner and baselines are compared on the test split, and the report is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gazetune.config import Config
from gazetune.config.config_file import dump_config
from gazetune.config.keys import config_keys, get_key
from gazetune.errors import RunError
from gazetune.files.replaced_folder import recover_folder
from gazetune.report.document import SearchDocument, TrialRecord
from gazetune.report.markdown import write_report
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data, prepared_facts
from gazetune.reward.saved.saved_files import WEIGHTS
from gazetune.search.active_search import ActiveSearch
from gazetune.search.baselines import BaselineCandidate, TestComparison, baseline_name, compare_winner
from gazetune.search.confirmation.confirm import confirm_winner
from gazetune.search.folder import SearchFolder
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.importance import measure_importance
from gazetune.search.study.pareto_front import find_pareto_front
from gazetune.search.study.value_means import mean_by_value
from gazetune.tracking.mlflow_runs import BEST_METRIC
from gazetune.trials.jobs import run_evaluation, run_training
from gazetune.trials.ledger import fingerprint_tags, log_report, log_validation_margins
from gazetune.trials.messages import EvaluateJob, EvaluationResult, TrainingReport


def compare_on_test(active: ActiveSearch) -> SearchDocument:
    """Compare winner and baselines on the test split and write the report.

    Raises
    ------
    RunError, Interrupted
        As `ActiveSearch.check_interrupted`.
    """
    prepared, study = active.prepared, active.study
    trials = trial_records(study, prepared.space)
    configs = {trial.id: prepared.space.trial_config(trial.params) for trial in trials}
    folders = _find_saved_models(prepared.folder, trials)
    compared, confirmation = None, None
    if (settings := prepared.config.search.confirm) is not None:
        prepared.folder.requests.announce_phase("confirming")
        compared, confirmation = confirm_winner(active, settings, trials, configs, folders)
        active.caps.save_time()
    if compared is None:
        compared = _compare_searched(active, trials, configs, folders)
        confirmation = confirmation and replace(confirmation, searched=compared.best)
    document = SearchDocument(
        name=prepared.space.name,
        storage=str(prepared.folder.path),
        tracking_uri=prepared.tracker.shown_uri,
        mlflow_parent_run=active.parent_run,
        trials=trials,
        best=compared.best,
        baselines=compared.baselines,
        controls=compared.controls,
        diagnostics=compared.diagnostics,
        pareto=find_pareto_front(study, prepared.space),
        importance=measure_importance(study, prepared.space),
        means=mean_by_value(study, prepared.space),
        ended_by=active.caps.end_record(trials),
        confirmation=confirmation,
        data=prepared.list_pair_counts(),
        report=str(prepared.folder.report),
        config=dump_config(prepared.config),
        fingerprints={**prepared.fingerprints, **prepared.pair_counts, **_bayes_accuracies(prepared.data)},
    )
    write_report(document, prepared.folder.report)
    return document


def _compare_searched(
    active: ActiveSearch, trials: Sequence[TrialRecord], configs: Mapping[str, Config], folders: Mapping[str, Path]
) -> TestComparison:
    """Compare the best trial on validation, which nothing has confirmed, and its baselines."""
    active.prepared.folder.requests.announce_phase("comparing")
    active.slots.keep_one_slot()
    active.prepared.progress.print_stage("evaluating the best trial and the baselines on the test split")

    def evaluate_in_slot(job: EvaluateJob) -> EvaluationResult:
        return run_evaluation(active.slots.board, job, active.check_interrupted)

    return compare_winner(
        trials,
        configs,
        folders,
        lambda role, config: _train_baseline(active, role, config),
        evaluate_in_slot,
        lambda config: prepare_data(config, active.prepared.folder.cache),
    )


def _find_saved_models(folder: SearchFolder, trials: Sequence[TrialRecord]) -> dict[str, Path]:
    """Return the folder of the saved model of each trial that has one, by trial id."""
    folders = {trial.id: folder.trial_folder(trial.id) / "best" for trial in trials}
    return {trial_id: best for trial_id, best in folders.items() if recover_folder(best) and (best / WEIGHTS).is_file()}


def _train_baseline(active: ActiveSearch, role: str, config: Config) -> BaselineCandidate | None:
    """Train a config to the full budget in a slot, as a run with `role=baseline`; return None when that failed."""
    prepared = active.prepared
    name = baseline_name(role, config)
    folder = prepared.folder.baseline_folder(name)
    facts = prepared_facts(config, prepared.folder.cache)
    fingerprints = fingerprint_tags(facts.data_fingerprint, facts.gaze_fingerprint)
    tags = {"role": "baseline", **fingerprints, **facts.count_tags()}
    tree = config.model_dump(mode="json")
    searched = [axis.key for axis in prepared.space.axes if axis.key in config_keys()]  # others are groups of keys
    params = {key: get_key(tree, key) for key in ("fusion.kind", *searched)}
    run = prepared.tracker.start_trial(active.parent_run, name, params, dump_config(config), tags)

    def log_baseline_report(report: TrainingReport) -> None:
        log_report(prepared.tracker, run, report)

    try:
        job = prepared.train_job(name, config, folder)
        last = run_training(active.slots.board, job, active.check_interrupted, log_baseline_report)
    except RunError as error:
        active.check_slots()
        # What the search found stands without this baseline.
        prepared.progress.print_line(f"baseline FAIL ({error})")
        prepared.tracker.finish_run(run, "FAIL", str(error))
        return None
    log_validation_margins(prepared.tracker, run, folder, config, prepared.folder.cache)
    prepared.tracker.log_metrics(run, {BEST_METRIC: last.val_accuracy}, last.examples)
    prepared.tracker.finish_run(run, "COMPLETE", None)
    return BaselineCandidate(config, folder / "best", last.val_accuracy)


def _bayes_accuracies(data: Sequence[PreparedData]) -> dict[str, str]:
    """Return the best accuracies that planted data allows, for the report; nothing for other data or several sets."""
    best = data[0].facts.bayes or {}
    if any(each.facts.bayes != data[0].facts.bayes for each in data):
        return {}
    return {f"Bayes accuracy, {seen}": f"{accuracy:.3f}" for seen, accuracy in best.items()}
