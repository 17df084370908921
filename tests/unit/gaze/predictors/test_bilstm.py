"""The predictor `bilstm` with a randomly filled checkpoint of the published keys and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from torch import nn

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.alignment import align_units
from gazetune.gaze.predictors.bilstm import BilstmPredictor
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.gaze.words import word_spans
from tests.tokenizers import unigram_of_characters

TRT = MEASURES.index("TRT")
LSTM = {
    "weight_ih_l0": (512, 512),
    "weight_hh_l0": (512, 128),
    "weight_ih_l1": (512, 256),
    "weight_hh_l1": (512, 128),
    "bias_ih_l0": (512,),
    "bias_hh_l0": (512,),
    "bias_ih_l1": (512,),
    "bias_hh_l1": (512,),
}
SHAPES = {
    "emb.weight": (32128, 512),
    **{f"lstm.{name}{end}": shape for name, shape in LSTM.items() for end in ("", "_reverse")},
    "head.0.weight": (128, 256),
    "head.0.bias": (128,),
    "head.2.weight": (1, 128),
    "head.2.bias": (1,),
}
TEXTS = (
    "The quick brown fox (jumps) over the lazy dogs.",
    "",
    "One",
    "  tabs\tand\n\nnewlines, naïve — “quotes” 😀 e\u0301 … user\n",
    " ".join(["reading", "takes", "time;", "tax", "forms", "take", "more."] * 40),
    " \n ",
    "</s> is text, and so is <pad>",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a checkpoint of the published name and a tokenizer built as T5's is."""
    folder = tmp_path_factory.mktemp("bilstm")
    generator = torch.Generator().manual_seed(1)
    tensors = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in SHAPES.items()}
    tensors["head.2.weight"] *= 5.0  # so that levels differ between tokens
    tensors["head.2.bias"] += 4.0  # and lie between the ends of the scale
    torch.save(tensors, folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3")
    tokenizer = Tokenizer(unigram_of_characters(TEXTS, ["<pad>", "</s>", "<unk>"]))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def predictor(folder: Path) -> BilstmPredictor:
    return BilstmPredictor(folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3")


def recurrent_steps(
    inputs: NDArray[np.float64], weights: dict[str, NDArray[np.float64]], end: str
) -> NDArray[np.float64]:
    """Return the states [tokens, 128] of one direction of one layer, by the equations of an LSTM."""
    hidden, cell = np.zeros(128), np.zeros(128)
    states = []
    for token in inputs:
        gates = weights[f"weight_ih_{end}"] @ token + weights[f"bias_ih_{end}"]
        gates += weights[f"weight_hh_{end}"] @ hidden + weights[f"bias_hh_{end}"]
        enter, forget, new, leave = np.split(gates, 4)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(new) / (1 + np.exp(-enter))
        hidden = np.tanh(cell) / (1 + np.exp(-leave))
        states.append(hidden)
    return np.array(states).reshape(-1, 128)


def plain_levels(text: str, folder: Path) -> NDArray[np.float64]:
    """Return the level of each token of one text, the end token's too, without torch's LSTM and in float64."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True  # "</s>" in a text is text
    tensors = torch.load(folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3", weights_only=True)
    weights = {name.removeprefix("lstm."): tensor.double().numpy() for name, tensor in tensors.items()}
    states = weights["emb.weight"][tokenizer.encode(text).ids]
    for layer in ("l0", "l1"):
        backward = recurrent_steps(states[::-1], weights, f"{layer}_reverse")[::-1]
        states = np.concatenate([recurrent_steps(states, weights, layer), backward], axis=1)
    inner = np.maximum(states @ weights["head.0.weight"].T + weights["head.0.bias"], 0.0)
    return (inner @ weights["head.2.weight"].T + weights["head.2.bias"])[:, 0]


def test_the_shapes_are_those_of_the_published_file() -> None:
    assert sum(int(np.prod(shape)) for shape in SHAPES.values()) == 17_535_233


def test_levels_are_those_of_a_plain_computation_text_by_text(predictor: BilstmPredictor, folder: Path) -> None:
    texts = [text for text in TEXTS if text.strip()]
    for text, gaze in zip(texts, predictor.predict(texts), strict=True):
        plain = plain_levels(text, folder)[:-1]  # without the end token, which the network sees and nobody reads
        assert len(gaze.values) == len(plain)
        assert len(plain) == 1 or plain.std() > 0.05
        np.testing.assert_allclose(gaze.values[:, TRT], np.clip(plain, 0.0, 11.0), atol=1e-5)


def test_only_total_reading_time_is_predicted(predictor: BilstmPredictor) -> None:
    (gaze,) = predictor.predict(TEXTS[:1])
    assert gaze.values.dtype == np.float32 and (gaze.values[:, TRT] > 0).all()
    assert not np.delete(gaze.values, TRT, axis=1).any()


def test_a_text_does_not_see_its_batch(predictor: BilstmPredictor) -> None:
    together = predictor.predict(TEXTS)
    for text, gaze in zip(TEXTS, together, strict=True):
        (alone,) = predictor.predict([text])
        assert (alone.spans == gaze.spans).all() and (alone.words == gaze.words).all()
        np.testing.assert_allclose(alone.values, gaze.values, atol=1e-5)


def test_units_are_tokens_in_order_and_name_their_word(predictor: BilstmPredictor) -> None:
    for text, gaze in zip(TEXTS, predictor.predict(TEXTS), strict=True):
        words = word_spans(text)
        assert set(gaze.words) == set(range(len(words)))
        assert (gaze.spans[:, 0] >= words[gaze.words, 0]).all() and (gaze.spans[:, 1] <= words[gaze.words, 1]).all()
        assert (gaze.spans[:, 0] < gaze.spans[:, 1]).all() and (np.diff(gaze.spans, axis=0) >= 0).all()
        align_units(words, gaze.spans, "spread")  # takes them as they are
    assert len(predictor.predict(["reading"])[0].words) > 1


def test_a_space_in_a_tokens_span_belongs_to_no_unit(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").symlink_to(folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text = "the fox\t over"
    (gaze,) = BilstmPredictor(tmp_path / "weights").predict([text])
    assert all(text[start:end].split() == [text[start:end]] for start, end in gaze.spans)
    assert set(gaze.words) == {0, 1, 2}


def test_levels_stay_between_0_and_11(folder: Path, tmp_path: Path) -> None:
    tensors = torch.load(folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3", weights_only=True)
    (tmp_path / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    for bias, level in ((-100.0, 0.0), (100.0, 11.0)):
        save_file({**tensors, "head.2.bias": torch.tensor([bias])}, tmp_path / "weights.safetensors")
        (gaze,) = BilstmPredictor(tmp_path / "weights.safetensors").predict(TEXTS[:1])
        assert (gaze.values[:, TRT] == level).all()


def test_lone_surrogates_are_read(predictor: BilstmPredictor) -> None:
    (gaze,) = predictor.predict(["a \ud800 b"])
    assert set(gaze.words) == {0, 1, 2}


def test_the_fingerprint_follows_weights_and_tokenizer(
    predictor: BilstmPredictor, folder: Path, tmp_path: Path
) -> None:
    name = "T5-tokenizer-BiLSTM-TRT-12-concat-3"
    tensors = torch.load(folder / name, weights_only=True)
    (tmp_path / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    (tmp_path / name).symlink_to(folder / name)
    assert BilstmPredictor(tmp_path / name).fingerprint == predictor.fingerprint
    (tmp_path / name).unlink()
    tensors["head.2.bias"] += 1
    torch.save(tensors, tmp_path / name)
    other_weights = BilstmPredictor(tmp_path / name).fingerprint
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.NFC()
    (tmp_path / "tokenizer.json").unlink()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len({predictor.fingerprint, other_weights, BilstmPredictor(tmp_path / name).fingerprint}) == 3


def test_a_folder_or_the_file_in_it_names_the_predictor(predictor: BilstmPredictor, folder: Path) -> None:
    for path in (folder, folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3"):
        config = Config.model_validate({"gaze": {"predictor": "bilstm", "path": str(path)}})
        assert create_predictor(config).fingerprint == predictor.fingerprint


def test_a_checkpoint_of_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    network = nn.ModuleDict({"emb": nn.Embedding(10, 4)})
    torch.save({**network.state_dict(), "head.1.bias": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(InputError) as caught:
        BilstmPredictor(tmp_path / "weights.pt")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'weights.pt'}: not the weights of gaze.predictor 'bilstm'; missing: lstm.")
    assert "extra: head.1.bias" in message
    assert "misshapen: emb.weight [10, 4] (accepted: [32128, 512])" in message


def test_a_path_is_needed() -> None:
    with pytest.raises(InputError, match=r"gaze\.path: is not set; gaze\.predictor 'bilstm' needs its weights"):
        create_predictor(Config.model_validate({"gaze": {"predictor": "bilstm"}}))


def test_as_the_reference_has_it_the_end_token_is_a_unit(folder: Path, predictor: BilstmPredictor) -> None:
    config = Config.model_validate(
        {"gaze": {"predictor": "bilstm", "path": str(folder), "predictor_units": "reference", "features": ["TRT"]}}
    )
    every = create_predictor(config)
    assert every.fingerprint != predictor.fingerprint
    for text in TEXTS:
        (plain,), (whole,) = predictor.predict([text]), every.predict([text])
        np.testing.assert_allclose(whole.values[:, TRT], plain_levels(text, folder), rtol=1e-5, atol=1e-5)
        assert whole.spans[-1].tolist() == [len(text), len(text)]
        assert whole.words[-1] not in whole.words[:-1]
        assert (np.diff(whole.spans, axis=0) >= 0).all() and (np.diff(whole.words) >= 0).all()
        assert len(whole.values) >= len(plain.values) + 1
