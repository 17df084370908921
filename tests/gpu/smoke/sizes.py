"""How large the parts of the smoke run are: of a 7B model on a GPU, or tiny, so that a CPU does them in seconds."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gazetune.config import Config
from gazetune.reward.data.dataset import PreparedData
from gazetune.train.limits.memory_estimate import configured_memory, estimate_memory
from gazetune.train.limits.memory_items import MemoryItem
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


def plan_training(config: Config, data: PreparedData, size: Size) -> dict[str, int]:
    """Return what `gazetune plan` lists on the device of a worker of `config` with these pairs, in bytes by item.

    The plan reads a backbone's config from a folder, and counts the longest conversation by its tokens.
    """
    with tempfile.TemporaryDirectory() as folder:
        mistral_shape(size.backbone).save_pretrained(folder)
        lengths = {"max_chars": None, "max_tokens": data.facts.longest["tokens"]}
        update = {"backbone": folder, "data": config.data.model_copy(update=lengths)}
        planned = config.model_copy(update=update)
        memory = configured_memory(planned, estimate_memory(planned))
    return largest_phase(memory.items)


def largest_phase(items: Iterable[MemoryItem]) -> dict[str, int]:
    """Return the bytes, by name, of what is on a device at once where a step takes most.

    What CUDA and NCCL allocate beside torch is left out.
    """
    on_device = [each for each in items if each.place == "device" and each.kind != "outside"]
    phases = [[each for each in on_device if phase in each.phases] for phase in ("pass", "step")]
    largest = max(phases, key=lambda its: sum(each.bytes for each in its))
    found = Counter[str]()
    for each in largest:
        found[each.name] += each.bytes
    return dict(found)
