"""Whether a config can train at all, as far as that is known before anything is loaded or started.

Imports nothing that takes seconds: reading a space, and asking how far a search is, check configs too.
"""

from __future__ import annotations

from pathlib import Path

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.files.writable import require_writable
from gazetune.gaze.predictors.registry import check_predictor
from gazetune.reward.model.fusion_registry import check_fusion_kind
from gazetune.reward.model.pair_losses import check_loss_kind
from gazetune.reward.model.quantization import check_quantization
from gazetune.train.limits.compatibility import check_combination, check_gpu_share, check_pool
from gazetune.train.limits.disk_offload import check_disk_offload
from gazetune.train.processes.deepspeed_override import check_deepspeed_settings


def check_config(config: Config) -> None:
    """Raise `InputError` for a name that is not registered or a combination that cannot train."""
    check_fusion_kind(config.fusion.kind)
    check_loss_kind(config.loss.kind)
    check_predictor(config)
    check_pool(config)
    check_combination(config)
    check_gpu_share(config.resources)
    check_quantization(config.adapter.quantization)
    check_deepspeed_settings(config)
    check_disk_offload(config)


def check_storage(storage: Path) -> None:
    """Raise `InputError` for a folder of results that cannot be written; nothing is made."""
    try:
        require_writable(storage)
    except OSError as error:
        raise InputError(f"--storage: {storage} cannot be written ({error.strerror})") from error
