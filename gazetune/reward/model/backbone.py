"""Backbones and their tokenizers: `tiny`, a local folder, or a hub id; decoders and encoders that `AutoModel` loads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.model.chat_templates import ACCEPTED, check_chat_template, read_chat_template, sibling_template
from gazetune.reward.model.checks.checkpoint_files import CONFIG, find_small_file, read_small_json
from gazetune.reward.model.checks.tokenizer import (
    check_token_ids,
    check_tokenizer_files,
    describe_tokenizer_error,
    refuse_damaged_tokenizer,
)
from gazetune.reward.model.checks.weights import (
    check_weights,
    hide_loading_progress,
    hide_loading_report,
    refuse_other_kinds,
    refuse_quantised,
    refuse_wrong_weights,
)
from gazetune.reward.model.precision import cast_parameters
from gazetune.reward.model.quantization import LoadingOptions, configure_quantized_layers, nf4_options
from gazetune.reward.model.reference_tokens import ADDED_TOKENS, add_reference_tokens
from gazetune.reward.model.tiny import POSITIONS, tiny_backbone, tiny_tokenizer

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

_ENCODERS = frozenset(
    [
        "albert",
        "bert",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    ]
)
_POSITIONS_AFTER_PADDING = frozenset(["camembert", "mpnet", "roberta", "xlm-roberta"])
"""Models whose first token has the position after `pad_token_id`, so that they take fewer tokens than positions."""


def load_tokenizer(
    backbone: str,
    training_texts: Iterable[str],
    tokens: Literal["template", "reference"] = "template",
    chat_template: str | None = None,
) -> PreTrainedTokenizerFast:
    """Return the fast tokenizer of `backbone` with a chat template; the tiny one is trained on `training_texts`.

    With `tokens: reference` (`data.tokens`) it has the chat template and the added tokens of the reference. What
    `chat_template` names (`data.chat_template`) goes before the template that the tokenizer comes with.

    Raises
    ------
    InputError
        When there is no such tokenizer, it is not a fast one, it has no chat template or one that writes no reply, or
        it is not the one of its model: it has ids that the model does not know, or its files contradict each other.
    """
    template = read_chat_template(chat_template) if chat_template is not None else None
    tokenizer = tiny_tokenizer(training_texts) if backbone == "tiny" else _load_own_tokenizer(backbone)
    tokenizer.chat_template = template or tokenizer.chat_template
    if tokens == "reference":
        if backbone != "tiny":
            _check_ids(backbone, tokenizer)  # before those are added that the model has a table of its own for
        tokenizer = add_reference_tokens(tokenizer)
    tokenizer.chat_template = tokenizer.chat_template or sibling_template(tokenizer)
    if not tokenizer.chat_template:
        raise InputError(f"backbone '{backbone}': its tokenizer has no chat template; {ACCEPTED}")
    origin = f"backbone '{backbone}': its chat template" if template is None else f"data.chat_template: {chat_template}"
    check_chat_template(tokenizer, origin)
    if tokenizer.pad_token is None:
        # Padding is masked everywhere, so any existing id will do and the embedding need not grow.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    if backbone != "tiny" and tokens == "template":
        _check_ids(backbone, tokenizer)
    return tokenizer


def _load_own_tokenizer(backbone: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer that lies beside a backbone, as it is."""
    _refuse_missing_folder(backbone, "tokenizer")
    refuse_damaged_tokenizer(backbone)
    try:
        # Without the argument transformers would ask on a terminal whether to run code that came with the weights.
        tokenizer = AutoTokenizer.from_pretrained(backbone, trust_remote_code=False)
    except Exception as error:  # the tokenizers library has no class of its own for a file it cannot read
        raise describe_tokenizer_error(backbone, error) or _cannot_load(backbone, "tokenizer", error) from error
    check_tokenizer_files(backbone, tokenizer)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(f"backbone '{backbone}': its tokenizer has no character offsets; a fast tokenizer is needed")
    return tokenizer


def _check_ids(backbone: str, tokenizer: PreTrainedTokenizerFast) -> None:
    if find_small_file(backbone, CONFIG) is not None:  # a folder without one has no model, and is refused as that
        check_token_ids(backbone, tokenizer, int(_load_config(backbone).get_text_config().vocab_size))


def load_backbone(
    backbone: str,
    dtype: torch.dtype,
    quantization: str = "none",
    sharded: Mapping[str, object] | None = None,
    double_quantization: bool = True,
    device: torch.device | None = None,
) -> PreTrainedModel:
    """Return the backbone without a head, in `dtype`.

    On a device other than the CPU each weight goes there as soon as it is read. So the workers of a host, each of
    which loads the backbone, never hold one in the host's memory, and they share what the system keeps of its files.

    Parameters
    ----------
    backbone : str
        `tiny`, a local folder or a hub id.
    dtype : torch.dtype
        Of the weights; of those that `nf4` leaves alone when quantised.
    quantization : str
        `nf4`: weights of linear layers in 4 bits, on the current GPU where there is one (`reward.quantization`).
    sharded : mapping, optional
        The run's DeepSpeed settings with ZeRO stage 3. Every worker of the process group must then call this: each
        weight is divided over them as soon as it is read, so that no worker ever holds the whole model.
    double_quantization : bool
        `nf4`: whether the scales of the weights are quantised, too.
    device : torch.device, optional
        Where weights that are neither quantised nor divided are to lie; the CPU by default. `tiny` lies on the CPU.

    Raises
    ------
    InputError
        When there is no such model, or bitsandbytes, which `nf4` needs, is not installed.
    """
    if backbone == "tiny" and quantization == "none" and sharded is None:
        tiny = tiny_backbone()
        cast_parameters(tiny, dtype)
        return tiny
    options: LoadingOptions = {}
    if quantization == "nf4":
        options = nf4_options(dtype, double_quantization)
    elif sharded is None and device is not None and device.type != "cpu":
        options = {"device_map": {"": device}}
    made = tiny_backbone() if backbone == "tiny" else None
    if made is None:
        check_backbone_weights(backbone)
    hide_loading_progress()
    try:
        with _dividing_weights(sharded), hide_loading_report():
            if made is not None:
                loaded: Any = type(made).from_pretrained(
                    None,
                    config=made.config,
                    state_dict=dict(made.state_dict()),
                    dtype=dtype,
                    output_loading_info=True,
                    **options,
                )
            else:
                loaded = AutoModel.from_pretrained(
                    backbone,
                    dtype=dtype,
                    trust_remote_code=False,
                    ignore_mismatched_sizes=True,  # they are in `info`, and refused below
                    output_loading_info=True,
                    **options,
                )
    except (OSError, ValueError) as error:
        raise _cannot_load(backbone, "model", error) from error
    except RuntimeError as error:
        if "loading state_dict" not in str(error):  # memory that is used up is no fault of the checkpoint
            raise
        raise _cannot_load(backbone, "model", error) from error
    model = _without_pooler(loaded[0])
    refuse_wrong_weights(backbone, model, loaded[1])
    if quantization == "nf4":
        configure_quantized_layers(model)
    return model


