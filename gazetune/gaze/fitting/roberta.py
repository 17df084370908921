"""Fit the predictor `roberta`: a RoBERTa fine-tuned on the measures of each word, read at the word's first token.

As Li & Rudzicz (TorontoCL at CMCL 2021, arXiv 2104.07244) did it: a linear layer on the encoder, all weights trained by
the mean absolute error over words, 16 sentences a step. Theirs ran for over 100 epochs at a constant rate; here AdamW
warms up over a tenth of the steps and its rate then falls to 0 within 20 epochs, as Mosbach et al. (ICLR 2021, arXiv
2006.04884) found stable on small data, and the epoch is chosen on sentences of the training file that were held out.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import nn

from gazetune.errors import InputError, RunError
from gazetune.gaze.fitting.pretrained_roberta import DECODER, PretrainedRoberta
from gazetune.gaze.measured_sentences import MeasuredSentences
from gazetune.gaze.networks.batches import batch_by_length, pick_device, replace_surrogates
from gazetune.gaze.networks.roberta import WINDOW, compute_token_outputs, find_first_tokens, window_starts

_LOG = logging.getLogger(__name__)

_BATCH = 16
_WARMUP = 0.1
_WEIGHT_DECAY = 0.01
_LARGEST_GRADIENT = 1.0
_HELD_OUT = 0.1


@dataclass(frozen=True, slots=True)
class RobertaRecipe:
    """How a RoBERTa is fitted."""

    base: str = "FacebookAI/roberta-base/model.safetensors"
    """The RoBERTa to begin with: a file or folder with config.json and tokenizer.json, or a hub id. The folder of an
    earlier fit is one too, and then its output layer is begun with as well: fine-tuning in stages."""
    epochs: int = 20
    learning_rate: float = 5e-5
    """The highest one of AdamW."""

    def check_against(self, data: MeasuredSentences) -> None:
        """Refuse a recipe that cannot be followed on these sentences.

        Raises
        ------
        InputError
            If there is no epoch, no such learning rate, or no sentence to hold out.
        """
        if self.epochs < 1:
            raise InputError(f"--epochs: {self.epochs}; accepted: 1 or more")
        if not 0 < self.learning_rate <= 1:
            raise InputError(f"--learning-rate: {self.learning_rate}; accepted: a number above 0, at most 1")
        if len(data.texts) < 2:
            raise InputError("--data: has 1 sentence; accepted: 2 or more, since some are held out to choose the epoch")


@dataclass(frozen=True, slots=True)
class _Scale:
    """Between measures and what the network learns: each measure by itself, with mean 0 and spread 1."""

    centre: NDArray[np.float64]
    """[5]"""
    spread: NDArray[np.float64]
    """[5]"""

    def to_measures(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return standardised values [words, 5] in the measures' own units."""
        return values * self.spread + self.centre


@dataclass(frozen=True, slots=True)
class _Window:
    """What of a sentence the network sees at once."""

    ids: list[int]
    first_tokens: NDArray[np.int64]
    """[words] of the words' first tokens."""
    targets: torch.Tensor
    """[words, 5] standardised measures."""


@dataclass(frozen=True, slots=True)
class _Best:
    """The best weights so far."""

    epoch: int
    error: float
    tensors: dict[str, torch.Tensor]


def fit_roberta(
    data: MeasuredSentences, base: PretrainedRoberta, recipe: RobertaRecipe, seed: int, folder: Path
) -> str:
    """Fit a RoBERTa to measured sentences; write `roberta.safetensors`, `config.json` and `tokenizer.json`.

    It minimises the mean absolute error, the shared task's metric, with every measure divided by its standard
    deviation. Same file, base, recipe and seed, same weights (on one thread of one kind of machine, without a GPU).

    Parameters
    ----------
    base
        As `read_pretrained_roberta` returned it; it is changed.
    folder
        Exists and has none of the three files.

    Returns
    -------
    str
        What the weights' card says of the fit.

    Raises
    ------
    RunError
        If the fit came to numbers that are not finite.
    """
    scale = _Scale(data.values.mean(axis=0), np.maximum(data.values.std(axis=0), 1e-6))
    sentences = _cut_windows(base.tokenizer, data, (data.values - scale.centre) / scale.spread)
    order = np.random.default_rng(seed).permutation(len(sentences))
    held = max(1, round(_HELD_OUT * len(sentences)))
    held_out, fit_to = ([window for index in part for window in sentences[index]] for part in np.split(order, [held]))
    device = pick_device()
    pad = int(base.architecture["pad_token_id"])
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        _start_decoder(base, scale)
        best = _fine_tune(base.network.to(device), fit_to, held_out, recipe, pad, scale)
    weight, bias = (best.tensors[name].double().numpy() for name in DECODER)
    # The network learns standardised measures: the output layer takes them back to the measures' own units.
    best.tensors["decoder.weight"] = torch.from_numpy(weight * scale.spread[:, None]).float()
    best.tensors["decoder.bias"] = torch.from_numpy(scale.to_measures(bias)).float()
    (folder / "roberta.safetensors").write_bytes(save(best.tensors))
    config = json.dumps({"model_type": "roberta", **base.architecture}, indent=2)
    (folder / "config.json").write_text(f"{config}\n", encoding="utf-8")
    base.tokenizer.save(str(folder / "tokenizer.json"))
    return f"""from
`{recipe.base}` with seed {seed}: {recipe.epochs} epochs with a learning rate of up to {recipe.learning_rate:g}.
The weights are those of epoch {best.epoch}, whose mean absolute error on {held} of the {len(sentences)} sentences,
held out to choose it, was {best.error:.3f}"""


