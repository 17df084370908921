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
from gazetune.gaze.lexical_features import describe_word, word_places, word_table
from gazetune.gaze.predictors.lexical import SHIPPED_WEIGHTS, LexicalPredictor, create_lexical, enforce_order

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
    assert enforce_order(broken).tolist() == [[0.0, 5.0, 5.0, 5.0, 100.0]]


def test_a_text_has_the_same_measures_alone_and_among_others(predictor: LexicalPredictor) -> None:
    crowd = TEXTS + [f"filler text number {number} of many" for number in range(3000)]  # over one block of rows
    together = predictor.predict(crowd)
    for text, gaze in zip(TEXTS, together, strict=False):
        alone = predictor.predict([text])[0]
        assert np.array_equal(alone.values, gaze.values)
        assert np.array_equal(alone.spans, gaze.spans)
    assert np.array_equal(together[-1].values, predictor.predict(crowd[-1:])[0].values)


def slowly(text: str) -> list[list[float]]:
    """Predict word by word and network by network, straight from the weights file; `text` is one sentence."""
    weights = {name: each.astype(np.float64) for name, each in load_file(SHIPPED_WEIGHTS).items()}
    table = word_table([text])
    places = (word_places(table, 0, len(table.form)) - weights["place_mean"]) / weights["place_scale"]
    outputs = np.zeros((len(table.form), 5))
    for member in range(len(weights["b3"])):
        mine = {name: each[member] for name, each in weights.items() if not name.endswith(("mean", "scale"))}
        own, code = [], []
        for word in text.split():
            form, groups = describe_word(word)
            letters = sum(mine["pieces"][group] for group in groups) / len(groups) ** 0.5
            own.append(np.append((np.array(form) - weights["form_mean"]) / weights["form_scale"], letters))
            code.append(np.maximum(own[-1] @ mine["w0"] + mine["b0"], 0))
        around = [np.zeros_like(code[0])] * 2
        framed = [*around, *code, *around]
        for place in range(len(own)):
            state = np.concatenate([own[place], *framed[place : place + 5], places[place]])
            for layer in ("1", "2"):
                state = np.maximum(state @ mine[f"w{layer}"] + mine[f"b{layer}"], 0)
            outputs[place] += (state @ mine["w3"] + mine["b3"]) / len(weights["b3"])
    return enforce_order(outputs).tolist()


def test_measures_are_those_of_the_slow_way(predictor: LexicalPredictor) -> None:
    for text in (TEXTS[0], "None of it (really) was 1984's!", "one"):
        assert predictor.predict([text])[0].values.tolist() == pytest.approx(np.array(slowly(text)), abs=2e-3)


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
    shipped = load_file(SHIPPED_WEIGHTS)
    for name, wrong in (("w1", shipped["w1"][:, :-1]), ("b3", shipped["b3"][0]), ("form_mean", np.zeros(3))):
        save_file({**shipped, name: np.ascontiguousarray(wrong)}, path)
        with pytest.raises(InputError, match="not weights of this lexical predictor"):
            LexicalPredictor(path)


def test_shipped_weights_are_small() -> None:
    assert SHIPPED_WEIGHTS.stat().st_size <= 150_000


def test_predicting_imports_no_torch() -> None:
    code = (
        "import sys; from gazetune.config import Config; "
        "from gazetune.gaze.predictors.registry import create_predictor; "
        "create_predictor(Config()).predict(['some words']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
