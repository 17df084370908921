"""The predictor `roberta` with randomly filled checkpoints of the published keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import RobertaConfig, RobertaModel

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.networks.roberta import ROBERTA_BASE, build_network
from gazetune.gaze.predictors.registry import create_predictor
from gazetune.gaze.predictors.roberta import RobertaPredictor
from gazetune.gaze.store.build import predict_flat
from gazetune.gaze.words import word_spans

SMALL = {
    **ROBERTA_BASE,
    "model_type": "roberta",
    "vocab_size": 330,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
LONG = " ".join(f"{word}{place}" for place in range(260) for word in ("reading", "(takes)", "time;"))
TEXTS = (
    "The quick brown fox (jumps) over the lazy dogs.",
    "",
    "Unbelievable",
    "  tabs\tand\n\nnewlines, naïve — “quotes” 😀 e\u0301 … user\n",
    LONG,
    " \n ",
    "<s> and </s> and <mask> are text",
    LONG[:1500],
)


def small_tokenizer() -> Tokenizer:
    """Return a byte-level BPE made as RoBERTa's, as it is saved there: without a space before the text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([f" {text}" for text in TEXTS] + [" a b c d e f g h"] * 500, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def small_tensors() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = build_network(RobertaConfig.from_dict(SMALL))
        tensors = {name: tensor + 0.2 * torch.randn_like(tensor) for name, tensor in network.state_dict().items()}
    tensors["decoder.weight"] *= 8  # so that measures differ between words
    tensors["decoder.bias"] += 30  # and lie between 0 and 100
    return tensors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roberta")
    save_file(small_tensors(), folder / "et_predictor2_seed123.safetensors")
    (folder / "config.json").write_text(json.dumps(SMALL))
    small_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def predictor(folder: Path) -> RobertaPredictor:
    return RobertaPredictor(folder / "et_predictor2_seed123.safetensors")


def copy_of(folder: Path, target: Path, but: Iterable[str] = ()) -> Path:
    """Link the files of a folder, except some, into another one, which is returned."""
    for file in folder.iterdir():
        if file.name not in but:
            (target / file.name).symlink_to(file)
    return target


def plain_outputs(ids: list[int]) -> NDArray[np.float64]:
    """Return [tokens, 5]: one text, window by window and number by number, with a RoBERTa built in the usual way."""
    tensors = {name: tensor.double() for name, tensor in small_tensors().items()}
    model = RobertaModel(RobertaConfig.from_dict({**SMALL, "attn_implementation": "eager"})).double().eval()
    encoder = {name.removeprefix("roberta."): tensors[name] for name in tensors if name.startswith("roberta.")}
    model.load_state_dict(encoder)
    combined: list[list[float]] = []
    start = 0
    while True:
        end = min(start + 512, len(ids))
        with torch.no_grad():
            states = model(torch.tensor([ids[start:end]])).last_hidden_state[0]
        output = (states @ tensors["decoder.weight"].T + tensors["decoder.bias"]).tolist()
        for place, row in enumerate(output):
            token = start + place
            if token < len(combined):  # in the overlap of 50: from the earlier window to the later one
                later = (place + 1) / 51
                combined[token] = [
                    (1 - later) * old + later * new for old, new in zip(combined[token], row, strict=True)
                ]
            else:
                combined.append(row)
        if end == len(ids):
            break
        start = end - 50
    return np.array(combined)


def plain_measures(text: str) -> NDArray[np.float64]:
    """Return [words, 5] of one text."""
    tokenizer = small_tokenizer()
    tokenizer.encode_special_tokens = True  # "<mask>" in a text is text
    ids, first_of_word = [0], []
    for word in text.split():
        first_of_word.append(len(ids))
        ids += tokenizer.encode(f" {word}", add_special_tokens=False).ids
    ids.append(2)
    return np.clip(plain_outputs(ids)[first_of_word], 0.0, 100.0)


def test_measures_are_those_of_a_plain_computation_text_by_text(predictor: RobertaPredictor) -> None:
    texts = [TEXTS[index] for index in (0, 2, 3, 4, 6, 7)]
    gazes = predictor.predict(texts)
    assert len(small_tokenizer().encode(LONG).ids) > 3 * 512  # several windows
    for text, gaze in zip(texts, gazes, strict=True):
        plain = plain_measures(text)
        assert gaze.values.shape == plain.shape and gaze.values.dtype == np.float32
        np.testing.assert_allclose(gaze.values, plain, rtol=1e-5, atol=1e-5)
    assert gazes[3].values.std(axis=0).min() > 1.0


