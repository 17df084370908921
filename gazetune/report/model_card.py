"""The model card (README.md) of a saved reward model, with front matter as the Hugging Face hub reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazetune import __version__
from gazetune.config import Config
from gazetune.config.yaml_file import dump_yaml
from gazetune.evaluate.accuracy import pair_correctness
from gazetune.evaluate.statistics import accuracy_interval
from gazetune.reward.data.prepared_data import DatasetFacts

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


def model_card(config: Config, facts: DatasetFacts, margins: NDArray[np.float64], examples: int) -> str:
    """Return the card of a model that is saved after `examples` training pairs.

    Parameters
    ----------
    margins
        [n] reward of the chosen less that of the rejected reply, of every validation pair.
    """
    right = pair_correctness(margins)
    accuracy, interval = float(right.mean()), accuracy_interval(right)
    lines = [
        f"---\n{dump_yaml(_front_matter(config, accuracy))}---",
        f"# Reward model on {shown_name(config.backbone)}",
        _what_it_is(config),
        "\n".join(f"- {name}: {value}" for name, value in _facts(config, facts, examples).items()),
        f"Pairwise accuracy on the validation split: {100 * accuracy:.1f} % (95 % interval {100 * interval[0]:.1f} to "
        f"{100 * interval[1]:.1f}, n = {len(margins)}). The model was chosen by this number among the evaluations of "
        "its run, so it flatters the model; the test split of the run does not.",
        "## Use",
        _LOADING,
        "Only the difference of two rewards of replies to the same prompt means something. `weights.safetensors` holds "
        "what was trained, and the statistics that measures are standardised by; `config.yaml` says all else. "
        + _backbone_note(config),
        "## Licence",
        "The licences of the backbone and of the preference pairs decide under which licence this model may be shared; "
        "gazetune states none for it.",
    ]
    return "\n\n".join(lines) + "\n"


def classifier_card(saved: str) -> str:
    """Return the card of a model that was exported for transformers, made from the card of the saved model."""
    head, _, rest = saved.partition("## Use\n")
    _, licence, tail = rest.partition("## Licence\n")
    head = head.replace("library_name: gazetune", "library_name: transformers")
    use = (
        f"## Use\n\n{_LOADING_CLASSIFIER}\n\nThe text must be that of the chat template, without special tokens beside "
        "the template's own. The model was trained with gazetune and exported with its adapter, if any, merged.\n\n"
    )
    return head + use + licence + tail


def shown_name(name: str) -> str:
    """Return a hub id or a word as it is, and of a local path its last part: a card is made to be shared."""
    return name if _is_hub_id(name) else Path(name).name


def _front_matter(config: Config, accuracy: float) -> dict[str, Any]:
    source = shown_name(config.data.source)
    matter: dict[str, Any] = {"library_name": "gazetune", "pipeline_tag": "text-classification"}
    if _is_hub_id(config.backbone):
        matter["base_model"] = config.backbone
        matter["base_model_relation"] = "finetune" if config.adapter.kind == "full" else "adapter"
    if _is_hub_id(config.data.source):
        matter["datasets"] = [config.data.source]
    matter["tags"] = ["reward-model", *(["gaze"] if config.fusion.kind != "none" else [])]
    matter["model-index"] = [
        {
            "name": f"{shown_name(config.backbone)}-reward",
            "results": [
                {
                    "task": {"type": "text-classification", "name": "Pairwise preference"},
                    "dataset": {"name": source, "type": source, "split": "validation"},
                    "metrics": [{"type": "accuracy", "value": round(accuracy, 4), "name": "Pairwise accuracy"}],
                }
            ],
        }
    ]
    return matter


def _what_it_is(config: Config) -> str:
    if config.fusion.kind == "none":
        seen = "It sees the text alone."
    else:
        seen = (
            f"It sees, beside the text, the reading measures {', '.join(config.gaze.features)} that the gaze predictor "
            f"`{config.gaze.predictor}` gives every word (GPT is go-past time), joined by the fusion "
            f"`{config.fusion.kind}`. The method is that of GazeReward (Lopez-Cardona et al., ICLR 2025)."
        )
    return f"It gives a conversation that ends with an assistant's reply one number, the reward. {seen}"


def _facts(config: Config, facts: DatasetFacts, examples: int) -> dict[str, str]:
    gaze = {
        "gaze predictor": f"`{config.gaze.predictor}`, fingerprint `{facts.gaze_fingerprint}`",
        "features": ", ".join(config.gaze.features),
        "control": f"`{config.gaze.control}`",
    }
    pairs = ", ".join(f"{split} {count}" for split, count in facts.pairs.items())
    return {
        "backbone": f"`{shown_name(config.backbone)}`, adapter `{config.adapter.kind}`",
        "preference pairs": f"`{shown_name(config.data.source)}`, fingerprint `{facts.data_fingerprint}` ({pairs})",
        "fusion": f"`{config.fusion.kind}`",
        **(gaze if config.fusion.kind != "none" else {}),
        "training pairs seen": str(examples),
        "seed": str(config.train.seed),
        "written by": f"gazetune {__version__}",
    }


def _backbone_note(config: Config) -> str:
    if config.backbone == "tiny":
        return "The backbone `tiny` is made on the spot."
    return "The backbone is loaded from where the config says, or from the `backbone` given to `from_pretrained`."


def _is_hub_id(name: str) -> bool:
    return _HUB_ID.fullmatch(name) is not None and not Path(name).exists()
