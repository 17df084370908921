"""What moved the rewards of one conversation or of both replies of a pair, word by word, as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gazetune.explain.attribution import SHUFFLES, STEPS, Attribution, attribute_reward
from gazetune.gaze.words import word_spans
from gazetune.preferences.pair import Message
from gazetune.reward.saved.reward_scorer import RewardScorer


@dataclass(frozen=True)
class ExplainedMessage:
    """A message that the model sees gaze on, with W words and F measures."""

    role: str
    text: str
    values: NDArray[np.float64]
    """[W, F] measures; zeros for a word that the model does not see gaze on."""
    effects: NDArray[np.float64]
    """[W, F] what each measure of each word adds to the reward."""

    @property
    def words(self) -> list[str]:
        """The words of the message."""
        return [self.text[start:stop] for start, stop in word_spans(self.text).tolist()]


@dataclass(frozen=True)
class ExplainedReward:
    """A conversation with what moved its reward."""

    caption: str
    """`chosen`, `rejected`, or empty for a conversation by itself."""
    attribution: Attribution
    messages: tuple[ExplainedMessage, ...]


def explain_rewards(
    scorer: RewardScorer, chats: Mapping[str, Sequence[Message]], steps: int = STEPS, shuffles: int = SHUFFLES
) -> tuple[ExplainedReward, ...]:
    """Return conversations, given by their captions, with what moved their rewards.

    Raises
    ------
    InputError
        As `attribute_reward`.
    """
    explained = []
    for caption, chat in chats.items():
        found = attribute_reward(scorer, chat, steps, shuffles)
        messages = tuple(_explain_message(found, chat, at) for at in np.unique(found.messages).tolist())
        explained.append(ExplainedReward(caption, found, messages))
    return tuple(explained)


def explanation_document(model: str, explained: Sequence[ExplainedReward]) -> dict[str, Any]:
    """Return the document: of each conversation its rewards, what each measure and word adds; of a pair its margin."""
    document: dict[str, Any] = {"model": model, "conversations": [_conversation(each) for each in explained]}
    if len(explained) == 2:
        chosen, rejected = (each.attribution for each in explained)
        document["margin"] = chosen.reward - rejected.reward
        document["margin_at_mean"] = chosen.at_mean - rejected.at_mean
        document["margin_left_out"] = {
            name: chosen.left_out[name] - rejected.left_out[name] for name in chosen.features
        }
    return document


def _explain_message(found: Attribution, chat: Sequence[Message], at: int) -> ExplainedMessage:
    """Return a message with measures and effects of its words: the sums over the units of each."""
    message = chat[at]
    starts = word_spans(message.content)[:, 0]
    units = np.flatnonzero(found.messages == at)
    # A unit that begins before the first word stands on it: it took in the white space there.
    words = np.maximum(np.searchsorted(starts, found.spans[units, 0], side="right") - 1, 0)
    values, effects = np.zeros((2, len(starts), len(found.features)))
    np.add.at(values, words, found.values[units])
    np.add.at(effects, words, found.units[units])
    return ExplainedMessage(message.role, message.content, values, effects)


def _conversation(explained: ExplainedReward) -> dict[str, Any]:
    found = explained.attribution
    return {
        "caption": explained.caption,
        "reward": found.reward,
        "reward_at_mean": found.at_mean,
        "left_out": found.left_out,
        "added": dict(zip(found.features, found.units.sum(axis=0).tolist(), strict=True)),
        "residual": found.residual,
        "shuffled": describe_shuffled(found),
        "messages": [_message(message, found.features) for message in explained.messages],
    }


def describe_shuffled(found: Attribution) -> dict[str, float | int] | None:
    """Return mean, standard deviation and number of the shuffled rewards, and how many are below the real one."""
    if not len(found.shuffled):
        return None
    return {
        "mean": float(found.shuffled.mean()),
        "sd": float(found.shuffled.std()),
        "n": len(found.shuffled),
        "below": int((found.shuffled < found.reward).sum()),
    }


def _message(message: ExplainedMessage, features: Sequence[str]) -> dict[str, Any]:
    words = [
        {
            "word": word,
            "added": float(effects.sum()),
            "measures": dict(zip(features, values.tolist(), strict=True)),
            "added_by_measure": dict(zip(features, effects.tolist(), strict=True)),
        }
        for word, values, effects in zip(message.words, message.values, message.effects, strict=True)
    ]
    return {"role": message.role, "words": words}
