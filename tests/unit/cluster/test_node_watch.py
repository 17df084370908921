"""Nodes that join a running cluster, as processes of this machine; one has a storage folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from gazetune.cluster.connect import _require_usable_nodes
from gazetune.cluster.node_watch import NodeWatch
from gazetune.errors import InputError
from tests.commands import BOUND
from tests.ray_clusters import add_node, start_cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = start_cluster(head_cpus=1, with_dashboard=False)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def can_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


def test_a_node_that_joins_is_asked_once_and_one_that_is_gone_again_is_no_error(
    cluster: Cluster, tmp_path: Path
) -> None:
    watch = NodeWatch(True, tmp_path)
    assert [node.cpus for node in watch.list_nodes()] == [1.0]
    node = add_node(cluster, cpus=2, object_store_mb=100)
    assert sorted(each.cpus for each in watch.list_nodes()) == [1.0, 2.0]
    assert list(tmp_path.iterdir()) == []
    touched = tmp_path.stat().st_mtime_ns
    watch.list_nodes()
    assert tmp_path.stat().st_mtime_ns == touched, "it is known now"
    assert len(watch.usable_ids) == 2 and not watch.refused_ids
    cluster.remove_node(node)
    assert [each.cpus for each in watch.list_nodes()] == [1.0]
    assert len(watch.usable_ids) == 1


@pytest.mark.skipif(not can_mount(), reason="a folder that one node alone sees needs root, and namespaces for mounts")
def test_a_node_that_does_not_see_the_storage_folder_is_left_out(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone, watch = NodeWatch(False, tmp_path), NodeWatch(True, tmp_path)
    start = f"mount -t tmpfs none {tmp_path} && exec {Path(sys.executable).parent}/ray start --block --num-cpus 1 "
    options = f"--address {cluster.address} --object-store-memory {100 << 20}"
    node = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", start + options],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + BOUND
        while len([each for each in ray.nodes() if each["Alive"]]) < 2:
            assert time.monotonic() < deadline and node.poll() is None
            time.sleep(0.2)
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)  # at the same address, and it does see it
        assert len(watch.list_nodes()) == 2 and len(watch.usable_ids) == 2 and len(watch.refused_ids) == 1
        (told,) = caplog.messages
        assert told.startswith(f"left out: --storage '{tmp_path}' is not shared: node ")
        assert "does not see it" in told and told.endswith("it has to join anew (ray stop, ray start)")
        assert len(watch.list_nodes()) == 2 and len(caplog.messages) == 1, "it is asked and told of once"
        assert len(alone.list_nodes()) == 3, "where no cluster was joined nobody else's nodes are there"
        with pytest.raises(InputError, match=rf"^--storage '{tmp_path}' is not shared: node .* does not see it"):
            _require_usable_nodes(tmp_path)
    finally:
        node.terminate()
        node.wait(timeout=30)
