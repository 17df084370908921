from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.predictors.lexical import SHIPPED_WEIGHTS, LexicalPredictor, create_lexical, respect_order

TEXTS = [
    "The committee unanimously disapproved of extraordinarily convoluted terminology.",
    "",
    "I am. You are!\n- one\n- two",
    "ein ganz anderes, längeres Beispiel 日本語 🙂",
]


@pytest.fixture(scope="module")
def predictor() -> LexicalPredictor:
    return LexicalPredictor()


@settings(deadline=None)
@given(text=st.text(alphabet=st.sampled_from("ab ,.!?\n-'\"1É🙂")))
def test_measures_are_in_range_and_in_order_for_any_text(predictor: LexicalPredictor, text: str) -> None:
    values = predictor.predict([text])[0].values
    assert values.shape == (len(text.split()), 5)
    assert ((values >= 0) & (values <= 100)).all()
    assert (values[:, 1] <= values[:, 2]).all()
    assert (values[:, 1] <= values[:, 3]).all()


def test_order_is_enforced_on_values_that_break_it() -> None:
    broken = np.array([[-3.0, 5.0, 4.0, 3.0, 120.0]])
    assert respect_order(broken).tolist() == [[0.0, 5.0, 5.0, 5.0, 100.0]]


def test_a_text_has_the_same_measures_alone_and_among_others(predictor: LexicalPredictor) -> None:
    crowd = TEXTS + [f"filler text number {number} of many" for number in range(3000)]  # over one block of rows
    together = predictor.predict(crowd)
    for text, gaze in zip(TEXTS, together, strict=False):
        alone = predictor.predict([text])[0]
        assert np.array_equal(alone.values, gaze.values)
        assert np.array_equal(alone.spans, gaze.spans)
    assert np.array_equal(together[-1].values, predictor.predict(crowd[-1:])[0].values)


def test_rare_long_words_are_looked_at_longer_than_common_short_ones(predictor: LexicalPredictor) -> None:
    values = predictor.predict(["We saw the extraordinarily tall tower of glass."])[0].values
    assert (values[3] > values[2]).all()


def test_empty_texts_have_no_units(predictor: LexicalPredictor) -> None:
    assert [len(gaze.values) for gaze in predictor.predict(["", " \n "])] == [0, 0]
    assert predictor.predict([]) == []


def test_fingerprint_follows_the_weights(predictor: LexicalPredictor, tmp_path: Path) -> None:
    tensors = load_file(SHIPPED_WEIGHTS)
    tensors["b3"] = tensors["b3"] + np.float16(1)
    save_file(tensors, tmp_path / "other.safetensors")
    config = Config.model_validate({"gaze": {"path": str(tmp_path / "other.safetensors")}})
    assert create_lexical(config).fingerprint != predictor.fingerprint
    assert LexicalPredictor().fingerprint == predictor.fingerprint


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        LexicalPredictor(path)
    path.write_bytes(SHIPPED_WEIGHTS.read_bytes()[:100])
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        LexicalPredictor(path)
    save_file({"w1": np.zeros(3)}, path)
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        LexicalPredictor(path)


def test_shipped_weights_are_small() -> None:
    assert SHIPPED_WEIGHTS.stat().st_size <= 150_000


def test_predicting_imports_no_torch() -> None:
    code = (
        "import sys; from gazetune.config import Config; from gazetune.gaze.registry import create_predictor;"
        "create_predictor(Config()).predict(['some words']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
