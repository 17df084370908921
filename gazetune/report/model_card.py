"""The model card (README.md) of a saved reward model, with front matter as the Hugging Face hub reads it.

`huggingface_hub` writes the front matter. The text is the template `reward_model_card.md` beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from numpy.typing import NDArray

from gazetune import __version__
from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.evaluate.accuracy import pair_correctness
from gazetune.evaluate.statistics import accuracy_interval
from gazetune.files.paths import path_exists
from gazetune.reward.data.dataset import DatasetFacts

_TEMPLATE = Path(__file__).with_name("reward_model_card.md")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LOADING = """\
```python
from gazetune import RewardScorer

scorer = RewardScorer.from_pretrained("FOLDER")  # this folder
rewards = scorer.score([[
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "Air scatters blue light most."},
]])
```"""

_LOADING_CLASSIFIER = """\
```python
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")  # this folder
model = AutoModelForSequenceClassification.from_pretrained("FOLDER").eval()
chats = [[
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "Air scatters blue light most."},
]]
inputs = tokenizer.apply_chat_template(chats, padding=True, return_tensors="pt", return_dict=True)
with torch.no_grad():
    rewards = model(**inputs).logits[:, 0]
```"""


def render_model_card(config: Config, facts: DatasetFacts, margins: NDArray[np.float64], examples: int) -> str:
    """Return the card of a model that is saved after `examples` training pairs.

    Parameters
    ----------
    margins
        [n] reward of the chosen less that of the rejected reply, of every validation pair.
    """
    right = pair_correctness(margins)
    accuracy, (low, high) = float(right.mean()), accuracy_interval(right)
    card = ModelCard.from_template(
        _make_card_data(config, accuracy),
        template_path=str(_TEMPLATE),
        backbone=shareable_name(config.backbone),
        made_on_the_spot=config.backbone == "tiny",
        predictor=config.gaze.predictor,
        features=", ".join(config.gaze.features),
        fusion=config.fusion.kind,
        facts=_list_facts(config, facts, examples),
        accuracy=f"{100 * accuracy:.1f}",
        low=f"{100 * low:.1f}",
        high=f"{100 * high:.1f}",
        pairs=len(margins),
        use=_LOADING,
    )
    return f"{card}\n"


def render_classifier_card(saved: str) -> str:
    """Return the card of a model that was exported for transformers, made from the card of the saved model.

    Raises
    ------
    InputError
        If the front matter of the saved card was edited so that it cannot be read.
    """
    card = _read_card(saved)
    card.data["library_name"] = "transformers"
    head, _, rest = card.text.partition("## Use\n")
    _, licence, tail = rest.partition("## Licence\n")
    card.text = (
        f"{head}## Use\n\n{_LOADING_CLASSIFIER}\n\nThe text must be that of the chat template, without special tokens "
        "beside the template's own. The model was trained with gazetune and exported with its adapter, if any, "
        f"merged.\n\n{licence}{tail}"
    )
    return str(card)


def add_measured(saved: str, sentences: Sequence[str], outside: Sequence[str] = ()) -> str:
    """Return the card of a saved model with what was measured of it, and what its folder leaves outside.

    Raises
    ------
    InputError
        As `render_classifier_card`.
    """
    card = _read_card(saved)
    parts = ["\n\n".join(["## What was measured", *sentences])] if sentences else []
    if outside:
        parts.append("\n".join(["## What is not in this folder", "", *(f"- {each}" for each in outside)]))
    head, use, tail = card.text.partition("## Use\n")
    card.text = "\n\n".join([head.rstrip("\n"), *parts, f"{use}{tail}"])
    return str(card)


def _read_card(saved: str) -> ModelCard:
    try:
        return ModelCard(saved)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"the model card of the saved model has front matter that cannot be read ({error})") from None


def shareable_name(name: str) -> str:
    """Return a hub id or a word as it is, and of a local path its last part: a card is made to be shared.

    Examples
    --------
    >>> shareable_name("nvidia/HelpSteer2"), shareable_name("/home/me/data/mine.jsonl")
    ('nvidia/HelpSteer2', 'mine.jsonl')
    """
    return name if _is_hub_id(name) else Path(name).name


def _make_card_data(config: Config, accuracy: float) -> ModelCardData:
    source = shareable_name(config.data.source)
    data = ModelCardData(
        library_name="gazetune",
        pipeline_tag="text-classification",
        base_model=config.backbone if _is_hub_id(config.backbone) else None,
        datasets=[config.data.source] if _is_hub_id(config.data.source) else None,
        tags=["reward-model", *(["gaze"] if config.fusion.kind != "none" else [])],
        model_name=f"{shareable_name(config.backbone)}-reward",
        eval_results=[
            EvalResult(
                task_type="text-classification",
                task_name="Pairwise preference",
                dataset_type=source,
                dataset_name=source,
                dataset_split="validation",
                metric_type="accuracy",
                metric_name="Pairwise accuracy",
                metric_value=round(accuracy, 4),
            )
        ],
    )
    if data.base_model is not None:
        data["base_model_relation"] = "finetune" if config.adapter.kind == "full" else "adapter"
    return data


def _list_facts(config: Config, facts: DatasetFacts, examples: int) -> dict[str, str]:
    gaze = {
        "gaze predictor": f"`{config.gaze.predictor}`, fingerprint `{facts.gaze_fingerprint}`",
        "features": ", ".join(config.gaze.features),
        "control": f"`{config.gaze.control}`",
    }
    pairs = ", ".join(f"{split} {count}" for split, count in facts.pairs.items())
    source = shareable_name(config.data.source)
    return {
        "backbone": f"`{shareable_name(config.backbone)}`, adapter `{config.adapter.kind}`",
        "preference pairs": f"`{source}`, fingerprint `{facts.data_fingerprint}` ({pairs})",
        "fusion": f"`{config.fusion.kind}`",
        **(gaze if config.fusion.kind != "none" else {}),
        "training pairs seen": str(examples),
        "seed": str(config.train.seed),
        "written by": f"gazetune {__version__}",
    }


def _is_hub_id(name: str) -> bool:
    return _HUB_ID.fullmatch(name) is not None and not path_exists(name)
