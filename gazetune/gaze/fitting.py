"""Fit the lexical predictor to a CSV of reading measures in the format of the CMCL 2021 shared task.

    python -m gazetune.gaze.fitting --data train.csv --valid valid.csv --out lexical.safetensors

prints the errors on the validation file as JSON. One thread and a fixed seed: the same data gives the same file.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.stats import spearmanr
from torch import nn

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.lexical_features import FEATURES, feature_rows, word_table
from gazetune.gaze.measures import GazePredictor
from gazetune.gaze.predictors.lexical import LexicalPredictor

_MEMBERS = 4
_HIDDEN = 64
_EPOCHS = 10
_BATCH = 128
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 0.6
_DROPOUT = 0.2
# A flag that is nearly always off would otherwise become a huge input on the words that have it.
_SMALLEST_SCALE = 0.05


@dataclass(frozen=True, slots=True)
class ReadSentences:
    """Sentences with the mean measures of their readers."""

    texts: tuple[str, ...]
    """The words of each sentence, joined by single spaces."""
    values: NDArray[np.float64]
    """[words, 5] measures of all words in order."""


def read_sentences(path: Path) -> ReadSentences:
    """Read a CMCL-format CSV: columns sentence_id, word, nFix, FFD, GPT, TRT, fixProp; one row a word.

    Raises
    ------
    InputError
        If the file cannot be read, or a row has no word, a word with white space, or a measure outside 0..100.
    """
    sentences: dict[str, list[str]] = {}
    values = []
    current = None
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in ("sentence_id", "word", *MEASURES) if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: columns missing: {', '.join(missing)}")
            for row, fields in enumerate(reader, start=1):
                word, measures = _read_row(f"{path} row {row}", fields)
                if fields["sentence_id"] != current and fields["sentence_id"] in sentences:
                    raise InputError(f"{path} row {row}: sentence_id: {fields['sentence_id']} comes in two pieces")
                current = fields["sentence_id"]
                sentences.setdefault(current, []).append(word)
                values.append(measures)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from None
    if not values:
        raise InputError(f"{path}: has no rows")
    return ReadSentences(tuple(" ".join(words) for words in sentences.values()), np.array(values))


def _read_row(place: str, fields: dict[str, Any]) -> tuple[str, list[float]]:
    word = (fields["word"] or "").replace("<EOS>", "")
    if len(word.split()) != 1 or word != word.strip():
        raise InputError(f"{place}: word: '{word}'; accepted: one word without white space")
    measures = []
    for name in MEASURES:
        try:
            measures.append(float(fields[name]))
        except (TypeError, ValueError):
            raise InputError(f"{place}: {name}: '{fields[name]}' is no number") from None
        if not 0.0 <= measures[-1] <= 100.0:
            raise InputError(f"{place}: {name}: {fields[name]}; accepted: 0 to 100")
    return word, measures


def fit_lexical(train_csv: Path, out: Path, seed: int = 0) -> None:
    """Fit the networks of the lexical predictor to a CMCL-format CSV and write their weights to `out`.

    Each network minimises the mean absolute error, the shared task's metric, with every measure divided by its
    standard deviation. Same file and seed, same weights (on one kind of machine).

    Raises
    ------
    InputError
        If the CSV cannot be used (see `read_sentences`).
    """
    data = read_sentences(train_csv)
    table = word_table(data.texts)
    features = feature_rows(table, 0, len(table.form))
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), _SMALLEST_SCALE)
    inputs = torch.from_numpy((features - mean) / scale).float()
    centre, spread = data.values.mean(axis=0), np.maximum(data.values.std(axis=0), 1e-6)
    targets = torch.from_numpy((data.values - centre) / spread).float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums over several threads end in different last bits
    try:
        members = [_fit_member(inputs, targets, seed * _MEMBERS + member) for member in range(_MEMBERS)]
    finally:
        torch.set_num_threads(threads)
    tensors = {name: np.stack([member[name] for member in members]) for name in members[0]}
    # The networks learn standardised measures: the last layer takes them back to the measures' own units.
    tensors["w3"], tensors["b3"] = tensors["w3"] * spread, tensors["b3"] * spread + centre
    tensors |= {"input_mean": mean, "input_scale": scale}
    out.parent.mkdir(parents=True, exist_ok=True)
    # safetensors writes the memory as it lies, so a transposed array must be put in order first.
    half = {name: np.ascontiguousarray(tensors[name], dtype=np.float16) for name in sorted(tensors)}
    out.write_bytes(save(half))


def _fit_member(inputs: torch.Tensor, targets: torch.Tensor, seed: int) -> dict[str, NDArray[np.float64]]:
    """Fit one network to standardised inputs [words, FEATURES] and targets [words, 5]; return its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(FEATURES, _HIDDEN), nn.Linear(_HIDDEN, _HIDDEN), nn.Linear(_HIDDEN, len(MEASURES))]
        drop = nn.Dropout(_DROPOUT)
        network = nn.Sequential(layers[0], nn.ReLU(), drop, layers[1], nn.ReLU(), drop, layers[2])
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        batches = -(-len(inputs) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, _LEARNING_RATE, total_steps=_EPOCHS * batches, pct_start=0.1
        )
        for _ in range(_EPOCHS):
            order = torch.randperm(len(inputs))
            for start in range(0, len(inputs), _BATCH):
                rows = order[start : start + _BATCH]
                optimizer.zero_grad()
                (network(inputs[rows]) - targets[rows]).abs().mean().backward()
                optimizer.step()
                schedule.step()
    weights = {f"w{place}": layer.weight.detach().T.double().numpy() for place, layer in enumerate(layers, start=1)}
    biases = {f"b{place}": layer.bias.detach().double().numpy() for place, layer in enumerate(layers, start=1)}
    return weights | biases


def evaluate_predictor(predictor: GazePredictor, valid_csv: Path) -> dict[str, Any]:
    """Return how far a predictor is from the measures of a CMCL-format CSV.

    Units that belong to one word count with their sum, as far as 100.

    Returns
    -------
    dict
        `{measures: {nFix: {mae, spearman}, ...}, mean_mae, words}`; `mae` in the measures' units, `spearman` the rank
        correlation over words, `mean_mae` the mean of the five as in the shared task (Hollenstein et al., 2021).

    Raises
    ------
    InputError
        If the CSV cannot be used (see `read_sentences`).
    """
    data = read_sentences(valid_csv)
    predicted = []
    for text, gaze in zip(data.texts, predictor.predict(data.texts), strict=True):
        words = np.zeros((len(text.split()), len(MEASURES)))
        np.add.at(words, gaze.words, gaze.values)
        predicted.append(np.minimum(words, 100.0))
    values = np.concatenate(predicted)
    measures = {
        name: {
            "mae": float(np.abs(values[:, column] - data.values[:, column]).mean()),
            "spearman": float(spearmanr(values[:, column], data.values[:, column]).statistic),
        }
        for column, name in enumerate(MEASURES)
    }
    mean_mae = float(np.mean([errors["mae"] for errors in measures.values()]))
    return {"measures": measures, "mean_mae": mean_mae, "words": len(values)}


def main() -> None:
    """Fit, write the weights, evaluate what was written."""
    parser = argparse.ArgumentParser(prog="python -m gazetune.gaze.fitting", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="CSV to fit to")
    parser.add_argument("--valid", type=Path, required=True, help="CSV to evaluate on")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        fit_lexical(arguments.data, arguments.out, arguments.seed)
        print(json.dumps(evaluate_predictor(LexicalPredictor(arguments.out), arguments.valid), indent=2))
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
