"""How large the parts of the smoke run are: of a 7B model on a GPU, or tiny, so that a CPU does them in seconds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import MistralConfig

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.train.limits.memory_estimate import estimate_memory
from tests.bench.gpu_step import mistral_shape
from tests.bench.step_data import helpsteer2_like, made_up


@dataclass(frozen=True)
class Size:
    """How large the parts are."""

    backbone: str
    """A shape of `tests.bench.gpu_step`."""
    pairs: int
    """Pairs of a step."""
    pass_tokens: int
    """The most positions of a pass."""
    steps: int
    """Steps that are timed."""
    window: int
    """Distance from which on an attention with a window sees nothing."""
    positions: int
    """Positions of the texts whose rewards are compared in two dtypes."""
    texts: int
    """How many of them; an even number."""
    hidden: int
    """Hidden size of the model that computes them; its heads are 32 wide up to 256, and 128 wide above."""
    kept_bytes: int
    """What may stay on the device after a trial beside what stayed after the first one."""

    def draw_pairs(self, seed: int) -> PreparedData:
        """Make pairs of random tokens: of the lengths of HelpSteer2, or tiny ones."""
        generator = np.random.default_rng(seed)
        if self.backbone != "tiny":
            return helpsteer2_like(generator, self.pairs)
        return made_up(generator, generator.integers(8, 24, self.pairs), generator.integers(8, 40, (self.pairs, 2)))


FULL = Size(
    backbone="mistral-7b",
    pairs=16,
    pass_tokens=6144,
    steps=4,
    window=16,
    positions=4096,
    texts=50,
    hidden=1024,
    kept_bytes=2**24,
)
SMALL = Size(
    backbone="tiny",
    pairs=4,
    pass_tokens=160,
    steps=1,
    window=6,
    positions=256,
    texts=8,
    hidden=32,
    kept_bytes=2**14,
)


def plan_device_bytes(config: Config, data: PreparedData, size: Size) -> int:
    """Return what `gazetune plan` says that a worker of `config` takes on its device with these pairs."""
    with tempfile.TemporaryDirectory() as folder:
        return plan_bytes_of_shape(config, data, mistral_shape(size.backbone), Path(folder))


def plan_bytes_of_shape(config: Config, data: PreparedData, shape: MistralConfig, folder: Path) -> int:
    """Write the backbone's config into `folder`, where the plan reads it, and return the bytes that it plans."""
    shape.save_pretrained(folder)
    longest = data.facts.longest["tokens"]
    planned = config.model_copy(
        update={
            "backbone": str(folder),
            "data": config.data.model_copy(update={"max_chars": None, "max_tokens": longest}),
        }
    )
    estimate = estimate_memory(planned)
    (held,) = (
        each.device_total
        for each in estimate.worker_memory
        if (each.stage, each.offload) == (config.deepspeed.stage, config.deepspeed.offload)
    )
    return held + estimate.activations
