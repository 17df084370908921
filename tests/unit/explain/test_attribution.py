"""What gaze adds to a reward: the parts have the sum that they must have, and each is what scoring says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.explain.attribution import attribute_reward
from gazetune.gaze.measures import GazePredictor, TextGaze
from gazetune.gaze.words import word_spans
from gazetune.preferences.pair import PreferencePair
from gazetune.reward.model.fusion_registry import fusion_names
from gazetune.reward.saved.reward_scorer import RewardScorer

WITH_GAZE = [name for name in fusion_names() if name != "none"]


class ChangedPredictor:
    """A predictor whose measures are changed before anybody sees them."""

    def __init__(self, predictor: GazePredictor, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self._predictor, self._change = predictor, change
        self.fingerprint = predictor.fingerprint

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        read = self._predictor.predict(texts)
        return [TextGaze(gaze.spans, self._change(gaze.values.copy()), gaze.words) for gaze in read]


def score_changed(scorer: RewardScorer, chat: Sequence, change: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the reward of a conversation whose measures are changed where they are predicted."""
    encoder = scorer._encoder
    before = encoder.predictor
    encoder.predictor = ChangedPredictor(before, change)
    try:
        return float(scorer.score([chat])[0])
    finally:
        encoder.predictor = before


@pytest.mark.parametrize("fusion", WITH_GAZE)
def test_what_units_add_is_the_way_from_the_mean_to_the_reward(
    fusion: str, scorer: Callable[[str], RewardScorer], pair: PreferencePair
) -> None:
    model = scorer(fusion)
    chat = pair.chat_with(pair.chosen)
    found = attribute_reward(model, chat, steps=256)
    assert found.reward == pytest.approx(float(model.score([chat])[0]), abs=1e-5)
    gained = found.reward - found.at_mean
    assert abs(gained) > 1e-3, "gaze that adds nothing would show nothing"
    assert abs(found.residual) < 0.02 * np.abs(found.units).sum()


@pytest.mark.parametrize("fusion", ["add", "concat"])
def test_a_measure_left_out_is_at_its_mean_where_it_is_predicted(
    fusion: str, scorer: Callable[[str], RewardScorer], pair: PreferencePair
) -> None:
    model = scorer(fusion)
    chat = pair.chat_with(pair.rejected)
    found = attribute_reward(model, chat, steps=2, shuffles=0)
    mean = model.model.fusion.typical_measures()
    assert mean is not None and found.features == ("FFD", "TRT")

    def at_mean(*features: str) -> float:
        def change(values: np.ndarray) -> np.ndarray:
            for name in features:
                values[:, MEASURES.index(name)] = float(mean[found.features.index(name)])
            return values

        return score_changed(model, chat, change)

    assert found.left_out["FFD"] == pytest.approx(found.reward - at_mean("FFD"), abs=1e-5)
    assert found.left_out["TRT"] == pytest.approx(found.reward - at_mean("TRT"), abs=1e-5)
    assert found.at_mean == pytest.approx(at_mean("FFD", "TRT"), abs=1e-5)


def test_measures_outside_the_mask_add_nothing(scorer: Callable[[str], RewardScorer], pair: PreferencePair) -> None:
    model = scorer("add")
    chat = pair.chat_with(pair.chosen)
    reward = attribute_reward(model, chat, steps=2, shuffles=0).reward

    def change(values: np.ndarray) -> np.ndarray:
        values[:, MEASURES.index("GPT")] = 100.0
        return values

    assert score_changed(model, chat, change) == pytest.approx(reward, abs=1e-6)


def test_shuffled_rewards_are_of_the_same_measures_on_other_words(
    scorer: Callable[[str], RewardScorer], pair: PreferencePair
) -> None:
    model = scorer("add")
    chat = pair.chat_with(pair.chosen)
    one, same, other = (attribute_reward(model, chat, steps=2, shuffles=5, seed=seed) for seed in (0, 0, 1))
    assert one.shuffled.tolist() == same.shuffled.tolist() != other.shuffled.tolist()
    assert np.ptp(one.shuffled) > 0

    def alike(values: np.ndarray) -> np.ndarray:
        return np.full_like(values, 7.0)

    encoder = model._encoder
    encoder.predictor = ChangedPredictor(encoder.predictor, alike)
    found = attribute_reward(model, chat, steps=2, shuffles=5)
    np.testing.assert_allclose(found.shuffled, found.reward, atol=1e-5)  # there is nothing to shuffle


def test_units_know_their_words(scorer: Callable[[str], RewardScorer], pair: PreferencePair) -> None:
    chat = pair.chat_with(pair.chosen)
    found = attribute_reward(scorer("add"), chat, steps=2, shuffles=0)
    for at in np.unique(found.messages):
        expected = word_spans(chat[at].content)
        assert found.spans[found.messages == at].tolist() == expected.tolist()
    assert found.messages.max() == len(chat) - 1


def test_the_model_is_as_it_was(scorer: Callable[[str], RewardScorer], pair: PreferencePair) -> None:
    model = scorer("concat")
    model.model.train()
    trained = [weight.requires_grad for weight in model.model.parameters()]
    attribute_reward(model, pair.chat_with(pair.chosen), steps=2, shuffles=1)
    assert model.model.training
    assert [weight.requires_grad for weight in model.model.parameters()] == trained
    assert all(weight.grad is None for weight in model.model.parameters())


def test_a_model_without_gaze_is_refused(scorer: Callable[[str], RewardScorer], pair: PreferencePair) -> None:
    with pytest.raises(InputError, match=r"fusion\.kind 'none': this model sees no gaze"):
        attribute_reward(scorer("none"), pair.chat_with(pair.chosen))
