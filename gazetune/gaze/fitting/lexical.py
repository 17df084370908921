"""Fit the networks of the predictor `lexical` to measured sentences.

The fit runs on one thread with a seed, so the same data give the same weights.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import nn

from gazetune.config import MEASURES
from gazetune.gaze.lexical_features import (
    BUCKETS,
    CONTEXT,
    FORM_FEATURES,
    PLACE_FEATURES,
    WordTable,
    neighbour_forms,
    word_places,
    word_table,
)
from gazetune.gaze.measured_sentences import MeasuredSentences

_LOG = logging.getLogger(__name__)

_MEMBERS = 4
_PIECE = 8
_CODE = 16
_HIDDEN = 64
_EPOCHS = 15
_BATCH = 128
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 0.6
_DROPOUT = 0.1
_PIECE_DROPOUT = 0.5
# A flag that is nearly always off would otherwise become a huge input on the words that have it.
_SMALLEST_SCALE = 0.05


def fit_lexical(data: MeasuredSentences, seed: int = 0) -> bytes:
    """Fit the networks of the lexical predictor to measured sentences and return their weights as safetensors.

    Each network minimises the mean absolute error, the shared task's metric, with every measure divided by its
    standard deviation. Same file and seed, same weights (on one kind of machine).
    """
    table = word_table(data.texts)
    words = len(table.form)
    forms, places = table.forms[table.form], word_places(table, 0, words)
    scaling = {"form_mean": forms.mean(axis=0), "form_scale": np.maximum(forms.std(axis=0), _SMALLEST_SCALE)}
    scaling |= {"place_mean": places.mean(axis=0), "place_scale": np.maximum(places.std(axis=0), _SMALLEST_SCALE)}
    inputs = _Inputs(
        forms=torch.from_numpy((table.forms - scaling["form_mean"]) / scaling["form_scale"]).float(),
        pieces=_piece_weights(table),
        near=torch.from_numpy(neighbour_forms(table, 0, words)),
        places=torch.from_numpy((places - scaling["place_mean"]) / scaling["place_scale"]).float(),
    )
    centre, spread = data.values.mean(axis=0), np.maximum(data.values.std(axis=0), 1e-6)
    targets = torch.from_numpy((data.values - centre) / spread).float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums over several threads end in different last bits
    try:
        members = []
        for member in range(_MEMBERS):
            _LOG.info("fitting network %d of %d to %d words", member + 1, _MEMBERS, len(targets))
            members.append(
                _fit_member(inputs, targets, (seed * _MEMBERS + member) % 2**64)
            )  # the range of torch's seeds
    finally:
        torch.set_num_threads(threads)
    tensors = {name: np.stack([member[name] for member in members]) for name in members[0]}
    # The networks learn standardised measures: the last layer takes them back to the measures' own units.
    tensors["w3"], tensors["b3"] = tensors["w3"] * spread, tensors["b3"] * spread + centre
    tensors |= scaling
    # safetensors writes the memory as it lies, so a transposed array must be put in order first.
    half = {name: np.ascontiguousarray(tensors[name], dtype=np.float16) for name in sorted(tensors)}
    return save(half)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What the networks see of the words they are fitted to, standardised."""

    forms: torch.Tensor
    """[distinct words, FORM_FEATURES]"""
    pieces: torch.Tensor
    """[distinct words, BUCKETS], the share of each letter group in the word."""
    near: torch.Tensor
    """[words, 2 * CONTEXT + 1] rows of the two above; the number of distinct words where there is none."""
    places: torch.Tensor
    """[words, PLACE_FEATURES]"""


def _piece_weights(table: WordTable) -> torch.Tensor:
    counts = np.diff(table.piece_offsets)
    weights = np.zeros((len(table.forms), BUCKETS), dtype=np.float32)
    weights[np.repeat(np.arange(len(counts)), counts), table.pieces] = np.repeat(1.0 / np.sqrt(counts), counts)
    return torch.from_numpy(weights)


class _Network(nn.Module):
    """One network as `LexicalPredictor` computes it, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        own = FORM_FEATURES + _PIECE
        self.pieces = nn.Parameter(torch.randn(BUCKETS, _PIECE) * 0.05)
        sizes = (own, own + (2 * CONTEXT + 1) * _CODE + PLACE_FEATURES, _HIDDEN, _HIDDEN)
        outputs = (_CODE, _HIDDEN, _HIDDEN, len(MEASURES))
        self.layers = nn.ModuleList([nn.Linear(*shape) for shape in zip(sizes, outputs, strict=True)])

    def forward(self, inputs: _Inputs, words: torch.Tensor) -> torch.Tensor:
        """Return the standardised measures of the words at the given rows, [rows, 5]."""
        distinct, near = torch.unique(inputs.near[words], return_inverse=True)
        there = distinct < len(inputs.forms)
        rows = torch.where(there, distinct, 0)
        letters = torch.dropout(inputs.pieces[rows], _PIECE_DROPOUT, self.training) @ self.pieces
        own = torch.cat([inputs.forms[rows], letters], dim=1)
        code = torch.relu(self.layers[0](own)) * there[:, None]
        seen = [own[near[:, CONTEXT]], code[near].flatten(1), inputs.places[words]]
        state = torch.cat(seen, dim=1)
        for layer in (self.layers[1], self.layers[2]):
            state = torch.dropout(torch.relu(layer(state)), _DROPOUT, self.training)
        return self.layers[3](state)


def _fit_member(inputs: _Inputs, targets: torch.Tensor, seed: int) -> dict[str, NDArray[np.float64]]:
    """Fit one network to targets [words, 5]; return its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _Network()
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        steps = _EPOCHS * -(-len(targets) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            _LEARNING_RATE,
            total_steps=steps,
            pct_start=max(0.1, 2 / steps),  # torch divides by the number of rising steps less one
        )
        for _ in range(_EPOCHS):
            order = torch.randperm(len(targets))
            for start in range(0, len(targets), _BATCH):
                rows = order[start : start + _BATCH]
                optimizer.zero_grad()
                (network(inputs, rows) - targets[rows]).abs().mean().backward()
                optimizer.step()
                schedule.step()
    weights = {
        f"w{number}": layer.get_parameter("weight").detach().T.double().numpy()
        for number, layer in enumerate(network.layers)
    }
    biases = {
        f"b{number}": layer.get_parameter("bias").detach().double().numpy()
        for number, layer in enumerate(network.layers)
    }
    return {"pieces": network.pieces.detach().double().numpy()} | weights | biases
