"""The backbone that a worker keeps from one model to the next, so that its device never holds two of them."""

from __future__ import annotations

import gc

import torch
from transformers import PreTrainedModel

from gazetune.config import Config
from gazetune.reward.model.backbone import model_dtype
from gazetune.train.processes.deepspeed_engine import load_worker_backbone
from gazetune.train.processes.worker_group import Worker


class BackboneCache:
    """The frozen backbone of the last model, kept for the next one that wants the same."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._kept: tuple[tuple[str, torch.dtype, str, bool], PreTrainedModel] | None = None

    def take_backbone(self, config: Config) -> PreTrainedModel:
        """Return a pristine backbone in the run's precision; the cache has none afterwards.

        One that is kept but not wanted is freed before another is loaded. Every worker calls it.
        """
        kept, self._kept = self._kept, None
        if kept is not None and kept[0] == self._key(config):
            return kept[1]
        del kept
        gc.collect()  # engines and models refer to themselves
        if self._worker.device.type == "cuda":
            torch.cuda.empty_cache()
        return load_worker_backbone(config, self._worker)

    def keep_backbone(self, config: Config, backbone: PreTrainedModel) -> None:
        """Keep the backbone if its weights are still those that were loaded, and whole."""
        if config.adapter.kind != "full" and config.deepspeed.stage != 3:
            self._kept = (self._key(config), backbone)

    def _key(self, config: Config) -> tuple[str, torch.dtype, str, bool]:
        adapter = config.adapter
        dtype = model_dtype(config, self._worker.device)
        return (config.backbone, dtype, adapter.quantization, adapter.double_quantization)
