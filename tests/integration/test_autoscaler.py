"""A cluster whose autoscaler starts nodes: a search asks for them, trains on them, and lets them go again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import ray
import yaml
from ray._common.network_utils import find_free_port

from tests.commands import gazetune

SPACE = """
name: scaled
base:
  data: {source: planted, pairs: 900}
  gaze: {predictor: planted}
  train: {batch_size: 32, epochs: 4}
  fusion: {kind: none}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
search: {confirm: off, trials: 4, sampler: random, scheduler: none, seed: 0}
"""
# Ray's own provider for tests: each node that it starts is a raylet on this machine.
LAUNCHER = {
    "cluster_name": "scaled",
    "max_workers": 2,
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,  # there is no machine to log in to
        "disable_launch_config_check": True,
    },
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {
            "resources": {"CPU": 1, "object_store_memory": 200 << 20},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 2,
        },
    },
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 0.1,
    # What `ray up` fills in, and the autoscaler looks for.
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}


@dataclass
class ScaledCluster:
    """A head without CPUs for trials, and the home folder in which `ray up` would leave its config."""

    address: str
    home: Path

    def workers(self) -> int:
        """How many nodes are there beside the head."""
        return sum(node["Alive"] and "node:__internal_head__" not in node["Resources"] for node in ray.nodes())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ScaledCluster]:
    home, address = tmp_path / "home", f"127.0.0.1:{find_free_port()}"
    home.mkdir()
    provider = {**LAUNCHER["provider"], "gcs_address": address}
    launcher = home / "ray_bootstrap_config.yaml"
    launcher.write_text(yaml.safe_dump({**LAUNCHER, "provider": provider}))
    options = {
        "port": address.rpartition(":")[2],
        "node-ip-address": "127.0.0.1",
        "num-cpus": 0,
        "object-store-memory": 200 << 20,
        "dashboard-host": "127.0.0.1",
        "dashboard-port": find_free_port(),
        "autoscaling-config": launcher,
        "temp-dir": f"{os.environ['RAY_TMPDIR']}/scaled",
    }
    head = subprocess.Popen(
        [
            Path(sys.executable).with_name("ray"),
            "start",
            "--head",
            "--block",
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        env={**os.environ, "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1", "RAY_AUTH_MODE": "disabled"},
        stdout=(tmp_path / "head").open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 60
        while "Ray runtime started" not in (tmp_path / "head").read_text():
            assert head.poll() is None and time.monotonic() < deadline, (tmp_path / "head").read_text()[-3000:]
            time.sleep(0.2)
        ray.init(address, logging_level="ERROR", log_to_driver=False)
        yield ScaledCluster(address, home)
    finally:
        ray.shutdown()
        family = [head, *psutil.Process(head.pid).children(recursive=True)]
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        head.wait()


@pytest.mark.long("nodes")
def test_an_autoscaler_starts_nodes_for_the_slots_of_a_search_and_gets_them_back(
    cluster: ScaledCluster, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    assert cluster.workers() == 0
    arguments = ["search", tmp_path / "space.yaml", "--storage", tmp_path / "runs", "--address", cluster.address]
    done = gazetune(*arguments, "--json", HOME=str(cluster.home))
    assert done.returncode == 0, done.stderr[-3000:]
    states = [trial["state"] for trial in json.loads(done.stdout)["trials"]]
    assert states == ["COMPLETE"] * 4
    slots = [int(count) for count in re.findall(r"(\d+) slot\(s\)", done.stderr)]
    assert max(slots) == 2, f"both nodes that the autoscaler may start are used: {slots}"
    deadline = time.monotonic() + 120
    while cluster.workers():
        assert time.monotonic() < deadline, "nodes that nothing runs on were not given back"
        time.sleep(0.5)