def check_backbone_weights(backbone: str) -> None:
    """Compare the weights of a backbone with its config, by headers alone.

    Raises
    ------
    InputError
        When there is no such backbone, it is quantised, its weights are not those of its config, or a file of it is a
        Git LFS pointer, cut or damaged.
    """
    if backbone != "tiny":
        check_weights(backbone, empty_backbone(backbone))


def empty_backbone(backbone: str) -> PreTrainedModel:
    """Return the backbone with shapes but no weights (on torch's meta device): nothing but its config is read."""
    with torch.device("meta"):
        if backbone == "tiny":
            return tiny_backbone()
        config = _load_config(backbone)
        try:
            return _without_pooler(AutoModel.from_config(config, trust_remote_code=False))
        except Exception as error:  # what a model makes of a wrong size has any of many classes of errors
            raise _cannot_load(backbone, "model", error) from error


def _without_pooler(model: PreTrainedModel) -> PreTrainedModel:
    if is_encoder(model) and getattr(model, "pooler", None) is not None:
        # The score head reads the first token itself, so the pooler's weights would never get a gradient.
        model.register_module("pooler", None)
    return model


def _load_config(backbone: str) -> PreTrainedConfig:
    _refuse_missing_folder(backbone, "config")
    refuse_other_kinds(backbone)
    content = read_small_json(backbone, CONFIG)
    if content is not None:
        refuse_quantised(backbone, content)
    try:
        return AutoConfig.from_pretrained(backbone, trust_remote_code=False)
    except Exception as error:  # a wrong value in it has any of many classes of errors
        raise _cannot_load(backbone, "config", error) from error


def _refuse_missing_folder(backbone: str, part: str) -> None:
    """Refuse what can only be a folder and is none; transformers would call it a malformed hub id."""
    path = Path(backbone)
    if path.is_file():
        raise _cannot_load(backbone, part, InputError("a file; its folder is the backbone"))
    if (path.is_absolute() or backbone.startswith((".", "~")) or backbone.count("/") > 1) and not path.is_dir():
        raise _cannot_load(backbone, part, InputError("no such folder"))


@contextlib.contextmanager
def _dividing_weights(settings: Mapping[str, object] | None) -> Iterator[None]:
    """Let `from_pretrained` inside the block divide weights as `settings` say; None leaves them whole."""
    if settings is None:
        yield
        return
    from transformers.integrations import deepspeed as integration

    kept = integration.HfDeepSpeedConfig(dict(settings))  # transformers itself holds only a weak reference to it
    try:
        yield
    finally:
        integration.unset_hf_deepspeed_config()
        del kept


def model_dtype(config: Config, device: torch.device) -> torch.dtype:
    """Return the dtype that `train.precision` means on `device`.

    Examples
    --------
    >>> model_dtype(Config(), torch.device("cpu"))
    torch.float32
    """
    precision = config.train.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "fp32"
    return _DTYPES[precision]


def context_length(backbone: str) -> int | None:
    """Return the most tokens the backbone can take, or None when its config sets no limit."""
    if backbone == "tiny":
        return POSITIONS
    config = _load_config(backbone)
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    if not limit:
        return None
    return int(limit) - (config.pad_token_id + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0)


def vocabulary_size(config: Config) -> int | None:
    """Return how many tokens a run's model has an embedding for; None for the tiny one, whose tokenizer is made for it.

    With `data.tokens: reference` the model has a few of its own beside those of the backbone.
    """
    if config.backbone == "tiny":
        return None
    own = ADDED_TOKENS if config.data.tokens == "reference" else 0
    return int(_load_config(config.backbone).get_text_config().vocab_size) + own


def first_position(model: PreTrainedModel) -> int:
    """Return the number that the model's first position has."""
    return model.config.pad_token_id + 1 if model.config.model_type in _POSITIONS_AFTER_PADDING else 0


def is_encoder(model: PreTrainedModel) -> bool:
    """Tell whether the backbone is an encoder, whose first token sees the whole text."""
    return not getattr(model.config, "is_decoder", False) and model.config.model_type in _ENCODERS


def _cannot_load(backbone: str, part: str, error: Exception) -> InputError:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(
        f"backbone: cannot load the {part} of '{backbone}' ({first_line}); accepted: tiny, a local folder, a hub id"
    )
