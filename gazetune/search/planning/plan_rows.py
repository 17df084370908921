"""The plan of a run, a search or an ablation as a JSON object: what it holds. `plan_document` and others fill it."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class MemoryRow(TypedDict):
    """Bytes of one worker with a ZeRO stage and an offload."""

    stage: int
    offload: str
    chosen: bool
    """Whether the config has this stage and offload."""
    refused: str | None
    """Why the config cannot train with them, where it cannot."""
    parameters: int
    gradients: int
    optimizer: int
    gathered: int
    buffers: int
    activations: int
    outside: int
    """What CUDA and NCCL allocate beside torch."""
    device: int
    """Of the phase that takes the most: not all of the items are there together."""
    certain: int
    """What of it no estimate is in."""
    host: int
    """Of rank 0."""
    host_of_all_workers: int
    """Where all workers of a trial are on one machine."""
    nvme: int
    items: list[ItemRow]


class ItemRow(TypedDict):
    """Something that a worker holds."""

    name: str
    kind: str
    bytes: int
    place: str
    """`device`, `host` or `disk`."""
    phases: list[str]
    """When it is there: `start`, `pass`, `step`, `evaluation`."""
    source: str
    """File and setting of the library that allocates it, or who measured it."""


class HoursRow(TypedDict):
    """Hours of a search."""

    trials: float
    baselines_at_most: float
    confirmation_at_most: float


class PriceRow(TypedDict):
    """What the hours cost on a kind of machine."""

    instance: str | None
    price: float | None
    """None where a worker does not fit."""


class SearchDocument(TypedDict):
    """What a search takes; sizes in bytes."""

    trials: int
    slots: int
    shapes: list[dict[str, float]]
    nodes: list[dict[str, str | float]]
    pairs: dict[str, int]
    visible: VisibleDocument
    evaluated_at: list[int]
    examples: ExamplesDocument
    kept_models: int
    disk_peak: int
    head_memory: dict[str, int]
    """Memory of the machine where the driver runs, beside the workers that may be there; see `HeadMemory`."""
    confirmation: ConfirmationDocument | None
    """None with `search.confirm: off`."""
    calibration: dict[str, float] | None
    hours: HoursRow | None
    gpu_hours: HoursRow | None
    price: list[PriceRow] | None


class VisibleDocument(TypedDict):
    """What the comparison on test can show."""

    test_pairs: int
    discordance: float
    """Share of the pairs on which two models are taken to differ."""
    power: float
    """Chance that a difference of this size is found."""
    difference: float | None
    """The smallest such difference of accuracies; None where no difference can show."""
    pairs_for_5_points: int
    """Test pairs that a difference of 5 points takes."""


class ConfirmationDocument(TypedDict):
    """What confirms the winner, see `search.confirm`."""

    top: int
    folds: int
    seeds: int
    controls: list[str]
    trainings: int
    """Full trainings at most."""
    on_folds: int
    """Of these, the ones that choose among the best trials."""
    of_caps: float
    """Share of each cap that is kept back for it."""


class ExamplesDocument(TypedDict):
    """Training examples of all trials together."""

    without_pruning: float
    expected: int
    assumption: str


class PlanDocument(TypedDict):
    """What a run, or the largest trial of a search, takes; sizes in bytes."""

    kind: Literal["train", "search", "ablation"]
    backbone: str
    adapter: str
    quantization: str
    parameters: dict[str, int]
    workers: int
    pairs_per_worker: int
    positions: int
    positions_per_pass: int
    positions_per_evaluation_pass: int
    gradient_checkpointing: bool
    activations: dict[str, int]
    memory_per_worker: list[MemoryRow]
    disk_per_run: dict[str, int]
    search: NotRequired[SearchDocument]
