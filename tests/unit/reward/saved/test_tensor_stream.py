"""Files written tensor by tensor are what safetensors reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from gazetune.reward.saved.tensor_stream import TensorShape, TensorStream

STATE = {
    "odd": torch.arange(5, dtype=torch.uint8),
    "half": torch.randn(3, dtype=torch.bfloat16),
    "weight": torch.randn(4, 3).T,
    "step": torch.tensor(3.0),
    "none": torch.empty(0, 4),
    "double": torch.randn(2, 2, dtype=torch.float64),
}


def test_tensors_of_every_type_and_shape_come_back(tmp_path: Path) -> None:
    TensorStream.from_state(STATE).save(tmp_path / "file", {"about": "it"})
    found = load_file(tmp_path / "file")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) and found[name].dtype == STATE[name].dtype for name in STATE)
    with safe_open(tmp_path / "file", "pt") as opened:
        assert opened.metadata() == {"about": "it"}


def test_the_order_of_the_tensors_is_free(tmp_path: Path) -> None:
    shapes = TensorStream.from_state(STATE).shapes
    TensorStream(shapes, iter(reversed(list(STATE.items())))).save(tmp_path / "file")
    assert all(torch.equal(each, STATE[name]) for name, each in load_file(tmp_path / "file").items())


def test_a_tensor_that_did_not_come_or_has_another_shape_is_an_error(tmp_path: Path) -> None:
    shapes = {"a": TensorShape((2,)), "b": TensorShape((2,))}
    with pytest.raises(ValueError, match="nothing was written of 1 tensors, such as b"):
        TensorStream(shapes, iter([("a", torch.zeros(2))])).save(tmp_path / "file")
    with pytest.raises(ValueError, match="a: expected"):
        TensorStream(shapes, iter([("a", torch.zeros(3))])).save(tmp_path / "file")
