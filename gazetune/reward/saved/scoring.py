"""Scoring conversations end to end with a saved model: its tokenizer, its gaze predictor, and the code of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.measures import FlatGaze, GazePredictor
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.gaze.store.build import predict_flat
from gazetune.preferences.pair import Message
from gazetune.preferences.sources.shapes import read_messages
from gazetune.reward.data.conversation import ChatEncoder
from gazetune.reward.data.encoding import TextRows, align_chat, flat_arrays, model_units, scoped_passages
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.layout.passes import divide_passes
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.reward_model import GazeRewardModel
from gazetune.reward.saved.saving import CONFIG, load_reward_model, read_facts, saved_config, saved_tokenizer

Chat = Sequence[Message | Mapping[str, Any]]


class ChatReader:
    """Turns conversations into what one saved model reads: tokens of its tokenizer and gaze of its predictor."""

    def __init__(
        self, config: Config, tokenizer: PreTrainedTokenizerFast, predictor: GazePredictor | None, context: int | None
    ) -> None:
        """`predictor` is None where the model sees no gaze; `context` is the most positions that the backbone takes."""
        self.config, self.predictor, self.context = config, predictor, context
        self._encoder = ChatEncoder(tokenizer, config.data.max_tokens)

    def read(self, chats: Sequence[Chat]) -> EncodedSplit:
        """Return the conversations as sequences, in their order.

        Raises
        ------
        InputError
            For a conversation that does not end in an assistant's reply or has an unknown role, and for a text that the
            predictor has no measures of.
        """
        origins = [f"chat {number}" for number in range(len(chats))]
        read = [_checked(chat, origin) for chat, origin in zip(chats, origins, strict=True)]
        texts = list(dict.fromkeys(place.text for chat in read for _, place in scoped_passages(chat, self.config.gaze)))
        units = self._gaze(texts)
        rows = TextRows({text: row for row, text in enumerate(texts)}, units.offsets, units.spans)
        encoded = self._encoder.encode(read, origins)
        aligned = [align_chat(one, chat, rows, self.config.gaze) for one, chat in zip(encoded, read, strict=True)]
        no_scores = np.zeros(0, dtype=np.float32)
        return EncodedSplit(
            **flat_arrays(aligned), scores=no_scores, values=np.ascontiguousarray(units.values, dtype=np.float32)
        )

    def _gaze(self, texts: Sequence[str]) -> FlatGaze:
        if self.predictor is None:
            none = np.zeros(0, dtype=np.int32)
            nothing = np.zeros((0, len(MEASURES)), dtype=np.float32)
            return FlatGaze(none.reshape(0, 2), nothing, none, np.zeros(len(texts) + 1, dtype=np.int64))
        return model_units(self.config, predict_flat(self.predictor, texts))


def load_scoring_model(folder: Path, backbone: str | None = None, gaze_path: str | None = None) -> GazeRewardModel:
    """Load a saved model in evaluation mode with all that `GazeRewardModel.score` needs.

    Parameters
    ----------
    folder
        A folder `best` of a run.
    backbone
        Where the backbone is now, if not where the config says.
    gaze_path
        Where the gaze predictor's file is now, if not where the config says.

    Raises
    ------
    InputError
        When the folder is no whole saved model, the predictor is not the one that the model was trained with, or the
        model was trained with a control in the place of gaze.
    """
    config, facts = saved_config(folder), read_facts(folder)
    if backbone is not None:
        config = config.model_copy(update={"backbone": backbone})
    if gaze_path is not None:
        config = config.model_copy(update={"gaze": config.gaze.model_copy(update={"path": gaze_path})})
    predictor = None
    if config.fusion.kind != "none":
        if config.gaze.control != "none":
            raise InputError(
                f"{folder / CONFIG}: gaze.control: '{config.gaze.control}': this model was trained with measures that "
                "say nothing about a text, to be compared with another one on the same pairs; accepted: none"
            )
        predictor = create_predictor(config)
        _check_predictor(folder, config, predictor, facts.gaze_fingerprint)
    reader = ChatReader(config, saved_tokenizer(folder), predictor, facts.context)
    model = load_reward_model(folder, config=config)
    model.reader = reader
    return model


def score_chats(model: GazeRewardModel, reader: ChatReader, chats: Sequence[Chat]) -> Tensor:
    """Return the rewards [n] float32 of conversations, on the CPU; the same whatever is scored beside them.

    Raises
    ------
    InputError
        As `ChatReader.read`, and for a conversation that the backbone has no room for.
    """
    if not chats:
        return torch.zeros(0)
    device = model.head.weight.device
    split = reader.read(chats)
    model.use_layout(choose_layout(model.config, model.bare_backbone(), device))
    lengths = split.text_lengths(model.layout)
    longest = int(lengths.argmax())
    if reader.context is not None and lengths[longest] > reader.context:
        raise InputError(
            f"chat {longest}: {lengths[longest]} positions with fusion.kind {model.config.fusion.kind}, and backbone "
            f"'{model.config.backbone}' takes {reader.context}"
        )
    rewards = torch.zeros(len(chats))
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for (rows,) in divide_passes(lengths[:, None], model.config.train.eval_tokens, world=1):
            batch = split.batch_single_texts(rows, model.layout).to(device)
            rewards[torch.from_numpy(rows)] = model(batch).float().cpu()
    model.train(was_training)
    return rewards


def _checked(chat: Chat, origin: str) -> tuple[Message, ...]:
    items = [{"role": item.role, "content": item.content} if isinstance(item, Message) else item for item in chat]
    messages = read_messages(origin, "messages", items)
    if not messages or messages[-1].role != "assistant":
        last = messages[-1].role if messages else "nothing"
        raise InputError(f"{origin}: ends with {last}; accepted: a conversation that ends with an assistant's reply")
    return messages


def _check_predictor(folder: Path, config: Config, predictor: GazePredictor, trained_with: str) -> None:
    """Refuse a predictor with other weights than in training. Recordings are looked up: their file may be another."""
    if config.gaze.predictor != "recorded" and predictor.fingerprint != trained_with:
        raise InputError(
            f"{folder / CONFIG}: gaze.predictor '{config.gaze.predictor}' has the fingerprint {predictor.fingerprint} "
            f"here, and the model was trained with {trained_with}; gaze_path names the file it was trained with"
        )
