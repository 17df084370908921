"""A warm slot: the loop that the workers of one long-lived Ray Train group run, training one job after another.

The only file of this room that imports Ray. Imports, process group and frozen backbones outlive the trials.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import ray
import torch
import torch.distributed as dist
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.config.yaml_file import build_config
from gazetune.errors import GazetuneError, InputError
from gazetune.reward.data.prepared_data import prepare
from gazetune.reward.saved.saving import model_dtype
from gazetune.train.checks import check_config
from gazetune.train.evaluation import score_saved_model
from gazetune.train.limits.out_of_memory import OutOfMemory, is_out_of_memory, out_of_memory_message
from gazetune.train.loop import Training
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker, join_worker_group
from gazetune.train.progress import EvaluationReport

PATIENCE = 5.0
"""Seconds that rank 0 waits for a job before it lets the other ranks breathe: their broadcast must not time out."""


def slot_loop(settings: dict[str, Any]) -> None:
    """Train jobs from the board until it says close.

    `settings` holds `board` and `namespace` (the actor's), `slot` (its number), `resources` (what it has, as a config
    says it), `cache` (of prepared data), `threads`.
    """
    torch.set_num_threads(settings["threads"])
    board = ray.get_actor(settings["board"], namespace=settings["namespace"])
    worker = join_worker_group()
    backbones = _Backbones(worker)
    while True:
        job = _next_job(board, settings, worker)
        if job is None:
            continue
        if job["kind"] == "close":
            return
        try:
            _JOBS[job["kind"]](job, board, worker, backbones, Path(settings["cache"]))
        except OutOfMemory as error:
            # Perhaps of this rank alone, in the middle of a step: the group has to end.
            ray.get(board.fail.remote(job["id"], job["slot"], str(error)))
            raise
        except GazetuneError as error:
            # Every rank raised it at the same place: the group is whole and takes the next job.
            _tell(board.fail, worker, job["id"], job["slot"], str(error))
        except Exception as error:
            # Only this rank may have failed: say why, and let the slot end. A rank that only lost another one says
            # nothing: its job is handed out again.
            if not _lost_a_peer(error):
                ray.get(board.fail.remote(job["id"], job["slot"], _reason(error, job)))
            raise
        gc.collect()


def _next_job(board: Any, settings: dict[str, Any], worker: Worker) -> dict[str, Any] | None:
    """Rank 0 asks the board; all ranks get the answer."""
    jobs = [None]
    if worker.is_main:
        jobs = [ray.get(board.take.remote(settings["slot"], settings["resources"], PATIENCE))]
    dist.broadcast_object_list(jobs, src=0)
    return jobs[0]


def _train(job: dict[str, Any], board: Any, worker: Worker, backbones: _Backbones, cache: Path) -> None:
    config = build_config(job["config"], f"trial {job['id']}")
    check_config(config)
    data = prepare(config, cache)
    if data.facts.data_fingerprint not in job["data"]:
        raise InputError(f"{config.data.source}: the preference pairs have changed since the search began")
    training = Training(config, data, Path(job["folder"]), worker, backbones.take(config), job["milestones"])

    def report(made: EvaluationReport) -> bool:
        message = _message(made, job["objective"], config.resources.gpus)
        return ray.get(board.report.remote(job["id"], job["slot"], message))

    try:
        training.run(report)
    finally:
        backbones.give(config, training.close())


def _evaluate(job: dict[str, Any], board: Any, worker: Worker, backbones: _Backbones, cache: Path) -> None:
    """Score a split with the saved model of a run; the result holds `rewards`, one [chosen, rejected] a pair."""
    config = build_config(job["config"], f"evaluation {job['id']}")
    data = prepare(config, cache)
    split = getattr(data, job["split"])
    rewards, model = score_saved_model(config, Path(job["folder"]), backbones.take(config), split, worker)
    backbones.give(config, model.release_backbone())
    _tell(board.finish, worker, job["id"], job["slot"], {"rewards": rewards.tolist()})


_JOBS = {"train": _train, "evaluate": _evaluate}


class _Backbones:
    """The frozen backbone of the last job, kept for the next one that wants the same."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._kept: tuple[Any, PreTrainedModel] | None = None

    def take(self, config: Config) -> PreTrainedModel:
        """Return a pristine backbone in the run's precision."""
        dtype = model_dtype(config, self._worker.device)
        kept, self._kept = self._kept, None
        wanted = (config.backbone, dtype, config.adapter.quantization)
        if kept is not None and kept[0] == wanted:
            return kept[1]
        return load_worker_backbone(config, self._worker)

    def give(self, config: Config, backbone: PreTrainedModel) -> None:
        """Keep the backbone if its weights are still those that were loaded, and whole."""
        if config.adapter.kind != "full" and config.deepspeed.stage != 3:
            dtype = model_dtype(config, self._worker.device)
            self._kept = ((config.backbone, dtype, config.adapter.quantization), backbone)


def _message(report: EvaluationReport, objective: str, gpus: float) -> dict[str, Any]:
    sign = -1.0 if objective == "val/loss" else 1.0
    return {
        "examples": report.examples,
        "budget": report.budget,
        "step": report.step,
        "objective": sign * report.metrics[objective],
        "val_accuracy": report.best_accuracy,
        "train_seconds": report.seconds,
        "gpu_seconds": report.seconds * gpus,
        "metrics": report.metrics,
        "train_losses": report.train_losses,
        "done": report.done,
    }


def _tell(method: Any, worker: Worker, *arguments: Any) -> None:
    if worker.is_main:
        ray.get(method.remote(*arguments))


def _lost_a_peer(error: Exception) -> bool:
    """Tell whether a collective failed because another worker is gone; gloo has no exception of its own for that."""
    return isinstance(error, dist.DistBackendError | dist.DistNetworkError) or (
        isinstance(error, RuntimeError) and "/gloo/" in str(error)
    )


def _reason(error: Exception, job: dict[str, Any]) -> str:
    if is_out_of_memory(error):  # before the first step, as the model was built
        return out_of_memory_message(build_config(job["config"], f"trial {job['id']}"))
    return _first_line(error)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
