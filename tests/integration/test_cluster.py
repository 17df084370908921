"""A search joins a running cluster of two nodes, trains on both, and leaves every CPU free."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.state import list_actors

from tests.commands import gazetune_json
from tests.ray_clusters import add_node, start_cluster

SPACE = """
name: two-nodes
base:
  data: {source: planted, pairs: 400}
  gaze: {predictor: planted}
  train: {batch_size: 32}
space:
  fusion.kind: {choice: [none, concat, add]}
search: {confirm: off, trials: 4, sampler: random, scheduler: asha, rungs: 100, seed: 1}
resources: {workers: 1, cpus_per_worker: 1}
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = start_cluster(head_cpus=1)
    add_node(cluster, cpus=1)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_search_trains_on_both_nodes_and_frees_every_cpu(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    arguments = ["search", tmp_path / "space.yaml", "--storage", tmp_path / "runs", "--address", "auto"]
    # `auto` takes this address first; the machine may run another cluster beside the test's.
    document = gazetune_json(*arguments, RAY_ADDRESS=cluster.address)
    states = [trial["state"] for trial in document["trials"]]
    assert len(states) == 4 and "FAIL" not in states
    workers = [actor for actor in list_actors(limit=1000) if "RayTrainWorker" in actor.class_name]
    assert len({worker.node_id for worker in workers}) == 2, "each node must have trained"
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 2.0:
        assert time.monotonic() < deadline, f"CPUs still taken: {ray.available_resources()}"
        time.sleep(0.5)
    # Ray keeps an actor or two of its own, whose names begin with an underscore.
    alive = [actor.class_name for actor in list_actors(limit=1000) if actor.state == "ALIVE"]
    assert [name for name in alive if not name.startswith("_")] == []
