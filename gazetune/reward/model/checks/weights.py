"""Whether a checkpoint has every weight of its backbone, in its shape, and none of a larger one.

transformers draws a missing weight at random and says so in a log line. Here it is an error. What a checkpoint has
beside the backbone is none: a language model's or a classifier's head, and buffers that older versions saved.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from gazetune.errors import InputError
from gazetune.reward.model.checks.checkpoint_files import (
    ADAPTER_CONFIG,
    CONFIG,
    CheckpointHeader,
    TensorHeader,
    find_small_file,
    read_checkpoint_header,
)

_FLOATS = frozenset(["F64", "F32", "F16", "BF16"])
_QUANTISED_NAME = re.compile(
    r"(^|\.)(qweight|qzeros|g_idx|weight_packed|weight_scale|weight_scale_inv|absmax|quant_map|SCB|weight_shape)$"
    r"|_(blocks|scales)$"
)
"""Names that GPTQ, AWQ, compressed-tensors, bitsandbytes, FP8 and MXFP4 checkpoints have beside, or for, a weight."""
_BUFFER_NAME = re.compile(r"(^|\.)(inv_freq|position_ids|token_type_ids|masked_bias|cos_cached|sin_cached)$")
"""Buffers that older versions of transformers saved; today they are computed."""
_SHOWN = 3


def refuse_other_kinds(backbone: str) -> None:
    """Raise `InputError` for an adapter or one of our saved models in the place of a backbone."""
    adapter = find_small_file(backbone, ADAPTER_CONFIG)
    if adapter is not None:
        raise InputError(
            f"backbone '{backbone}': holds a PEFT adapter ({ADAPTER_CONFIG}); accepted: a whole model, such as the "
            "adapter merged into its base model"
        )
    if find_small_file(backbone, "weights.safetensors") and find_small_file(backbone, CONFIG) is None:
        raise InputError(
            f"backbone '{backbone}': is a saved reward model of gazetune; accepted: the backbone that its config.yaml "
            "names, or what gazetune export makes of it"
        )


def refuse_quantised(backbone: str, config: Mapping[str, Any]) -> None:
    """Raise `InputError` when a config, or a part of it, says that its weights are quantised."""
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in ("quantization_config", "compression_config"):
            settings = part.get(key)
            if settings:
                method = settings.get("quant_method") if isinstance(settings, dict) else None
                raise _quantised(backbone, f"{CONFIG}: {key}: {method or 'no quant_method'}")


def check_weights(backbone: str, model: PreTrainedModel) -> None:
    """Compare a checkpoint's headers with the model of its config; nothing is read but headers.

    Parameters
    ----------
    backbone : str
        A local folder or a hub id.
    model : PreTrainedModel
        The backbone as it is trained, on the meta device. It is not changed.

    Raises
    ------
    InputError
        When weights are missing, of another shape, quantised, or those of a larger model.
    """
    header = read_checkpoint_header(backbone)
    if header is None:
        return
    for name, tensor in header.tensors.items():
        if tensor.dtype not in _FLOATS and name.endswith(".weight"):
            raise _quantised(backbone, f"{header.origin}: {name} is {tensor.dtype}")
    state = {name: torch.empty(tensor.shape, device="meta") for name, tensor in header.tensors.items()}
    hide_loading_progress()
    with hide_loading_report():
        # The loading code itself, on tensors without values: it knows every renaming and conversion of weights.
        loaded: Any = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=state,
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    refuse_wrong_weights(backbone, model, loaded[1], header)


def refuse_wrong_weights(
    backbone: str, model: PreTrainedModel, info: Mapping[str, Any], header: CheckpointHeader | None = None
) -> None:
    """Raise `InputError` for what transformers says of a load (`output_loading_info`).

    Parameters
    ----------
    backbone : str
        As error lines name it.
    model : PreTrainedModel
        The backbone as it is trained. A weight that it does not have (an encoder's pooler) may be missing.
    info : mapping
        `missing_keys`, `mismatched_keys` and `unexpected_keys`.
    header : CheckpointHeader, optional
        The headers of the checkpoint, where they were read.
    """
    origin = f"backbone '{backbone}'" if header is None else header.origin
    tensors = {} if header is None else header.tensors
    needed = model.state_dict().keys()
    missing = sorted(name for name in info["missing_keys"] if name in needed)
    if missing:
        marks = [name for name in tensors if _QUANTISED_NAME.search(name)]
        if marks:
            raise _quantised(backbone, f"{origin}: {marks[0]}")
        others = sorted(name for name in info["unexpected_keys"] if name.endswith(tuple(missing)))
        instead = f"; it holds {_list_names(others)}, which the model does not have" if others else ""
        raise InputError(
            f"{origin}: {len(missing)} of the {len(needed)} weights of {type(model).__name__} are missing "
            f"({_list_names(missing)}){instead}; accepted: a checkpoint with every weight of its {CONFIG}"
        )
    misshapen = sorted((name, *shapes) for name, *shapes in info["mismatched_keys"] if name in needed)
    if misshapen:
        name, found, expected = misshapen[0]
        raise InputError(
            f"{origin}: {len(misshapen)} of the {len(needed)} weights of {type(model).__name__} have another shape, "
            f"the first one {name} {list(found)}; accepted: {list(expected)}, as its {CONFIG} says"
        )
    surplus = sorted(name for name in info["unexpected_keys"] if _is_in_backbone(name, model, tensors))
    if surplus:
        raise InputError(
            f"{origin}: {len(surplus)} weights have no place in {type(model).__name__} ({_list_names(surplus)}); "
            f"accepted: a checkpoint of the model that its {CONFIG} describes"
        )


def _is_in_backbone(name: str, model: PreTrainedModel, tensors: Mapping[str, TensorHeader]) -> bool:
    """Tell whether an unexpected weight lies in one of the backbone's own modules, and is neither head nor buffer."""
    name = name.removeprefix(f"{model.base_model_prefix}.")
    if name.partition(".")[0] not in dict(model.named_children()) or _BUFFER_NAME.search(name):
        return False
    if name in dict(model.named_buffers()):
        return False
    shapes = [tensor.shape for full, tensor in tensors.items() if full.endswith(name)]
    # A causal mask [1, 1, positions, positions] that GPT-2 and its kin once saved.
    return not any(shape[:2] == (1, 1) and len(shape) == 4 for shape in shapes)


def _quantised(backbone: str, why: str) -> InputError:
    return InputError(
        f"backbone '{backbone}': quantised checkpoints are not accepted ({why}); accepted: the checkpoint that it was "
        "made from, which adapter.quantization nf4 quantises on loading"
    )


def _list_names(names: Iterable[str]) -> str:
    names = list(names)
    return f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"


def hide_loading_progress() -> None:
    """Keep transformers from drawing a progress bar while it reads weights; a download keeps its own."""
    downloads_shown = not are_progress_bars_disabled()
    disable_progress_bar()
    if downloads_shown:
        enable_progress_bars()


@contextlib.contextmanager
def hide_loading_report() -> Iterator[None]:
    """Keep transformers from logging a table of missing and unexpected weights, which are judged here."""
    logger = logging.getLogger("transformers.modeling_utils")
    # A filter, not a level: transformers takes a level of its own as a wish for more warnings.
    logger.addFilter(_drop_record)
    try:
        yield
    finally:
        logger.removeFilter(_drop_record)


def _drop_record(record: logging.LogRecord) -> bool:
    return False
