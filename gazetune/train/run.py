"""`gazetune train`: one run from a config, tracked, evaluated once on the test split; and scoring a saved folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import torch

from gazetune.config import Config, ResourcesConfig, TrackingConfig
from gazetune.config.address import with_secret
from gazetune.config.config_file import dump_config, load_config, with_absolute_paths, write_config
from gazetune.devices import count_device_files, without_gpus
from gazetune.errors import InputError, Interrupted
from gazetune.evaluate.margins import keep_validation_margins, margins_file
from gazetune.files.paths import resolve_path
from gazetune.report.activity import ActivityLines
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import is_prepared, prepare_data
from gazetune.reward.model.backbone import check_backbone_weights
from gazetune.reward.model.checks.backbone import check_backbone
from gazetune.reward.model.pair_losses import check_scores
from gazetune.reward.saved.saved_model import has_saved_template, read_facts, with_saved_template
from gazetune.reward.saved.scored_pairs import ScoredPairs, encode_named_pairs, without_division
from gazetune.tracking.location import check_tracking_uri, log_unwritten_secret, stored_tracking_uri
from gazetune.tracking.mlflow_runs import BEST_METRIC, MARGINS_FOLDER, Tracker
from gazetune.train.checks import check_config, check_storage
from gazetune.train.evaluation import score_saved_model
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.launch import launch_workers
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group
from gazetune.train.score_documents import (
    EvaluateDocument,
    PairsDocument,
    ResultDocument,
    TrainDocument,
    describe_test_scores,
)
from gazetune.train.train_worker import RESULT, train_worker

logger = logging.getLogger(__name__)


def train_model(config: Config, name: str | None, storage: Path) -> TrainDocument:
    """Train `config` in the folder `storage/name`, and score the best model on the test split.

    Where that folder holds an unfinished run of the same config, the run goes on from its last checkpoint. `resources`,
    `tracking`, and stage and offload of `deepspeed` may differ then.

    Parameters
    ----------
    config
        What to train.
    name
        Name of the run; None makes one up from the time.
    storage
        The folder of all results.

    Raises
    ------
    InputError
        When the config cannot train, or the name is taken by a finished run or by another config.
    RunError
        When the loss became NaN or a worker died.
    """
    check_config(config)
    _check_gpus_here(config.resources)
    storage = resolve_path(storage, "--storage")
    config = _with_stored_uri(check_backbone(with_absolute_paths(config)))
    name = name if name is not None else f"train-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = storage / name
    _require_free_folder(folder, config)
    check_tracking_uri(config.tracking.uri, storage)
    # With one worker this process is the worker itself.
    driving = without_gpus() if config.resources.workers > 1 else contextlib.nullcontext()
    with driving, ActivityLines() as lines:
        lines.begin("preparing pairs and gaze")
        data = prepare_data(config, storage / "cache")
        for line in data.facts.describe_pairs():
            lines.print_line(line)
    check_scores(config.loss, config.data.source, data.train.scores)
    tracker = Tracker.open(config.tracking.uri, storage, "gazetune")
    write_config(config, folder / "config.yaml")
    fingerprints = {
        "gazetune.data_fingerprint": data.facts.data_fingerprint,
        "gazetune.gaze_fingerprint": data.facts.gaze_fingerprint,
        **data.facts.count_tags(),
    }
    run = _open_mlflow_run(tracker, folder, name, config, fingerprints)
    log_unwritten_secret(config.tracking.uri, "the same command, to go on,")
    uri = None if config.tracking.uri is None else with_secret(config.tracking.uri)
    tree = config.model_dump(mode="json")
    try:
        launch_workers(config.resources.workers, train_worker, tree, str(storage), name, run, uri)
    except BaseException as error:
        failed = isinstance(error, Exception)
        tracker.finish_run(run, "FAIL" if failed else "INTERRUPTED", str(error) or type(error).__name__)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(
                f"training '{name}' was stopped; it goes on from its last checkpoint with the same command and "
                f"--name {shlex.quote(name)} --storage {shlex.quote(str(storage))}"
            ) from None
        raise
    result: ResultDocument = json.loads((folder / RESULT).read_text())
    keep_validation_margins(folder, data)
    for split in ("validation", "test"):
        tracker.log_file(run, margins_file(folder, split), MARGINS_FOLDER)
    tracker.log_metrics(run, {BEST_METRIC: result["val_accuracy"]}, result["examples"])
    low, high = result["test"]["ci95"]
    tracker.log_test(run, result["test"]["accuracy"], result["test"]["n"], (low, high), result["examples"])
    tracker.finish_run(run, "COMPLETE", None)
    return {
        "name": name,
        "folder": str(folder),
        "tracking_uri": tracker.shown_uri,
        "mlflow_run": run,
        "data": _describe_facts(data),
        **result,
    }


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
    worker = join_worker_group()
    try:
        backbone = load_worker_backbone(config, worker)
        rewards, _ = score_saved_model(config, folder, backbone, scored.split, worker)
    finally:
        leave_worker_group()
    counts: PairsDocument = {"pairs": {"test": len(scored.split)}, "dropped": scored.dropped, "notes": scored.notes}
    return {"folder": str(folder), "data": counts, **describe_test_scores(rewards, scored.words)}


def _own_test_pairs(config: Config, folder: Path, cache: Path) -> ScoredPairs | None:
    """Return the test split that a saved model was prepared with; None where its data have changed since."""
    data = prepare_data(config, cache) if is_prepared(config, cache) else None
    if data is None or not has_saved_template(data, folder):  # what lies in the cache may have another date
        data = prepare_data(with_saved_template(config, folder), cache)
    if data.facts.data_fingerprint != read_facts(folder).data_fingerprint:
        logger.warning("data.source: %s: is not as it was when the model was trained", config.data.source)
        return None
    return ScoredPairs(data.test, data.response_words("test"), "the test split", data.facts.dropped, data.facts.notes)


def _describe_facts(data: PreparedData) -> PairsDocument:
    return {"pairs": data.facts.pairs, "dropped": data.facts.dropped, "notes": data.facts.notes}


def _check_gpus_here(resources: ResourcesConfig) -> None:
    """Refuse more workers with a GPU than this machine has GPUs; say that GPUs stay unused where workers have none."""
    unused = count_device_files()
    if not resources.gpus_per_worker:
        if unused:
            logger.warning(
                f"resources.gpus_per_worker is 0: this run uses CPUs, and the {unused} GPU(s) of this machine stay "
                "unused; with a GPU for each worker: --set resources.gpus_per_worker=1"
            )
        return
    there = torch.cuda.device_count()
    here = int(os.environ.get("LOCAL_WORLD_SIZE", resources.workers))  # torchrun may have started some elsewhere
    if here > there:
        raise InputError(
            f"resources.workers: {here} worker(s) of this machine need a GPU each (resources.gpus_per_worker), and "
            f"torch sees {there} here (see gazetune doctor); accepted: "
            + (f"1 to {there}" if there else "resources.gpus_per_worker 0")
        )


def _require_free_folder(folder: Path, config: Config) -> None:
    """Refuse a folder that holds a finished run or one with another config."""
    if (folder / RESULT).exists():
        raise InputError(f"--name: '{folder.name}' in {folder.parent} is a finished run; choose another --name")
    if (folder / "config.yaml").exists():
        before = load_config(folder / "config.yaml", [])
        if _fixed_part(before) != _fixed_part(config):
            changed = _describe_first_change(_fixed_part(before), _fixed_part(config))
            raise InputError(f"--name: '{folder.name}' in {folder.parent} has another config ({changed})")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--name: {folder} is there already and is no training run; choose another --name")
    check_storage(folder.parent)


def _with_stored_uri(config: Config) -> Config:
    """Return the config with its tracking URI as it is stored: without its password, a file by its absolute path."""
    if config.tracking.uri is None:
        return config
    return config.model_copy(update={"tracking": TrackingConfig(uri=stored_tracking_uri(config.tracking.uri))})


def _fixed_part(config: Config) -> Config:
    """Return the config without what may change when a run goes on: how its work is divided, saved and logged."""
    sharding = config.deepspeed.model_copy(update={"stage": 2, "offload": "none", "nvme_path": None})
    train = config.train.model_copy(update={"checkpoint_every": 1})
    return config.model_copy(
        update={"resources": ResourcesConfig(), "tracking": TrackingConfig(), "deepspeed": sharding, "train": train}
    )


def _describe_first_change(before: Config, after: Config) -> str:
    old, new = dump_config(before).splitlines(), dump_config(after).splitlines()
    return next(f"{a.strip()} -> {b.strip()}" for a, b in zip(old, new, strict=False) if a != b)


def _open_mlflow_run(tracker: Tracker, folder: Path, name: str, config: Config, tags: dict[str, str]) -> str:
    """Return the run of this folder, the same one when it is resumed, unless it is tracked elsewhere now."""
    id_file = folder / "mlflow_run"
    if id_file.exists():
        run = id_file.read_text().strip()
        with contextlib.suppress(InputError):  # this tracking store does not know it
            tracker.reopen_run(run)
            return run
    run = tracker.start_search(name, dump_config(config), _flatten_config(config), {**tags, "role": "train"})
    id_file.write_text(run)
    return run


def _flatten_config(config: Config) -> dict[str, object]:
    tree = config.model_dump(mode="json")
    sections = {
        f"{section}.{key}": value
        for section, part in tree.items()
        if isinstance(part, dict)
        for key, value in part.items()
    }
    return {"backbone": config.backbone, **sections}
