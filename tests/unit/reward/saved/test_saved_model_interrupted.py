"""A save that is killed or runs out of disk: the one before it stays, whole."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gazetune.reward.saved.saved_model import SaveFailed, replace_saved_folder

KILLED_SAVES = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np, torch
from gazetune.files.replaced_folder import recover_folder
from safetensors.torch import load_file
from gazetune.reward.saved.saved_files import WEIGHTS
from gazetune.reward.saved.saved_model import replace_saved_folder
from gazetune.reward.saved.tensor_stream import TensorStream
folder, kills = Path(sys.argv[1]), int(sys.argv[2])
random.seed(0)
number = 0

def save(number):
    with replace_saved_folder(folder) as partial:
        state = {str(name): torch.full((4000,), float(number)) for name in range(50)}
        TensorStream.from_state(state).save(partial / WEIGHTS)
        np.save(partial / 'margins.npy', np.full(3, number))

save(0)
for _ in range(kills):
    child = os.fork()
    if child == 0:
        while True:
            number += 1
            save(number)
    time.sleep(random.uniform(0.005, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert recover_folder(folder)
    values = {float(each) for tensor in load_file(folder / WEIGHTS).values() for each in tensor.unique()}
    assert len(values) == 1 and values == set(np.load(folder / 'margins.npy').tolist()), values
    number = int(values.pop())
    print(number)
"""


def test_a_save_killed_with_9_at_random_moments_leaves_a_whole_model(tmp_path: Path) -> None:
    # One process imports torch, and forks those that are killed while they save models of one number each.
    done = subprocess.run(
        [sys.executable, "-c", KILLED_SAVES, str(tmp_path / "best"), "20"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    numbers = [int(line) for line in done.stdout.split()]
    assert len(numbers) == 20 and len(set(numbers)) > 5, "the saves must get somewhere between the kills"
    assert all(later >= earlier for earlier, later in itertools.pairwise(numbers)), "an older save came back"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def copy_large_folder(folder: Path) -> None:
    source = folder.parent.parent / "large"
    source.mkdir()
    (source / "file").write_bytes(bytes(2_000_000))
    shutil.copytree(source, folder / "tokenizer")


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: save_file({"weight": torch.zeros(500_000)}, folder / "weights.safetensors"),
        lambda folder: (folder / "README.md").write_text("a" * 2_000_000),
        copy_large_folder,
    ],
    ids=["safetensors", "text", "copy"],
)
def test_a_full_disk_is_one_line_and_leaves_the_save_before(write: Callable[[Path], None], small_disk: Path) -> None:
    with replace_saved_folder(small_disk / "best") as folder:
        (folder / "content").write_text("old")
    with pytest.raises(SaveFailed) as caught, replace_saved_folder(small_disk / "best") as folder:
        (folder / "content").write_text("new")
        write(folder)
    line = str(caught.value)
    assert line.startswith(f"{small_disk}/best: cannot be saved (") and "No space left on device" in line
    assert line.endswith("what was saved there before is untouched") and "\n" not in line
    assert [path.name for path in small_disk.iterdir()] == ["best"], "the half-written one is gone"
    assert (small_disk / "best" / "content").read_text() == "old"


def test_a_mistake_while_saving_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(KeyError), replace_saved_folder(tmp_path / "best"):
        raise KeyError("name")
    assert not (tmp_path / "best").exists()
