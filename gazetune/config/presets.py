"""Presets: what a config's keys are when nothing sets them.

`corrected` has the defaults of `Config`. `reference` has the recipe of the GazeReward reference, and those of its
defects that a key switches back on. A preset sets defaults and nothing else: a key that is given wins.

Source: Lopez-Cardona et al., ICLR 2025, arXiv 2410.01532, and its code, Telefonica-Scientific-Research/gaze_reward at
e7e7ec8.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from gazetune.errors import did_you_mean

PRESETS = ("corrected", "reference")

REFERENCE: Mapping[str, Mapping[str, object]] = {
    "data": {
        "max_chars": 10000,
        "max_chars_of": "rendered",
        "prompts": "single",
        "invert_oasst1": True,
        "tokens": "reference",
    },
    "adapter": {
        "kind": "lora",
        "r": 8,
        "alpha": 32,
        "dropout": 0.1,
        "targets": ["q_proj", "v_proj"],
        "double_quantization": False,
    },
    "gaze": {"context": "chat", "scope": "prompt+response", "align": "spread", "normalise": False},
    "fusion": {"kind": "concat", "unit": "predictor", "position": "before", "scale": 1.0, "project_zeros": True},
    "projector": {"dropout": [0.1, 0.3]},
    "loss": {"kind": "bradley_terry"},
    "optim": {"learning_rate": 5e-5, "weight_decay": 0.1, "schedule": "cosine_with_min_lr", "min_lr_ratio": 0.7},
    "train": {
        "epochs": 2,
        "batch_size": 16,
        "accumulate": 1,
        "eval_every": 0,
        "batching": "padded",
        "pool": "last_padded",
        "head_std": 0.02,
        "gradient_checkpointing": True,
    },
}
"""Defaults of `preset: reference`, but those that other keys decide (see `add_defaults`)."""

ADDED_LATER = frozenset(
    [
        "data.max_chars_of",
        "data.prompts",
        "data.tokens",
        "adapter.double_quantization",
        "gaze.predictor_units",
        "fusion.project_zeros",
        "optim.warmup_rounding",
        "optim.schedule_length",
        "train.padding",
        "train.head_std",
    ]
)
"""Keys that the preset sets and that configs written by older versions do not have; see `_is_written_before`."""

MAX_TOKENS = 1350
"""Tokens of a conversation that the reference reads with predictor 2 and gaze tokens."""


PUBLISHED_PREDICTORS = ("bilstm", "roberta")
"""The reference's predictors 1 and 2."""


def check_preset(value: object) -> object:
    """Return the name of a preset.

    Raises
    ------
    ValueError
        For another value; says which name is near.
    """
    if value not in PRESETS:
        raise ValueError(did_you_mean(str(value), PRESETS))
    return value


def add_defaults(tree: Mapping[str, object]) -> dict[str, object]:
    """Return a config tree with the defaults of its preset and without `adapter.kind: auto`.

    Whatever is no mapping where a section should be stays as it is: it is refused, or validated already.

    Examples
    --------
    >>> add_defaults({"backbone": "tiny"})
    {'backbone': 'tiny', 'adapter': {'kind': 'full'}}
    >>> add_defaults({"preset": "reference", "train": {"epochs": 1}})["train"]["epochs"]
    1
    """
    resolved = dict(tree)
    reference = tree.get("preset") == "reference"
    complete = reference and _is_written_before(tree)
    if reference:
        for section, defaults in REFERENCE.items():
            known = {name: value for name, value in defaults.items() if f"{section}.{name}" not in ADDED_LATER}
            _add_section_defaults(resolved, section, known if complete else defaults)
    _resolve_adapter(resolved)
    if reference:
        _add_dependent_defaults(resolved, complete)
    return resolved


def _is_written_before(tree: Mapping[str, object]) -> bool:
    """Tell whether a config was written beside a run by a version that did not know the keys of `ADDED_LATER`.

    Such a config names every key that there was. What it lacks is as it was then, and not as the preset has it now: the
    run resumes, and its model is read, as they were.
    """
    given = {f"{section}.{name}" for section in REFERENCE for name in _find_section(tree, section) or {}}
    known = {f"{section}.{name}" for section, defaults in REFERENCE.items() for name in defaults}
    return known - ADDED_LATER <= given and not ADDED_LATER & given


def _resolve_adapter(tree: dict[str, object]) -> None:
    """Replace `adapter.kind: auto` by what it means, so that the config written beside a run says what ran."""
    adapter = _find_section(tree, "adapter")
    if adapter is not None and adapter.get("kind", "auto") == "auto":
        quantized = adapter.get("quantization", "none") != "none"
        full = tree.get("backbone", "tiny") == "tiny" and not quantized
        tree["adapter"] = {**adapter, "kind": "full" if full else "lora"}


def _add_dependent_defaults(tree: dict[str, object], complete: bool) -> None:
    """Add the defaults of `reference` that hold only beside certain values of other keys.

    A tree that is `complete` was written by an older version and gets none that came later.
    """
    adapter, gaze, fusion = (_find_section(tree, name) or {} for name in ("adapter", "gaze", "fusion"))
    # PEFT froze the projector; a backbone that trains whole goes without PEFT.
    with_peft = adapter.get("kind") in ("lora", "dora", "rslora")
    _add_section_defaults(tree, "fusion", {"freeze": with_peft})
    stage = (_find_section(tree, "deepspeed") or {}).get("stage", 2)
    has_bitsandbytes = importlib.util.find_spec("bitsandbytes") is not None
    if with_peft and has_bitsandbytes and stage != 3 and tree.get("backbone", "tiny") != "tiny":
        _add_section_defaults(tree, "adapter", {"quantization": "nf4"})
    # The baseline is cut, too, so that it reads the text that the model with gaze tokens reads.
    if gaze.get("predictor") == "roberta" and fusion.get("kind") in ("concat", "none"):
        _add_section_defaults(tree, "data", {"max_tokens": MAX_TOKENS})
    if complete:
        return
    if gaze.get("predictor") in PUBLISHED_PREDICTORS:
        _add_section_defaults(tree, "gaze", {"predictor_units": "reference"})
    if (_find_section(tree, "train") or {}).get("batching") == "padded":
        _add_section_defaults(tree, "train", {"padding": "token"})
    # `cosine_with_min_lr` is a schedule of its own there; the others are those of the Hugging Face trainer.
    own = (_find_section(tree, "optim") or {}).get("schedule") == "cosine_with_min_lr"
    counted = {"schedule_length": "micro_batches"} if own else {"warmup_rounding": "up"}
    _add_section_defaults(tree, "optim", counted)


def _add_section_defaults(tree: dict[str, object], section: str, defaults: Mapping[str, object]) -> None:
    given = _find_section(tree, section)
    if given is not None:
        tree[section] = {**defaults, **given}


def _find_section(tree: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    """Return a section of a tree, empty where it is missing; None for what is no mapping."""
    section = tree.get(name)
    if section is None:
        return {}
    return section if isinstance(section, Mapping) else None
