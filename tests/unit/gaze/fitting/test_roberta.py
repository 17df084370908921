from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gazetune.errors import InputError, RunError
from gazetune.gaze.evaluation import evaluate_predictor, predict_sentences
from gazetune.gaze.fitting.pretrained_roberta import read_pretrained_roberta
from gazetune.gaze.fitting.roberta import RobertaRecipe, fit_roberta
from gazetune.gaze.measured_sentences import MeasuredSentences, read_measured_sentences
from gazetune.gaze.predictors.roberta import RobertaPredictor

FILES = ["config.json", "roberta.safetensors", "tokenizer.json"]


@pytest.fixture(scope="module")
def train(made_up: Callable[..., Path]) -> MeasuredSentences:
    return read_measured_sentences(made_up("train.csv", sentences=200, seed=1, words=60))


@pytest.fixture(scope="module")
def unseen(made_up: Callable[..., Path]) -> MeasuredSentences:
    return read_measured_sentences(made_up("unseen.csv", sentences=50, seed=2, words=60))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def fit(data: MeasuredSentences, recipe: RobertaRecipe, folder: Path, seed: int = 0) -> str:
    folder.mkdir()
    return fit_roberta(data, read_pretrained_roberta(recipe.base), recipe, seed, folder)


def held_out_of(data: MeasuredSentences, seed: int) -> MeasuredSentences:
    """Return the sentences, all of one length, that a fit with that seed holds out."""
    count = len(data.texts)
    places = np.random.default_rng(seed).permutation(count)[: max(1, count // 10)]
    values = data.values.reshape(count, -1, 5)[places].reshape(-1, 5)
    return MeasuredSentences(tuple(data.texts[place] for place in places), values)


def test_a_fit_learns_what_words_have_to_do_with_measures(
    train: MeasuredSentences, unseen: MeasuredSentences, tiny_roberta: Path, tmp_path: Path
) -> None:
    recipe = RobertaRecipe(str(tiny_roberta), epochs=15, learning_rate=3e-3)
    told = fit(train, recipe, tmp_path / "fitted")
    median = float(np.abs(unseen.values - np.median(train.values, axis=0)).mean())
    predictor = RobertaPredictor(tmp_path / "fitted" / "roberta.safetensors")
    found = evaluate_predictor(predictor, unseen)
    assert found["mean_mae"] < 0.25 * median
    assert min(errors["spearman"] for errors in found["measures"].values()) > 0.95
    # Means and spreads of the file came back into the output layer: no measure is off as a whole.
    offset = predict_sentences(predictor, unseen).mean(axis=0) - unseen.values.mean(axis=0)
    assert (np.abs(offset) < 0.2 * unseen.values.std(axis=0)).all()
    held_out = float(told.rpartition("was ")[2])
    assert "on 20 of the 200 sentences" in told and held_out == pytest.approx(found["mean_mae"], rel=0.5)


def test_the_seed_decides_the_weights(train: MeasuredSentences, tiny_roberta: Path, tmp_path: Path) -> None:
    recipe = RobertaRecipe(str(tiny_roberta), epochs=1)
    for name, seed in (("first", 3), ("second", 3), ("third", 4)):
        torch.rand(1)  # what was drawn before does not matter
        state = torch.get_rng_state()
        fit(train, recipe, tmp_path / name, seed)
        assert torch.equal(torch.get_rng_state(), state)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == FILES
    first, second, third = (
        (tmp_path / name / "roberta.safetensors").read_bytes() for name in ("first", "second", "third")
    )
    assert first == second != third


def test_an_earlier_fit_is_gone_on_with(
    train: MeasuredSentences, unseen: MeasuredSentences, tiny_roberta: Path, tmp_path: Path
) -> None:
    fit(train, RobertaRecipe(str(tiny_roberta), epochs=4, learning_rate=3e-3), tmp_path / "first")
    # At such a rate nothing is learned: what the second stage predicts, it has from the first one.
    fit(unseen, RobertaRecipe(str(tmp_path / "first"), epochs=1, learning_rate=1e-12), tmp_path / "second")
    first, second = (
        predict_sentences(RobertaPredictor(tmp_path / name / "roberta.safetensors"), unseen)
        for name in ("first", "second")
    )
    assert first.std(axis=0).min() > 0.1
    np.testing.assert_allclose(second, first, atol=1e-3)


def test_the_weights_are_those_of_the_best_epoch_on_the_held_out_sentences(
    made_up: Callable[..., Path],
    tiny_roberta: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    few = read_measured_sentences(
        made_up("few.csv", sentences=30, seed=3)
    )  # of words that are all new: soon learned by heart
    caplog.set_level(logging.INFO, "gazetune")
    told = fit(few, RobertaRecipe(str(tiny_roberta), epochs=10, learning_rate=2e-2), tmp_path / "fitted", seed=1)
    errors = [float(row.split()[-1]) for row in capfd.readouterr().err.splitlines() if "held-out" in row]
    best = int(np.argmin(errors)) + 1
    assert len(errors) == 10 and best < 10 and f"those of epoch {best}," in told
    predictor = RobertaPredictor(tmp_path / "fitted" / "roberta.safetensors")
    found = evaluate_predictor(predictor, held_out_of(few, 1))["mean_mae"]
    assert found == pytest.approx(errors[best - 1], abs=2e-3) == pytest.approx(float(told.rpartition("was ")[2]))


def test_a_long_text_is_read_in_the_windows_of_the_predictor(
    made_up: Callable[..., Path], tiny_roberta: Path, tmp_path: Path
) -> None:
    data = read_measured_sentences(made_up("long.csv", sentences=390, seed=4, words=60))
    long = MeasuredSentences(tuple(" ".join(data.texts[start : start + 130]) for start in (0, 130, 260)), data.values)
    tokens = [len(each.ids) for each in read_pretrained_roberta(str(tiny_roberta)).tokenizer.encode_batch(long.texts)]
    assert min(tokens) > 2 * 512
    told = fit(long, RobertaRecipe(str(tiny_roberta), epochs=8, learning_rate=1e-2), tmp_path / "fitted")
    found = evaluate_predictor(RobertaPredictor(tmp_path / "fitted" / "roberta.safetensors"), held_out_of(long, 0))
    # Words that two windows share count twice in the one, and are blended in the other.
    assert found["mean_mae"] == pytest.approx(float(told.rpartition("was ")[2]), rel=0.05)


def test_a_fit_that_comes_to_numbers_that_are_not_finite_is_ended(
    train: MeasuredSentences, tiny_roberta: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(tiny_roberta, tmp_path / "base")
    tensors = {name: tensor * 1e30 for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(tensors, base / "model.safetensors")
    with pytest.raises(RunError, match=r"epoch 1: the errors are no numbers; try --learning-rate below 0\.001"):
        fit(train, RobertaRecipe(str(base), epochs=2, learning_rate=1e-3), tmp_path / "fitted")
    assert not list((tmp_path / "fitted").iterdir())


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (RobertaRecipe(epochs=0), "--epochs: 0; accepted: 1 or more"),
        (RobertaRecipe(learning_rate=0.0), "--learning-rate: 0.0; accepted: a number above 0, at most 1"),
        (RobertaRecipe(learning_rate=float("nan")), "--learning-rate: nan; accepted: a number above 0, at most 1"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(
    recipe: RobertaRecipe, message: str, train: MeasuredSentences
) -> None:
    with pytest.raises(InputError, match=message):
        recipe.check_against(train)
    with pytest.raises(InputError, match="--data: has 1 sentence; accepted: 2 or more"):
        RobertaRecipe().check_against(MeasuredSentences(("a b",), np.ones((2, 5))))
