"""Tensors in slices over the files of several workers: read whatever number of workers wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gazetune.errors import InputError
from gazetune.train.state.sharded_tensors import ShardedTensors, TensorSlice, read_values, save_slices

STATE = {
    "matrix": torch.randn(5, 7),
    "vector": torch.randn(2),  # three workers: one of them has nothing of it
    "step": torch.tensor(4.0),
}


def write(folder: Path, workers: int) -> None:
    """As each of so many workers does that have about equal parts."""
    for rank in range(workers):
        slices, values = {}, []
        for name, tensor in STATE.items():
            start, stop = (tensor.numel() * each // workers for each in (rank, rank + 1))
            slices[name] = TensorSlice(start, stop, tuple(tensor.shape))
            if start < stop:
                values.append((name, tensor.flatten()[start:stop]))
        save_slices(folder, slices, iter(values), rank, workers)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_tensors_are_put_together_from_the_slices_of_any_number_of_workers(workers: int, tmp_path: Path) -> None:
    write(tmp_path, workers)
    found = ShardedTensors(tmp_path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())


@pytest.mark.parametrize(("start", "stop"), [(0, 35), (3, 30), (11, 12), (7, 7), (34, 35)])
def test_any_part_of_a_tensor_is_read(start: int, stop: int, tmp_path: Path) -> None:
    write(tmp_path, 3)
    states: list[ShardedTensors | dict[str, Tensor]] = [ShardedTensors(tmp_path), STATE]
    for state in states:
        assert torch.equal(read_values(state, "matrix", start, stop), STATE["matrix"].flatten()[start:stop])


def test_a_missing_or_damaged_shard_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, 3)
    last = tmp_path / "shard-0002.safetensors"
    content = last.read_bytes()
    last.write_bytes(content[:-4])
    with pytest.raises(InputError, match=r"shard-0002.safetensors: damaged \(.*remove the folder to train from the st"):
        ShardedTensors(tmp_path)
    last.unlink()
    with pytest.raises(InputError, match="2 of 3 shards are here"):
        ShardedTensors(tmp_path)
    write(tmp_path, 2)  # over the first two
    last.write_bytes(content)
    with pytest.raises(InputError, match=r"shards are here|is not whole"):
        ShardedTensors(tmp_path)
