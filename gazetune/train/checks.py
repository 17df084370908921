"""Whether a config can train at all, as far as that is known before anything is loaded or started."""

from __future__ import annotations

from gazetune.config import Config
from gazetune.gaze.registry import check_predictor
from gazetune.reward.fusion import check_fusion
from gazetune.reward.losses import find_loss
from gazetune.train.deepspeed_config import check_sharding


def check_config(config: Config) -> None:
    """Raise `InputError` for a name that is not registered or a combination that cannot train."""
    check_fusion(config.fusion.kind)
    find_loss(config.loss.kind)
    check_predictor(config)
    check_sharding(config)
