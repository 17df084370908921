"""The cluster of a search grows, loses a node in the middle of trials, loses the last one, and comes back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import gt
from pathlib import Path
from typing import Any

import optuna
import pytest
import ray
from ray.cluster_utils import Cluster

from tests.commands import BOUND, command
from tests.ray_clusters import add_node, start_cluster

SPACE = """
name: elastic
base:
  data: {source: planted, pairs: 3000}
  gaze: {predictor: planted}
  train: {batch_size: 32, epochs: 60}
  fusion: {kind: none}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
search:
  {trials: 2, sampler: random, scheduler: median, rungs: 300, reduction: 2, seed: 0, node_patience: 2, confirm: off}
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head that holds no trial, so that a node's loss can leave nothing."""
    cluster = start_cluster(head_cpus=0)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@dataclass
class Search:
    """`gazetune search` in a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def reaches(self, what: str, condition: Callable[[], Any], seconds: float = BOUND) -> None:
        deadline = time.monotonic() + seconds
        while not self._holds(condition):
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"no {what} in {seconds} s: {self.log.read_text()[-3000:]}"
            time.sleep(0.1)

    def _holds(self, condition: Callable[[], Any]) -> bool:
        # Until the first trial there may be no study, or none in it.
        return "slot(s)" in self.log.read_text() and bool(condition())

    def slots(self) -> list[int]:
        """How many slots there were, one after another."""
        return [int(count) for count in re.findall(r"(\d+) slot\(s\)", self.log.read_text())]


@contextmanager
def search(cluster: Cluster, folder: Path, *arguments: str) -> Iterator[Search]:
    log = folder / "log"
    process = subprocess.Popen(
        command("search", *arguments, "--storage", folder / "runs", "--address", "auto"),
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        stdout=subprocess.DEVNULL,
        stderr=log.open("w"),
    )
    try:
        yield Search(process, log)
    finally:
        if process.poll() is None:
            process.kill()


@pytest.mark.long("nodes")
def test_slots_follow_the_nodes_and_a_search_without_any_ends_and_is_resumed(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    first = add_node(cluster, cpus=1)
    with search(cluster, tmp_path, str(tmp_path / "space.yaml")) as started:
        started.reaches("rung", lambda: any(steps(tmp_path)))
        assert len(steps(tmp_path)) == 1, "nothing may be proposed that no slot can take"
        second = add_node(cluster, cpus=1)
        started.reaches("rung of the other trial", lambda: any(steps(tmp_path)[1:]))
        assert started.slots() == [1, 2]
        cluster.remove_node(second, allow_graceful=False)
        started.reaches("slot less", lambda: started.slots() == [1, 2, 1])
        cluster.remove_node(first, allow_graceful=False)
        assert started.process.wait(timeout=90) == 1, started.log.read_text()[-3000:]
        assert started.slots() == [1, 2, 1, 0]
        line = started.log.read_text().splitlines()[-1]
    assert "no slot can be held since 2 s" in line and "go on with: gazetune search --resume elastic" in line
    before = steps(tmp_path)
    assert len(before) == 2 and "FAIL" not in started.log.read_text()
    add_node(cluster, cpus=1)
    add_node(cluster, cpus=1)
    with search(cluster, tmp_path, "--resume", "elastic") as resumed:
        resumed.reaches("further rung", lambda: any(map(gt, map(len, steps(tmp_path)), map(len, before))))
        assert resumed.slots()[-1] == 2
        resumed.process.send_signal(signal.SIGINT)
        assert resumed.process.wait(timeout=90) == 130, resumed.log.read_text()[-3000:]
    after = steps(tmp_path)
    assert len(after) == 2, "no trial was begun a second time"
    assert all(now[: len(then)] == then and now == sorted(set(now)) for now, then in zip(after, before, strict=True))
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 2.0:
        assert time.monotonic() < deadline, f"CPUs still taken: {ray.available_resources()}"
        time.sleep(0.5)


@contextmanager
def blind_node(cluster: Cluster, hidden: Path) -> Iterator[None]:
    """A node for which a folder is empty, as one without the mount that the others have."""
    start = f"mount -t tmpfs none {hidden} && exec {Path(sys.executable).parent}/ray start --block --num-cpus 1 "
    options = f"--address {cluster.address} --object-store-memory {200 << 20}"
    node = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", start + options],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        node.terminate()
        node.wait(timeout=120)


@pytest.mark.long("nodes")
@pytest.mark.skipif(os.geteuid() != 0, reason="a folder that one node alone does not see needs root")
def test_a_node_that_does_not_see_the_storage_folder_gets_no_trial(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    add_node(cluster, cpus=1)
    with search(cluster, tmp_path, str(tmp_path / "space.yaml")) as started:
        started.reaches("rung", lambda: any(steps(tmp_path)))
        with blind_node(cluster, tmp_path / "runs"):
            started.reaches("line on the node", lambda: "left out: " in started.log.read_text())
            assert ray.cluster_resources()["CPU"] == 2.0
            before = len(steps(tmp_path)[0])
            started.reaches("further rungs", lambda: len(steps(tmp_path)[0]) > before + 1)
            assert started.slots() == [1] and len(steps(tmp_path)) == 1
            add_node(cluster, cpus=1)  # while Ray has a free CPU that is of no use
            started.reaches("rung of the other trial", lambda: any(steps(tmp_path)[1:]))
            assert started.slots() == [1, 2] and started.log.read_text().count("left out: ") == 1
        started.process.send_signal(signal.SIGINT)
        assert started.process.wait(timeout=90) == 130, started.log.read_text()[-3000:]
    assert "FAIL" not in started.log.read_text()


def steps(folder: Path) -> list[list[int]]:
    """The training examples at which each trial was evaluated."""
    url = f"sqlite:///{folder}/runs/elastic/study.db"
    found = optuna.load_study(study_name="elastic", storage=url).get_trials(deepcopy=False)
    assert all(trial.state.name == "RUNNING" for trial in found)
    return [list(trial.intermediate_values) for trial in found]
