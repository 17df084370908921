"""A reward model of transformers gets the scores that transformers itself gives it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from gazetune.errors import InputError
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.saved.classifier_scorer import ClassifierScorer
from gazetune.reward.saved.reward_scorer import OverLongChat
from gazetune.reward.saved.saved_files import is_classifier

CHATS = [
    [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "No." * count}] for count in (1, 9, 3, 30, 2)
]


@pytest.fixture
def classifier(planted: PreparedData, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves a small random Llama with a score head, as a reward model of another project."""

    def save(labels: int = 1, pad: bool = True, template: bool = True, positions: int = 512) -> Path:
        shutil.rmtree(tmp_path / "theirs", ignore_errors=True)
        tokenizer = AutoTokenizer.from_pretrained(planted.folder / "tokenizer")
        if not template:
            tokenizer.chat_template = None
        if not pad:
            tokenizer.pad_token = None
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = AutoConfig.for_model(
            "llama", vocab_size=len(tokenizer), num_labels=labels, max_position_embeddings=positions, **sizes
        )
        config.pad_token_id = tokenizer.pad_token_id if pad else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            model = AutoModelForSequenceClassification.from_config(config)
        model.save_pretrained(tmp_path / "theirs")
        tokenizer.save_pretrained(tmp_path / "theirs")
        return tmp_path / "theirs"

    return save


def scores_of_transformers(folder: Path) -> list[float]:
    """Score one chat after another, as a user of transformers would."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = []
    for chat in CHATS:
        inputs = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            scores.append(float(model(**inputs).logits[0, 0]))
    return scores


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("batch_tokens", [16_384, 200, 1])
def test_scores_are_those_of_transformers_in_any_batch(
    pad: bool, batch_tokens: int, classifier: Callable[..., Path]
) -> None:
    folder = classifier(pad=pad)
    assert is_classifier(folder)
    expected = scores_of_transformers(folder)
    assert np.std(expected) > 1e-3
    found = ClassifierScorer(str(folder), batch_tokens).score(CHATS)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_no_reward_model_is_refused(classifier: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 3 labels; accepted: a reward model with one"):
        ClassifierScorer(str(classifier(labels=3)))
    with pytest.raises(InputError, match="its tokenizer has no chat template"):
        ClassifierScorer(str(classifier(template=False)))
    with pytest.raises(InputError, match="cannot be loaded as a sequence-classification model"):
        ClassifierScorer(str(tmp_path))
    assert not is_classifier(tmp_path)


def test_a_text_that_the_model_cannot_hold_is_refused(classifier: Callable[..., Path]) -> None:
    scorer = ClassifierScorer(str(classifier(positions=40)))
    with pytest.raises(OverLongChat, match=r"chat 3: .* tokens, and the model takes 40"):
        scorer.score(CHATS)


def test_a_conversation_that_the_template_refuses_is_named(classifier: Callable[..., Path]) -> None:
    scorer = ClassifierScorer(str(classifier()))
    scorer.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(InputError, match=r"chat 0: the chat template refuses it .*roles must alternate"):
        scorer.score(CHATS)
