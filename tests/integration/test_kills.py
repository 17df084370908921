"""A driver is killed that had joined a cluster: the cluster lives on, and gets back all that the search had of it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.state import list_actors

from tests.commands import BOUND, command, ended
from tests.ray_clusters import start_cluster

SPACE = """
name: joined
base:
  data: {source: planted, pairs: 900}
  gaze: {predictor: planted}
  train: {batch_size: 16}
  fusion: {kind: none}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
search: {confirm: off, trials: 3, sampler: random, scheduler: asha, rungs: 100, reduction: 2, seed: 0}
resources: {workers: 2}
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = start_cluster(head_cpus=2)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def search(cluster: Cluster, folder: Path, *what: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("search", *what, "--storage", folder / "runs", "--address", "auto", "--json"),
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        stdout=(folder / "out").open("w"),
        stderr=(folder / "log").open("w"),
    )


def wait_for(what: str, condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.05)


def everything_is_free() -> bool:
    """All CPUs are, and no actor is left but those that Ray keeps for itself, whose names begin with an underscore."""
    if ray.available_resources().get("CPU") != 2.0:
        return False
    return all(actor.class_name.startswith("_") for actor in list_actors(filters=[("state", "=", "ALIVE")]))


@pytest.mark.long("kills")
def test_a_cluster_gets_back_all_that_a_killed_driver_had_and_can_go_on(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    trials = tmp_path / "runs" / "joined" / "trials"
    killed = search(cluster, tmp_path, tmp_path / "space.yaml")
    try:
        wait_for("evaluation", lambda: killed.poll() is not None or any(trials.glob("*/margins/*/margins.npy")), BOUND)
        assert killed.poll() is None, (tmp_path / "log").read_text()[-3000:]
        assert not everything_is_free()
    finally:
        killed.kill()
        killed.wait()
    wait_for("free cluster", everything_is_free, 60)
    said = (tmp_path / "log").read_text().splitlines()[-1]
    assert said.startswith("gazetune: error: search 'joined' ended") and "gazetune search --resume joined" in said
    resumed = search(cluster, tmp_path, "--resume", "joined")
    try:
        assert ended(resumed, tmp_path / "log") == 0, (tmp_path / "log").read_text()[-3000:]
    finally:
        resumed.kill()
    states = [trial["state"] for trial in json.loads((tmp_path / "out").read_text())["trials"]]
    assert len(states) == 3 and set(states) <= {"COMPLETE", "PRUNED"}
    wait_for("free cluster", everything_is_free, 60)
