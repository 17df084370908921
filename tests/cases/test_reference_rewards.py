"""What the reference itself gave for nine chats in five configurations: `preset: reference` gives the same.

`../shared/data/reference_rewards` has the backbone, the texts, and what the reference's own code made of them: the
token ids that it reads, its gaze, its weights, and its rewards, of each chat alone and of four in one padded batch.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from gazetune.config import MEASURES, Config
from gazetune.reward.data.gaze_chat_encoder import GazeChatEncoder
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.layout.batching import EncodedSplit
from gazetune.reward.model.backbone import load_backbone, load_tokenizer
from gazetune.reward.model.reward_model import GazeRewardModel

CASES = ("baseline", "concat1", "add1", "concat2", "add2")
FEATURES = {"1": ["TRT"], "concat2": ["FFD", "TRT"], "add2": list(MEASURES)}
BATCHED = 4
"""The chats 0 to 3 are scored in one batch, too."""


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    found = shared / "data" / "reference_rewards"
    if not found.is_dir():
        pytest.skip(f"no {found}")
    return found


@pytest.fixture(scope="module")
def given(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "rewards.json").read_text())


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "weights_and_gaze.safetensors")


def config_of(folder: Path, case: str, **sections: Any) -> Config:
    kind = "none" if case == "baseline" else case[:-1]
    tree = {
        "preset": "reference",
        "backbone": str(folder / "backbone"),
        "adapter": {"quantization": "none"},
        "gaze": {"predictor": "lexical", "features": FEATURES.get(case, FEATURES["1"])},
        "fusion": {"kind": kind},
    }
    return Config.model_validate({**tree, **sections})


def chats_of(given: dict[str, Any]) -> list[list[dict[str, str]]]:
    roles = ("user", "assistant")
    return [[{"role": role, "content": chat[role]} for role in roles] for chat in given["conversations"]]


def encode(config: Config, given: dict[str, Any]) -> EncodedSplit:
    """Encode the chats from text, without gaze."""
    tokenizer = load_tokenizer(config.backbone, [], config.data.tokens)
    return GazeChatEncoder(config, tokenizer, None).encode_chats(chats_of(given))


def with_gaze(split: EncodedSplit, case: str, tensors: dict[str, Tensor]) -> EncodedSplit:
    """Put the reference's gaze into the chats: its tokens' for `concat`, for `add` what it has on each token."""
    kind = "mapped" if case.startswith("add") else "fix"
    measures = []
    for chat in range(len(split.token_starts) - 1):
        given = tensors[f"{case}.chat{chat}.{kind}"][0].numpy()
        if given.ndim == 1:  # predictor 1: TRT alone
            given = np.stack([given if name == "TRT" else 0 * given for name in MEASURES], axis=1)
        measures.append(given.astype(np.float32))
    values = np.concatenate(measures)
    unit = np.full(len(split.ids), -1, dtype=np.int32)
    if kind == "mapped":
        own = np.concatenate([np.arange(len(each), dtype=np.int32) for each in measures])
        unit = np.where(values.any(axis=1), own, -1).astype(np.int32)
    return replace(
        split,
        token_unit=unit,
        token_share=(unit >= 0).astype(np.float32),
        unit_index=np.arange(len(values), dtype=np.int32),
        unit_starts=np.cumsum([0, *map(len, measures)], dtype=np.int64),
        values=values,
    )


def model_of(config: Config, case: str, tensors: dict[str, Tensor]) -> GazeRewardModel:
    """Return the model with the reference's weights."""
    model = GazeRewardModel(config, load_backbone(config.backbone, torch.float32)).eval()
    vocabulary = int(model.bare_backbone().config.vocab_size)
    added = len(tensors["embedding"]) - vocabulary
    rows = tensors.get(f"{case}.embedding_rows_from_{vocabulary}", tensors["embedding"][vocabulary:])
    state = {"head.weight": tensors[f"{case}.score"], "added_tokens.table.weight": rows[:added]}
    layers = {"projector.0": 0, "projector.1": 1, "projector.4": 4, "norm": 6} if case != "baseline" else {}
    for name, layer in layers.items():
        for part in ("weight", "bias"):
            state[f"fusion.projector.layers.{layer}.{part}"] = tensors[f"{case}.{name}.{part}"]
    if case.startswith("concat"):
        state["fusion.boundary.weight"] = rows[added:]
    left = model.load_state_dict(state, strict=False)
    assert not left.unexpected_keys
    return model


