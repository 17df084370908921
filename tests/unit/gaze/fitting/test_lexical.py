from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from gazetune.gaze.evaluation import evaluate_predictor
from gazetune.gaze.fitting.lexical import fit_lexical
from gazetune.gaze.measured_sentences import read_measured_sentences
from gazetune.gaze.predictors.lexical import LexicalPredictor


def test_fit_learns_and_is_reproducible_bit_for_bit(made_up: Callable[..., Path], tmp_path: Path) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    data = read_measured_sentences(made_up())
    weights = fit_lexical(data)
    assert fit_lexical(data) == weights
    assert fit_lexical(data, seed=1) != weights
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    (tmp_path / "weights").write_bytes(weights)
    found = evaluate_predictor(LexicalPredictor(tmp_path / "weights"), data)
    assert min(errors["spearman"] for errors in found["measures"].values()) > 0.95
    assert found["measures"]["fixProp"]["mae"] < 8