@pytest.mark.parametrize(("bias", "measure"), [(-500.0, 0.0), (500.0, 100.0)])
def test_measures_stay_between_0_and_100(folder: Path, tmp_path: Path, bias: float, measure: float) -> None:
    copy_of(folder, tmp_path, but=["et_predictor2_seed123.safetensors"])
    tensors = small_tensors()
    tensors["decoder.bias"][1] += bias
    save_file(tensors, tmp_path / "weights.safetensors")
    (gaze,) = RobertaPredictor(tmp_path / "weights.safetensors").predict(TEXTS[:1])
    assert (gaze.values[:, 1] == measure).all()
    assert ((gaze.values[:, [0, 2, 3, 4]] > 0) & (gaze.values[:, [0, 2, 3, 4]] < 100)).all()


@pytest.mark.parametrize("words", [509, 510, 511, 971, 972, 973])
def test_windows_end_where_they_should(predictor: RobertaPredictor, words: int) -> None:
    text = " ".join("abcdefgh"[place % 8] for place in range(words))
    assert len(small_tokenizer().encode(f" {text}").ids) == words + 2  # one token a word
    (gaze,) = predictor.predict([text])
    np.testing.assert_allclose(gaze.values, plain_measures(text), rtol=1e-5, atol=1e-5)


def test_a_text_does_not_see_its_batch(predictor: RobertaPredictor) -> None:
    together = predictor.predict(TEXTS)
    for text, gaze in zip(TEXTS, together, strict=True):
        (alone,) = predictor.predict([text])
        np.testing.assert_allclose(alone.values, gaze.values, rtol=1e-5, atol=1e-5)


def test_units_are_words(predictor: RobertaPredictor) -> None:
    for text, gaze in zip(TEXTS, predictor.predict(TEXTS), strict=True):
        assert (gaze.spans == word_spans(text)).all() and gaze.spans.dtype == np.int32
        assert (gaze.words == np.arange(len(gaze.spans))).all()


def test_special_tokens_in_a_text_are_text(predictor: RobertaPredictor) -> None:
    literal, another = predictor.predict(["a <mask> b", "a <other> b"])
    assert len(literal.words) == len(another.words) == 3
    tokenizer = small_tokenizer()
    assert len(tokenizer.encode(" <mask>", add_special_tokens=False).ids) == 2  # as a special token: the space and it
    np.testing.assert_allclose(literal.values, plain_measures("a <mask> b"), rtol=1e-5, atol=1e-5)


def test_both_spellings_of_the_decoder_are_read(predictor: RobertaPredictor, folder: Path, tmp_path: Path) -> None:
    copy_of(folder, tmp_path, but=["et_predictor2_seed123.safetensors"])
    renamed = {name.replace("decoder.", "decoder.0."): tensor for name, tensor in small_tensors().items()}
    counter = {"roberta.embeddings.position_ids": torch.arange(514)[None]}  # as old checkpoints have it
    torch.save({**renamed, **counter}, tmp_path / "model.pth")
    (nested,) = RobertaPredictor(tmp_path / "model.pth").predict(TEXTS[:1])
    assert (nested.values == predictor.predict(TEXTS[:1])[0].values).all()


def test_a_checkpoint_of_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    copy_of(folder, tmp_path, but=["et_predictor2_seed123.safetensors"])
    tensors = small_tensors()
    del tensors["roberta.pooler.dense.bias"]
    tensors |= {"decoder.0.bias": torch.zeros(5), "roberta.encoder.layer.1.output.dense.weight": torch.zeros(3, 4)}
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(InputError) as caught:
        RobertaPredictor(tmp_path / "weights.safetensors")
    assert str(caught.value) == (
        f"{tmp_path / 'weights.safetensors'}: not the weights of gaze.predictor 'roberta'; "
        "missing: roberta.pooler.dense.bias, decoder.0.weight; extra: decoder.bias, decoder.weight; "
        "misshapen: roberta.encoder.layer.1.output.dense.weight [3, 4] (accepted: [32, 48])"
    )


def test_without_a_config_the_network_is_roberta_base(folder: Path, tmp_path: Path) -> None:
    with torch.device("meta"):
        network = build_network(RobertaConfig.from_dict(ROBERTA_BASE), nested=True)
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    # 124,645,632 parameters of roberta-base with its pooler; 498,621,996 bytes are those of the retrained release.
    parameters = sum(int(np.prod(shape)) for shape in shapes.values())
    assert parameters == 124_645_632 + 5 * 768 + 5
    assert 0 < 498_621_996 - 4 * parameters < 30_000
    assert shapes["decoder.0.weight"] == [5, 768] and shapes["decoder.0.bias"] == [5]
    assert shapes["roberta.embeddings.word_embeddings.weight"] == [50265, 768]
    assert shapes["roberta.embeddings.position_embeddings.weight"] == [514, 768]
    copy_of(folder, tmp_path, but=["config.json"])
    with pytest.raises(InputError, match=r"roberta\.embeddings\.word_embeddings\.weight \[330, 32\] .*\[50265, 768\]"):
        RobertaPredictor(tmp_path / "et_predictor2_seed123.safetensors")


