from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from gazetune.errors import InputError
from gazetune.gaze.evaluation import errors_on, evaluate_predictor
from gazetune.gaze.fitting import fit_lexical, fit_predictor
from gazetune.gaze.predictors.lexical import SHIPPED_WEIGHTS, LexicalPredictor
from gazetune.gaze.registry import predictor_named
from gazetune.gaze.sentences import read_sentences

HEADER = ["sentence_id", "word_id", "word", "nFix", "FFD", "GPT", "TRT", "fixProp"]


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences in which the measures follow the length of the word."""
    generator = np.random.default_rng(0)
    rows: list[list[object]] = [list(HEADER)]
    for sentence in range(150):
        for place in range(8):
            length = int(generator.integers(1, 13))
            word = "".join(generator.choice(list("abcdefgh"), length)) + ("<EOS>" if place == 7 else "")
            rows.append([sentence, place, word, length * 2, length / 4, length / 2, length / 3, min(length * 10, 100)])
    path = tmp_path_factory.mktemp("data") / "made_up.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_fit_learns_and_is_reproducible_bit_for_bit(made_up: Path, tmp_path: Path) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    data = read_sentences(made_up)
    weights = fit_lexical(data)
    assert fit_lexical(data) == weights
    assert fit_lexical(data, seed=1) != weights
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    (tmp_path / "weights").write_bytes(weights)
    found = errors_on(LexicalPredictor(tmp_path / "weights"), data)
    assert min(errors["spearman"] for errors in found["measures"].values()) > 0.95
    assert found["measures"]["fixProp"]["mae"] < 8


def test_the_folder_of_a_fit_has_weights_and_card_and_is_a_gaze_path(made_up: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "fitted"
    errors = fit_predictor("lexical", made_up, made_up, out)
    assert sorted(path.name for path in out.iterdir()) == ["lexical.md", "lexical.safetensors"]
    assert [path.name for path in out.parent.iterdir()] == ["fitted"]
    card = (out / "lexical.md").read_text()
    for file in (made_up, out / "lexical.safetensors"):
        assert f"{file.name} | {hashlib.sha256(file.read_bytes()).hexdigest()}" in card
    assert f"| {errors['measures']['nFix']['mae']:.3f} | " in card and f"| {errors['mean_mae']:.3f} |" in card
    by_folder, by_file = (predictor_named("lexical", str(path)) for path in (out, out / "lexical.safetensors"))
    assert by_folder.fingerprint == by_file.fingerprint != LexicalPredictor().fingerprint
    assert errors_on(by_folder, read_sentences(made_up)) == errors


def test_a_fit_that_cannot_end_well_is_refused_and_writes_nothing(made_up: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{','.join(HEADER)}\n0,0,word,1,1,1,1,-1\n")
    with pytest.raises(InputError, match=r"kind 'roberta': cannot be fitted; accepted: lexical"):
        fit_predictor("roberta", made_up, made_up, tmp_path / "out")
    for train, valid in ((bad, made_up), (made_up, bad)):
        with pytest.raises(InputError, match=r"bad\.csv row 1: fixProp: -1; accepted: 0 to 100"):
            fit_predictor("lexical", train, valid, tmp_path / "out")
    with pytest.raises(InputError, match="exists already"):
        fit_predictor("lexical", made_up, made_up, tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        fit_predictor("lexical", made_up, made_up, bad / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_fit_to_the_shared_task_is_as_good_as_the_shipped_weights(shared: Path, tmp_path: Path) -> None:
    train, valid = (shared / "data" / "cmcl2021" / name for name in ("train.csv", "valid.csv"))
    found = fit_predictor("lexical", train, valid, tmp_path / "out")
    # Bit for bit only on the kind of machine that made them: processors differ in how they round.
    assert found["mean_mae"] == pytest.approx(evaluate_predictor(LexicalPredictor(), valid)["mean_mae"], abs=0.03)


def test_the_shipped_card_is_that_of_the_shipped_weights() -> None:
    assert hashlib.sha256(SHIPPED_WEIGHTS.read_bytes()).hexdigest() in SHIPPED_WEIGHTS.with_suffix(".md").read_text()