@pytest.mark.parametrize("case", CASES)
def test_the_ids_of_a_chat_are_those_of_the_reference(folder: Path, given: dict[str, Any], case: str) -> None:
    config = config_of(folder, case)
    tokenizer = load_tokenizer(config.backbone, [], config.data.tokens)
    assert tokenizer.pad_token == given[case]["pad"]
    split = encode(config, given)
    ids = [part.tolist() for part in np.split(split.ids, split.token_starts[1:-1])]
    assert ids == [chat["ids"] for chat in given[case]["chats"]]


@pytest.mark.parametrize("case", CASES)
def test_rewards_are_those_of_the_reference_alone_and_in_its_batch_of_four(
    folder: Path, given: dict[str, Any], tensors: dict[str, Tensor], case: str
) -> None:
    config = config_of(folder, case)
    split = encode(config, given)
    if case != "baseline":
        split = with_gaze(split, case, tensors)
    model = model_of(config, case, tensors)
    chats = np.arange(len(given["conversations"]))
    with torch.no_grad():
        alone = [float(model(split.batch_single_texts(chats[chat : chat + 1], model.layout))) for chat in chats]
        together = model(split.batch_single_texts(chats[:BATCHED], model.layout)).tolist()
    assert alone == pytest.approx([chat["reward"] for chat in given[case]["chats"]], rel=0, abs=1e-6)
    assert together == pytest.approx(given[case]["rewards_of_chats_0_to_3_in_one_batch"], rel=0, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_chosen_and_rejected_replies_are_padded_apart(
    folder: Path, given: dict[str, Any], tensors: dict[str, Tensor], case: str
) -> None:
    """The reference reads them in two passes: each has the rewards of a batch of its own."""
    config = config_of(folder, case)
    split = replace(encode(config, given), scores=np.zeros(BATCHED, dtype=np.float32))
    if case != "baseline":
        split = with_gaze(split, case, tensors)
    model = model_of(config, case, tensors)
    with torch.no_grad():
        of_pairs = model(split.batch_pairs(np.array([0, 2, 3]), model.layout)).tolist()
        apart = [model(split.batch_single_texts(np.array(chats), model.layout)) for chats in ([0, 4, 6], [1, 5, 7])]
    assert of_pairs == pytest.approx(torch.cat(apart).tolist(), rel=0, abs=1e-6)


@pytest.mark.parametrize(
    ("case", "switch"),
    [
        ("baseline", {"train": {"padding": "zeros"}}),
        ("baseline", {"train": {"pool": "last"}}),
        ("concat1", {"train": {"padding": "zeros"}}),
        ("add2", {"train": {"padding": "zeros"}}),
        ("add1", {"fusion": {"kind": "add", "project_zeros": False}}),
        ("add2", {"fusion": {"kind": "add", "scale": 0.02}}),
    ],
)
def test_without_a_switch_the_rewards_are_others(
    folder: Path, given: dict[str, Any], tensors: dict[str, Tensor], case: str, switch: dict[str, Any]
) -> None:
    config = config_of(folder, case, **switch)
    split = encode(config, given)
    if case != "baseline":
        split = with_gaze(split, case, tensors)
    model = model_of(config, case, tensors)
    with torch.no_grad():
        together = model(split.batch_single_texts(np.arange(BATCHED), model.layout)).numpy()
    assert np.abs(together - given[case]["rewards_of_chats_0_to_3_in_one_batch"]).max() > 1e-3


def test_a_prepared_data_set_has_the_ids_of_the_reference(folder: Path, given: dict[str, Any], tmp_path: Path) -> None:
    """Every chat stands in a pair with itself and a reply of another; the arrays on disk have the ids."""
    pairs = [
        {"prompt": chat["user"], "chosen": chat["assistant"], "rejected": f"another reply {number}"}
        for number, chat in enumerate(given["conversations"])
    ]
    source = tmp_path / "pairs.jsonl"
    source.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    config = config_of(folder, "baseline", data={"source": str(source), "splits": [0.5, 0.25, 0.25], "seed": 1})
    data = prepare_data(config, tmp_path / "cache")
    read = {tuple(ids.tolist()) for split in (data.train, data.validation, data.test) for ids in chosen_ids(split)}
    assert read == {tuple(chat["ids"]) for chat in given["baseline"]["chats"]}
    assert data.load_tokenizer().pad_token_id == data.train.pad_token == 4000


def chosen_ids(split: EncodedSplit) -> list[Any]:
    return np.split(split.ids, split.token_starts[1:-1])[0::2]
