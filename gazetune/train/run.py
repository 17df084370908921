"""`gazetune train`: one run from a config, tracked, evaluated once on the test split; and scoring a saved folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
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
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.model.checks.backbone import check_backbone
from gazetune.reward.model.pair_losses import check_scores
from gazetune.tracking.environment import ENVIRONMENT
from gazetune.tracking.location import check_tracking_uri, log_unwritten_secret, stored_tracking_uri
from gazetune.tracking.mlflow_runs import BEST_METRIC, MARGINS_FOLDER, Tracker
from gazetune.train.checks import check_config, check_storage
from gazetune.train.processes.launch import launch_workers
from gazetune.train.scoring.score_documents import (
    PairsDocument,
    ResultDocument,
    TrainDocument,
)
from gazetune.train.train_worker import RESULT, RunAgain, train_worker

logger = logging.getLogger(__name__)


def train_model(config: Config, name: str | None, storage: Path, again: RunAgain | None = None) -> TrainDocument:
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
    again
        To train as a run before, see `gazetune reproduce`.

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
    again = again or RunAgain()
    if again.data_fingerprint not in (None, data.facts.data_fingerprint):
        raise InputError(f"data.source: {config.data.source}: the pairs are not as they were when the run was trained")
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
        launch_workers(config.resources.workers, train_worker, tree, str(storage), name, run, uri, again)
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
    tracker.log_file(run, folder / ENVIRONMENT)
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
