"""Rewards of conversations from a saved model: its tokenizer, its gaze predictor, and the code of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from gazetune.config import Config, is_control
from gazetune.errors import InputError
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.reward.data.encoding import AlignedChat
from gazetune.reward.data.gaze_chat_encoder import Chat, GazeChatEncoder
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.layout.passes import divide_passes
from gazetune.reward.model.checks.tokenizer import check_token_ids
from gazetune.reward.model.layout_choice import choose_layout
from gazetune.reward.model.reference_tokens import ADDED_TOKENS
from gazetune.reward.saved.saved_model import (
    CONFIG,
    load_reward_model,
    load_saved_tokenizer,
    read_facts,
    read_saved_config,
)


class OverLongChat(InputError):
    """A conversation with more positions than a backbone takes."""

    reason = "more positions than the backbone takes"
    """What such conversations are counted by."""


class RewardScorer:
    """Gives conversations the rewards of a saved model, end to end.

    A conversation is tokenised, its gaze is predicted and aligned, and it is laid out by the code that training uses.
    Its reward is the same alone and among others.

    Parameters
    ----------
    folder : str or Path
        A saved model: the folder `best` of a run or of a trial.
    backbone : str, optional
        Where the backbone is now, if not where the model's config says.
    gaze_path : str, optional
        Where the gaze predictor's file is now, if not where the model's config says.

    Attributes
    ----------
    model : GazeRewardModel
        In evaluation mode, on the CPU until `to` moves it.

    Raises
    ------
    InputError
        When the folder is no whole saved model, the predictor is not the one that the model was trained with, or the
        model was trained with a control in the place of gaze.

    Examples
    --------
    >>> from gazetune import RewardScorer
    >>> scorer = RewardScorer.from_pretrained("gazetune_runs/mine/best")
    >>> question = {"role": "user", "content": "Why is the sky blue?"}
    >>> rewards = scorer.score(
    ...     [
    ...         [question, {"role": "assistant", "content": "Air scatters blue light most."}],
    ...         [question, {"role": "assistant", "content": "Because."}],
    ...     ]
    ... )
    >>> rewards.shape
    torch.Size([2])
    """

    def __init__(self, folder: str | Path, backbone: str | None = None, gaze_path: str | None = None) -> None:
        folder = Path(folder)
        config, facts = read_saved_config(folder), read_facts(folder)
        if backbone is not None:
            config = config.model_copy(update={"backbone": backbone})
        if gaze_path is not None:
            config = config.model_copy(update={"gaze": config.gaze.model_copy(update={"path": gaze_path})})
        # What can be refused is read before the weights are.
        predictor = load_scoring_predictor(folder, config, facts.gaze_fingerprint)
        tokenizer = load_saved_tokenizer(folder)
        self._encoder = GazeChatEncoder(config, tokenizer, predictor)
        self._context = facts.context
        self.model = load_reward_model(folder, config=config)
        own = ADDED_TOKENS if config.data.tokens == "reference" else 0
        embedding = cast(nn.Embedding, self.model.bare_backbone().get_input_embeddings())
        check_token_ids(config.backbone, tokenizer, embedding.num_embeddings + own)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, backbone: str | None = None, gaze_path: str | None = None
    ) -> RewardScorer:
        """Return a scorer of a saved model; the same as the class itself, by the name that other libraries use."""
        return cls(folder, backbone, gaze_path)

    def to(self, device: str | torch.device) -> RewardScorer:
        """Move the model to a device and return the scorer."""
        self.model.to(device)
        return self

    def score(self, chats: Sequence[Chat]) -> Tensor:
        """Return the rewards [n] float32, on the CPU, of conversations that end with an assistant's reply.

        Parameters
        ----------
        chats
            Conversations of any number and lengths. A message is a `Message` or a mapping with `role` and `content`.

        Raises
        ------
        InputError
            For a conversation that does not end with an assistant's reply, has an unknown role, or has more positions
            than the backbone takes; for a text that the predictor has no measures of.
        """
        if not chats:
            return torch.zeros(0)
        model = self.model
        device = model.head.weight.device
        split, _ = self.encode_chats(chats)
        lengths = split.text_lengths(model.layout)
        rewards = torch.zeros(len(chats))
        was_training = model.training
        model.eval()
        with torch.no_grad():
            for (texts,) in divide_passes(lengths[:, None], model.config.train.eval_tokens, world=1):
                batch = split.batch_single_texts(texts, model.layout).to(device)
                rewards[torch.from_numpy(texts)] = model(batch).float().cpu()
        model.train(was_training)
        return rewards

    def encode_chats(self, chats: Sequence[Chat]) -> tuple[EncodedSplit, list[AlignedChat]]:
        """Return conversations as batches of the model are made of, and where the units of gaze of each stand.

        The model takes batches of its layout from then on.

        Raises
        ------
        InputError
            As `score`.
        """
        model = self.model
        split, aligned = self._encoder.align_chats(chats)
        model.use_layout(choose_layout(model.config, model.bare_backbone(), model.head.weight.device))
        lengths = split.text_lengths(model.layout)
        longest = int(lengths.argmax())
        if self._context is not None and lengths[longest] > self._context:
            raise OverLongChat(
                f"chat {longest}: {lengths[longest]} positions with fusion.kind {model.config.fusion.kind}, and "
                f"backbone '{model.config.backbone}' takes {self._context}"
            )
        return split, aligned


def load_scoring_predictor(folder: Path, config: Config, trained_with: str) -> GazePredictor | None:
    """Return the predictor that a model was trained with, by its fingerprint; None for a model without gaze.

    Raises
    ------
    InputError
        When the model was trained with a control, or the predictor of its config is another one here.
    """
    if config.fusion.kind == "none":
        return None
    if is_control(config.gaze.control):
        raise InputError(
            f"{folder / CONFIG}: gaze.control: '{config.gaze.control}': this model was trained with measures that "
            "say nothing about a text, to be compared with another one on the same pairs; accepted: none"
        )
    predictor = create_predictor(config)
    # Recordings are looked up, not predicted: their file may be another one.
    if config.gaze.predictor != "recorded" and predictor.fingerprint != trained_with:
        raise InputError(
            f"{folder / CONFIG}: gaze.predictor '{config.gaze.predictor}' has the fingerprint {predictor.fingerprint} "
            f"here, and the model was trained with {trained_with}; gaze_path names the file it was trained with"
        )
    return predictor
