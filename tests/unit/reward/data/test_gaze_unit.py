"""Units of gaze in the prepared data set: words on tokens, a predictor's own tokens in a sequence, TRT moved."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.config import MEASURES, Config
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import SPLITS, PreparedData
from gazetune.reward.data.gaze_unit import gaze_unit
from gazetune.reward.data.prepared_data import preparation_key, prepare_data
from gazetune.reward.layout.batching import ARRAYS, EncodedSplit

TRT = MEASURES.index("TRT")


@pytest.fixture(scope="module")
def bilstm(bilstm_folder: Path) -> dict[str, Any]:
    return {"predictor": "bilstm", "path": str(bilstm_folder), "features": ["TRT"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def config_of(gaze: dict[str, Any], kind: str = "add", unit: str = "predictor") -> Config:
    tree = {"data": {"source": "planted", "pairs": 40}, "gaze": gaze, "fusion": {"kind": kind, "unit": unit}}
    return Config.model_validate(tree)


def sequences(config: Config, data: PreparedData) -> list[tuple[EncodedSplit, int, list[TextGaze]]]:
    """Return every conversation of the data set: its split, its row, what the predictor says of its messages."""
    splits = load_splits(config.data)
    chats = [
        (getattr(data, split), 2 * place + rejected, pair.chat_with(pair.rejected if rejected else pair.chosen))
        for split in SPLITS
        for place, pair in enumerate(getattr(splits, split))
        for rejected in (False, True)
    ]
    texts = list({message.content: None for _, _, chat in chats for message in chat})
    gazes = dict(zip(texts, create_predictor(config).predict(texts), strict=True))
    return [(split, row, [gazes[message.content] for message in chat]) for split, row, chat in chats]


def values_of(split: EncodedSplit, row: int) -> np.ndarray:
    return np.asarray(split.values[split.unit_index[split.unit_starts[row] : split.unit_starts[row + 1]]])


def word_sums(gaze: TextGaze) -> np.ndarray:
    sums = np.zeros((gaze.words.max() + 1, len(MEASURES)))
    np.add.at(sums, gaze.words, gaze.values)
    return sums


@pytest.mark.parametrize(
    ("predictor", "kind", "unit", "expected"),
    [
        ("bilstm", "concat", "predictor", "predictor"),
        ("bilstm", "concat", "word", "word"),
        ("bilstm", "add", "predictor", "word"),
        ("bilstm", "none", "predictor", "word"),
        ("lexical", "concat", "predictor", "word"),
        ("roberta", "concat", "predictor", "word"),
        ("recorded", "concat", "predictor", "word"),
        ("roberta-reference", "concat", "predictor", "predictor"),
        ("roberta-reference", "add", "predictor", "word"),
        ("bilstm-reference", "concat", "predictor", "predictor"),
    ],
)
def test_only_a_sequence_of_gaze_has_the_predictors_tokens(predictor: str, kind: str, unit: str, expected: str) -> None:
    name, _, units = predictor.partition("-")
    assert gaze_unit(config_of({"predictor": name, "predictor_units": units or "words"}, kind, unit)) == expected


def test_data_sets_differ_by_the_unit_that_is_used_and_by_nothing_else_of_the_fusion(bilstm: dict[str, Any]) -> None:
    words = {
        preparation_key(config_of(bilstm, *fusion))
        for fusion in (("none",), ("add",), ("add", "word"), ("concat", "word"))
    }
    assert len(words) == 1
    assert preparation_key(config_of(bilstm, "concat")) not in words
    lexical = {
        preparation_key(config_of({"predictor": "lexical"}, kind, unit))
        for kind in ("none", "add", "concat")
        for unit in ("word", "predictor")
    }
    assert len(lexical) == 1


@pytest.mark.parametrize("align", ["spread", "first"])
def test_on_tokens_the_sum_of_every_word_is_conserved_though_units_are_finer(
    align: str, bilstm: dict[str, Any], root: Path
) -> None:
    config = config_of({**bilstm, "align": align})
    data = prepare_data(config, root)
    finer = 0
    for split, row, gazes in sequences(config, data):
        at = slice(split.token_starts[row], split.token_starts[row + 1])
        owner, share = split.token_unit[at], split.token_share[at]
        on_token = values_of(split, row)[owner] * share[:, None]
        expected = np.concatenate([word_sums(gaze) for gaze in gazes])
        for word, whole in enumerate(expected):
            mine = np.flatnonzero(owner == word)
            assert on_token[mine].sum(axis=0) == pytest.approx(whole, rel=1e-5)
            assert align == "spread" or len(mine) == 1
        finer += sum(len(gaze.words) for gaze in gazes) > len(owner)
    assert finer, "units must be finer than tokens somewhere"


def test_concat_gets_the_predictors_tokens_or_words_as_it_asks(bilstm: dict[str, Any], root: Path) -> None:
    for unit in ("predictor", "word"):
        config = config_of(bilstm, "concat", unit)
        for split, row, gazes in sequences(config, prepare_data(config, root)):
            each = [gaze.values if unit == "predictor" else word_sums(gaze) for gaze in gazes]
            np.testing.assert_allclose(values_of(split, row), np.concatenate(each), rtol=1e-5)


@pytest.mark.parametrize("kind", ["add", "concat"])
@pytest.mark.parametrize("control", ["shuffled", "noise", "constant"])
def test_controls_wrap_words_and_tokens_of_a_predictor(
    kind: str, control: str, bilstm: dict[str, Any], root: Path
) -> None:
    true = prepare_data(config_of(bilstm, kind), root)
    data = prepare_data(config_of({**bilstm, "control": control}, kind), root)
    for split in SPLITS:
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(getattr(data, split), name), getattr(getattr(true, split), name))
    found, was = data.train.values, true.train.values
    assert not np.delete(found, TRT, axis=1).any()
    if control == "constant":
        assert np.unique(found[:, TRT]).size == 1
        assert was[:, TRT].min() < found[0, TRT] < was[:, TRT].max()
    else:
        assert set(found[:, TRT].tolist()) <= set(was[:, TRT].tolist())
        assert (found[:, TRT] != was[:, TRT]).mean() > 0.8


@pytest.mark.parametrize("kind", ["add", "concat"])
def test_sigma_moves_trt_between_the_words_of_a_message(kind: str, bilstm: dict[str, Any], root: Path) -> None:
    config = config_of({**bilstm, "sigma": [0.0, 1.0]}, kind)
    changed = 0
    for split, row, gazes in sequences(config, prepare_data(config, root)):
        values, begin = values_of(split, row)[:, TRT], 0
        for gaze in gazes:
            count = len(gaze.words) if kind == "concat" else int(gaze.words.max()) + 1
            mine, begin = values[begin : begin + count], begin + count
            assert mine.sum() == pytest.approx(gaze.values[:, TRT].sum(), rel=1e-5)
            # To the right alone: the words up to any place hold at most what they held.
            of_word = np.zeros(int(gaze.words.max()) + 1)
            np.add.at(of_word, gaze.words if kind == "concat" else np.arange(count), mine)
            held = np.cumsum(word_sums(gaze)[:, TRT])
            assert (np.cumsum(of_word) <= held + 1e-3).all()
            changed += bool((np.cumsum(of_word)[:-1] < held[:-1] - 0.1).all())
    assert changed > 10


def test_sigma_comes_before_the_control(root: Path) -> None:
    gaze = {"predictor": "planted", "sigma": [1.0, 2.0]}
    smooth = prepare_data(config_of(gaze), root).train.values
    shuffled = prepare_data(config_of({**gaze, "control": "shuffled"}), root).train.values
    assert {tuple(row) for row in shuffled.tolist()} <= {tuple(row) for row in smooth.tolist()}


def test_sigma_is_part_of_what_a_data_set_is(root: Path) -> None:
    keys = {preparation_key(config_of({"sigma": sigma})) for sigma in (None, [0.0, 1.0], [1.0, 0.0])}
    assert len(keys) == 3


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_a_changed_file_beside_named_weights_is_noticed(name: str, bilstm_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(bilstm_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).touch()
    weights = tmp_path / "T5-tokenizer-BiLSTM-TRT-12-concat-3"
    config = config_of({"predictor": "bilstm", "path": str(weights), "features": ["TRT"]})
    before = preparation_key(config)
    assert preparation_key(config) == before
    os.utime(tmp_path / name, ns=(0, 0))
    assert preparation_key(config) != before


@pytest.mark.parametrize("context", ["chat", "message"])
@pytest.mark.parametrize(("predictor", "features"), [("roberta", MEASURES), ("bilstm", ("TRT",))])
def test_as_the_reference_has_it_concat_has_every_token_and_add_each_piece(
    predictor: str,
    features: tuple[str, ...],
    context: str,
    request: pytest.FixtureRequest,
    root: Path,
    tmp_path: Path,
) -> None:
    """Messages share all units of their text, those of the tokens around it and between them included."""
    folder = request.getfixturevalue(f"{predictor}_folder")
    source = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"  Why, {number}? ", "chosen": "So: it is.\n", "rejected": f"\n(no {number})"}
        for number in range(30)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    gaze = {"predictor": predictor, "path": str(folder), "features": list(features), "context": context}
    tree = {"preset": "reference", "data": {"source": str(source)}, "gaze": gaze}
    concat, add = (Config.model_validate({**tree, "fusion": {"kind": kind}}) for kind in ("concat", "add"))
    assert concat.gaze.predictor_units == "reference"
    made = create_predictor(concat)
    data, on_tokens = prepare_data(concat, root), prepare_data(add, root)
    pairs = load_splits(concat.data).train
    for row, pair in enumerate(pairs):
        contents = [pair.prompt[0].content.strip(), pair.chosen.strip()]
        texts = ["\n".join(contents)] if context == "chat" else contents
        units = np.concatenate([each.values for each in made.predict(texts)])
        np.testing.assert_allclose(values_of(data.train, 2 * row), units, rtol=1e-5, atol=1e-5)
        # On the backbone's tokens stand the pieces of the messages; what lies between and around them stands nowhere.
        split, at = on_tokens.train, slice(*on_tokens.train.token_starts[2 * row : 2 * row + 2])
        owned = np.flatnonzero(split.token_unit[at] >= 0)
        standing = values_of(split, 2 * row)[split.token_unit[at][owned]] * split.token_share[at][owned, None]
        gazes = made.predict(texts)
        shown = [
            word_sums(each)[np.unique(each.words[each.spans[:, 1] > each.spans[:, 0]])].sum(axis=0)
            - sum(each.values[(each.spans == place).all(axis=1)].sum(axis=0) for place in _breaks(text))
            for each, text in zip(gazes, texts, strict=True)
        ]
        np.testing.assert_allclose(standing.sum(axis=0), np.sum(shown, axis=0), rtol=1e-4, atol=1e-3)


def _breaks(text: str) -> list[list[int]]:
    return [[place, place + 1] for place, letter in enumerate(text) if letter == "\n"]