def _cut_windows(tokenizer: Tokenizer, data: MeasuredSentences, targets: NDArray[np.float64]) -> list[list[_Window]]:
    """Return the windows of each sentence as the predictor reads them; a word that two share stands in both."""
    words = [[replace_surrogates(word) for word in text.split()] for text in data.texts]
    sentences, offset = [], 0
    for its, encoding in zip(words, tokenizer.encode_batch(words, is_pretokenized=True), strict=True):
        known, first = find_first_tokens(encoding)
        windows = []
        for start in window_starts(len(encoding.ids)):
            here = (first >= start) & (first < start + WINDOW)
            if here.any():
                measures = torch.from_numpy(targets[offset + known[here]]).float()
                windows.append(_Window(encoding.ids[start : start + WINDOW], first[here] - start, measures))
        sentences.append(windows)
        offset += len(its)
    return sentences


def _start_decoder(base: PretrainedRoberta, scale: _Scale) -> None:
    """Make the output layer one for standardised measures."""
    decoder: Any = base.network["decoder"]
    if not base.fitted:
        decoder.reset_parameters()
        return
    centre, spread = torch.from_numpy(scale.centre), torch.from_numpy(scale.spread)
    decoder.weight /= spread[:, None]
    decoder.bias.copy_((decoder.bias - centre) / spread)


def _fine_tune(
    network: nn.ModuleDict,
    fit_to: Sequence[_Window],
    held_out: Sequence[_Window],
    recipe: RobertaRecipe,
    pad: int,
    scale: _Scale,
) -> _Best:
    """Train all weights of the network; return those of the epoch that came nearest to what was held out."""
    from transformers import get_linear_schedule_with_warmup

    network.requires_grad_(True)
    steps = recipe.epochs * -(-len(fit_to) // _BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=_WEIGHT_DECAY)
    schedule = get_linear_schedule_with_warmup(optimizer, round(_WARMUP * steps), steps)
    best = _Best(0, math.inf, {})
    with _make_progress_bar() as progress:
        bar = progress.add_task("", total=steps)
        for epoch in range(1, recipe.epochs + 1):
            progress.update(bar, description=f"epoch {epoch} of {recipe.epochs}")
            network.train()
            order = torch.randperm(len(fit_to)).tolist()
            for start in range(0, len(order), _BATCH):
                optimizer.zero_grad()
                outputs, targets = _gather_at_words(
                    network, [fit_to[index] for index in order[start : start + _BATCH]], pad
                )
                (outputs - targets).abs().mean().backward()
                nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
                optimizer.step()
                schedule.step()
                progress.advance(bar)
            error = _compute_held_out_error(network, held_out, pad, scale)
            if not math.isfinite(error):
                raise RunError(
                    f"epoch {epoch}: the errors are no numbers; try --learning-rate below {recipe.learning_rate:g}"
                )
            progress.console.log(f"epoch {epoch} of {recipe.epochs}: mean MAE on held-out sentences {error:.3f}")
            if error < best.error:
                tensors = {name: tensor.cpu().clone() for name, tensor in network.state_dict().items()}
                best = _Best(epoch, error, tensors)
    return best


def _gather_at_words(network: nn.ModuleDict, windows: Sequence[_Window], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the network says at the words of the windows, and what it should say, both [words, 5]."""
    outputs = compute_token_outputs(network, [window.ids for window in windows], pad)
    rows = np.repeat(np.arange(len(windows)), [len(window.first_tokens) for window in windows])
    first_tokens = np.concatenate([window.first_tokens for window in windows])
    targets = torch.cat([window.targets for window in windows]).to(outputs.device)
    return outputs[torch.from_numpy(rows), torch.from_numpy(first_tokens)], targets


def _compute_held_out_error(network: nn.ModuleDict, windows: Sequence[_Window], pad: int, scale: _Scale) -> float:
    """Return the mean absolute error over words and measures, in the measures' units, within 0..100 as predicted."""
    network.eval()
    errors = []
    for batch in batch_by_length([len(window.ids) for window in windows]):
        with torch.inference_mode():
            both = _gather_at_words(network, [windows[index] for index in batch], pad)
        outputs, targets = (scale.to_measures(values.cpu().double().numpy()) for values in both)
        errors.append(np.abs(np.clip(outputs, 0.0, 100.0) - targets))
    return float(np.concatenate(errors).mean())


def _make_progress_bar() -> Progress:
    """Return a bar on stderr, where that is a terminal, with a console for lines; silent with `--quiet`."""
    console = Console(stderr=True, log_path=False, quiet=not _LOG.isEnabledFor(logging.INFO), highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
    return Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
