"""The model card: the numbers of the run, readable for the hub, and nothing of the machine it was written on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.report.model_card import render_classifier_card, render_model_card, shareable_name
from gazetune.reward.data.dataset import DatasetFacts

FACTS = DatasetFacts(
    data_fingerprint="0123abcd",
    gaze_fingerprint="lexical-4567",
    pairs={"train": 70, "validation": 20, "test": 10},
    dropped={},
    bayes=None,
    gaze_mean=[0.0] * 5,
    gaze_sd=[1.0] * 5,
    context=8192,
    longest={"tokens": 30, "units": 20},
    longest_origin="pairs:3",
)
MARGINS = np.array([1.0] * 15 + [-1.0] * 5)


def card(**sections: object) -> str:
    return render_model_card(Config.model_validate(sections), FACTS, MARGINS, 64)


def test_the_card_has_the_facts_and_numbers_of_the_run() -> None:
    text = card(gaze={"predictor": "lexical", "features": ["FFD", "TRT"]}, fusion={"kind": "concat"})
    assert "Pairwise accuracy on the validation split: 75.0 % (95 % interval 53.1 to 88.8, n = 20)." in text
    for fact in (
        "backbone: `tiny`, adapter `full`",
        "preference pairs: `planted`, fingerprint `0123abcd` (train 70, validation 20, test 10)",
        "fusion: `concat`",
        "gaze predictor: `lexical`, fingerprint `lexical-4567`",
        "features: FFD, TRT",
        "training pairs seen: 64",
    ):
        assert f"- {fact}\n" in text
    assert "RewardScorer.from_pretrained" in text and "## Licence" in text


def test_the_hub_reads_the_front_matter() -> None:
    data = ModelCard(card(backbone="mistralai/Mistral-7B-v0.3", data={"source": "nvidia/HelpSteer2"})).data
    assert data.library_name == "gazetune" and data.base_model == "mistralai/Mistral-7B-v0.3"
    assert data.base_model_relation == "adapter" and data.datasets == ["nvidia/HelpSteer2"]
    assert data.tags == ["reward-model", "gaze"]
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.75, "validation")
    assert data.license is None, "the licence is not ours to state"


def test_a_model_without_gaze_says_nothing_of_gaze() -> None:
    text = card(fusion={"kind": "none"})
    assert "sees the text alone" in text and "features" not in text and "lexical" not in text
    assert ModelCard(text).data.tags == ["reward-model"]


def test_local_paths_stay_on_the_machine(tmp_path: Path) -> None:
    (tmp_path / "org" / "llama").mkdir(parents=True)
    text = card(backbone=str(tmp_path / "org" / "llama"), data={"source": str(tmp_path / "mine.jsonl")})
    assert str(tmp_path) not in text
    assert "backbone: `llama`" in text and "`mine.jsonl`" in text
    data = ModelCard(text).data
    assert data.get("base_model") is None and data.get("datasets") is None


def test_a_local_folder_that_looks_like_a_hub_id_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "llama").mkdir(parents=True)
    assert shareable_name("models/llama") == "models/llama"
    monkeypatch.chdir(tmp_path)
    assert shareable_name("models/llama") == "llama"


def test_the_card_of_an_exported_model_tells_how_transformers_loads_it() -> None:
    saved = card(fusion={"kind": "none"})
    text = render_classifier_card(saved)
    assert "AutoModelForSequenceClassification" in text and "from_pretrained(" in text
    assert "RewardScorer" not in text and "weights.safetensors" not in text
    assert ModelCard(text).data.library_name == "transformers"
    assert text.count("## Use") == 1 and text.endswith(saved.partition("## Licence")[2])
    assert text.partition("## Use")[0] == saved.partition("## Use")[0].replace("gazetune\n", "transformers\n", 1)


def test_front_matter_that_was_broken_by_hand_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="front matter that cannot be read"):
        render_classifier_card("---\n- a list\n---\n\n# Mine\n")