def test_the_fingerprint_follows_what_decides_the_measures(
    predictor: RobertaPredictor, folder: Path, tmp_path: Path
) -> None:
    copy_of(folder, tmp_path, but=["config.json"])
    seen = {predictor.fingerprint}
    for change, new in (({"torch_dtype": "float16"}, False), ({"num_attention_heads": 8}, True)):
        (tmp_path / "config.json").write_text(json.dumps({**SMALL, **change}))
        fingerprint = RobertaPredictor(tmp_path / "et_predictor2_seed123.safetensors").fingerprint
        assert (fingerprint not in seen) is new, change
        seen.add(fingerprint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, r"config\.json: is no config of a RoBERTa \(model_type: roberta\)"),
        ({"num_attention_heads": 5}, "num_attention_heads: 5; accepted: a divisor of hidden_size, 32"),
        ({"max_position_embeddings": 130}, "max_position_embeddings: room for 128 tokens; accepted: 512 or more"),
        ({"hidden_size": "wide"}, r"config\.json: is no config of a RoBERTa \("),
        ({"vocab_size": 300}, r"tokenizer\.json: has 330 tokens; accepted: at most the 300 of the weights"),
    ],
)
def test_a_config_that_cannot_be_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    weights = "et_predictor2_seed123.safetensors"
    copy_of(folder, tmp_path, but=["config.json", weights])
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, **change}))
    tensors = small_tensors()
    tensors["roberta.embeddings.word_embeddings.weight"] = torch.zeros(int(change.get("vocab_size", 330)), 32)
    save_file(tensors, tmp_path / weights)
    with pytest.raises(InputError, match=message):
        RobertaPredictor(tmp_path / weights)


def test_a_tokenizer_of_another_kind_is_refused(folder: Path, tmp_path: Path) -> None:
    copy_of(folder, tmp_path, but=["tokenizer.json"])
    tokenizer = small_tokenizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=r"tokenizer\.json: is no byte-level BPE as that of roberta-base"):
        RobertaPredictor(tmp_path / "et_predictor2_seed123.safetensors")


def test_the_registry_builds_it_with_all_measures(predictor: RobertaPredictor, folder: Path) -> None:
    config = Config.model_validate({"gaze": {"predictor": "roberta", "path": str(folder)}})
    assert create_predictor(config).fingerprint == predictor.fingerprint
    assert config.gaze.features == MEASURES


@pytest.mark.parametrize("text", ["It isn't  so, she said: 42 \U0001f600!\n", "", " ", LONG[:4000]])
def test_as_the_reference_has_it_every_token_is_a_unit_and_nothing_is_clipped(
    text: str, predictor: RobertaPredictor, folder: Path
) -> None:
    gaze_keys = {"predictor": "roberta", "path": str(folder), "predictor_units": "reference"}
    as_reference = create_predictor(Config.model_validate({"gaze": gaze_keys}))
    assert as_reference.fingerprint != predictor.fingerprint
    (gaze,) = as_reference.predict([text])
    tokenizer = small_tokenizer()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    encoding = tokenizer.encode(text)
    pieces = [piece for piece, _ in pre_tokenizers.ByteLevel(add_prefix_space=True).pre_tokenize_str(text)]
    expected = np.zeros((len(encoding.ids), 5))
    begins = [encoding.word_ids.index(piece) for piece in range(len(pieces))]
    outputs = plain_outputs(encoding.ids)
    expected[begins] = outputs[begins]
    np.testing.assert_allclose(gaze.values, expected, rtol=1e-5, atol=1e-4)
    assert (np.diff(gaze.spans, axis=0) >= 0).all()
    assert gaze.words.tolist() == [0, *(word + 1 for word in encoding.word_ids[1:-1]), len(pieces) + 1]


@pytest.mark.parametrize("bias", [-500.0, 500.0])
def test_as_the_reference_has_it_measures_may_lie_outside_of_0_to_100(
    bias: float, folder: Path, tmp_path: Path
) -> None:
    (weights,) = folder.glob("*.safetensors")
    copy_of(folder, tmp_path, but=[weights.name])
    tensors = small_tensors()
    tensors["decoder.bias"] = torch.full_like(tensors["decoder.bias"], bias)
    save_file(tensors, tmp_path / weights.name)
    as_reference, plain = (
        RobertaPredictor(tmp_path / weights.name, as_reference=True),
        RobertaPredictor(tmp_path / weights.name),
    )
    extreme = predict_flat(as_reference, ["One, two."]).values
    assert (extreme[[1, -2]] * np.sign(bias) > 100.0).all()
    assert predict_flat(plain, ["One, two."]).values.max() <= 100.0
