"""The reading measures of the texts of preference pairs, from the store that the config names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from gazetune.config import Config, GazeConfig
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.gaze.store.build import PredictBatches, Progress, build_store
from gazetune.gaze.store.gaze_store import GazeStore
from gazetune.gaze.store.location import locate_store
from gazetune.preferences.pair import PreferencePair
from gazetune.reward.data.encoding import find_scoped_passages
from gazetune.reward.data.rendered_length import load_pair_splits

RemotePrediction = Callable[[Config, GazePredictor], PredictBatches]
"""Predicts with the config's predictor in other processes, as `gaze.store.parallel.RayPrediction` does."""


def distinct_texts(pairs: Sequence[PreferencePair], scope: Literal["prompt+response", "response"]) -> list[str]:
    """Return the texts of pairs that are in the scope, each once, in their order."""
    prompts = scope == "prompt+response"
    texts = (
        text
        for pair in pairs
        for text in (*(message.content for message in pair.prompt if prompts), pair.chosen, pair.rejected)
    )
    return list(dict.fromkeys(texts))


def texts_to_predict(pairs: Sequence[PreferencePair], gaze: GazeConfig) -> list[str]:
    """Return the texts that the gaze predictor reads, each once, in their order.

    With `gaze.context: message` these are the messages in the scope. With `chat` they are whole chats, of which the
    scope takes its part after they were read.
    """
    if gaze.context == "message" and gaze.predictor_units == "words":
        return distinct_texts(pairs, gaze.scope)
    chats = (pair.chat_with(reply) for pair in pairs for reply in (pair.chosen, pair.rejected))
    return list(dict.fromkeys(passage.text for chat in chats for _, passage in find_scoped_passages(chat, gaze)))


def open_gaze_store(
    config: Config,
    cache: Path,
    texts: Sequence[str],
    predictor: GazePredictor,
    progress: Progress | None = None,
    remote_prediction: RemotePrediction | None = None,
) -> GazeStore:
    """Return the store of the config, with `texts` in it.

    Raises
    ------
    InputError
        As `locate_store` and `build_store`.
    """
    location = locate_store(config.gaze.store, cache)
    return build_store(texts, predictor, location, progress, remote_prediction and remote_prediction(config, predictor))


def store_pair_gaze(
    config: Config, cache: Path, progress: Progress | None = None, remote_prediction: RemotePrediction | None = None
) -> GazeStore:
    """Store the measures of all texts of the config's preference pairs, as preparing them would.

    Raises
    ------
    InputError
        For pairs that cannot be read, and as `open_gaze_store`.
    """
    predictor = create_predictor(config)
    splits = load_pair_splits(config)
    texts = texts_to_predict([*splits.train, *splits.validation, *splits.test], config.gaze)
    return open_gaze_store(config, cache, texts, predictor, progress, remote_prediction)
