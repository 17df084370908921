from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazetune.cluster.connect import HIDE_GPUS, connect_to_cluster, worker_environment
from gazetune.config import ResourcesConfig
from gazetune.errors import InputError

CHECK = """
import json, os, sys, threading
from pathlib import Path
import ray
from ray.util.state import list_nodes
from gazetune.cluster.connect import connect_to_cluster, disconnect_from_cluster
from gazetune.cluster.node_checks import _find_problem
from gazetune.config import ResourcesConfig
from gazetune.errors import InputError

def refused(call, *arguments):
    try:
        call(*arguments)
    except InputError as error:
        return str(error)

def asked():  # what a worker of Ray Train does before it frees a placement group
    return [node.node_id for node in list_nodes()]

storage, found = Path(sys.argv[1]), {}
if sys.argv[2] == "local":
    size = connect_to_cluster(None, [ResourcesConfig()], storage)
    address = ray.get_runtime_context().gcs_address
    found["asked"] = ray.get(ray.remote(num_cpus=0)(asked).remote())
    found["node"] = ray.get_runtime_context().get_node_id()
    found["visible"] = ray.get(ray.remote(num_cpus=1)(lambda: os.environ.get("CUDA_VISIBLE_DEVICES")).remote())
    found["object_store"] = ray.cluster_resources()["object_store_memory"]
    os.environ["RAY_ADDRESS"] = address  # for the state API: somebody else's Ray may run on the machine
    found["nodes_of_the_state_api"] = len(list_nodes())
    found["unseen"] = _find_problem("10.0.0.7", ray.put((False, "0.1.0")), Path("/runs"))
    found["older"] = _find_problem("10.0.0.7", ray.put((True, "0.0.1")), Path("/runs"))
    print(json.dumps({"address": address}), flush=True)
    input()
else:
    size = connect_to_cluster(sys.argv[2], [ResourcesConfig(workers=1)], storage)
found.update(cpus=size.cpus, nodes=size.nodes, slots=size.slots)
if sys.argv[2] != "local":
    disconnect_from_cluster()
    found["too_large"] = refused(connect_to_cluster, sys.argv[2], [ResourcesConfig(gpus_per_worker=1)], storage)
    found["still_connected"] = ray.is_initialized()
print(json.dumps(found))
"""


def start(storage: Path, where: str) -> subprocess.Popen[str]:
    # RAY_ADDRESS must not make a local instance join something.
    environment = {**os.environ, "RAY_ADDRESS": "192.0.2.1:6379", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHECK, str(storage), where]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)


def finish(process: subprocess.Popen[str], text: str = "") -> dict[str, object]:
    out, error = process.communicate(text, timeout=120)
    assert process.returncode == 0, error
    result = json.loads(out.splitlines()[-1])
    assert isinstance(result, dict)
    return result


def test_ray_starts_here_and_a_second_driver_joins_it(tmp_path: Path) -> None:
    local = start(tmp_path, "local")
    try:
        assert local.stdout is not None
        line = local.stdout.readline()
        assert line, local.communicate()[1]
        joined = finish(start(tmp_path, json.loads(line)["address"]))
        found = finish(local, "\n")
    finally:
        local.kill()
    cpus = len(os.sched_getaffinity(0))
    assert 1 <= found["cpus"] <= cpus and found["slots"] == found["cpus"] and found["nodes"] == 1  # type: ignore[operator]
    assert found["visible"] == "" and found["object_store"] <= 1 << 30  # type: ignore[operator]
    assert found["nodes_of_the_state_api"] == 1
    assert "--storage '/runs' is not shared: node 10.0.0.7" in str(found["unseen"])
    assert "has gazetune 0.0.1" in str(found["older"])
    assert (joined["cpus"], joined["slots"]) == (found["cpus"], found["slots"])
    assert "GPUs" in str(joined["too_large"]) and joined["still_connected"] is False
    assert list(tmp_path.iterdir()) == []


def test_two_instances_on_one_machine_whose_workers_ask_their_own_for_its_state(tmp_path: Path) -> None:
    processes = [start(tmp_path, "local") for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert "address" in json.loads(process.stdout.readline()), "both must be up before one goes on"
        found = [finish(process, "\n") for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert found[0]["node"] != found[1]["node"]
    for each in found:
        assert each["asked"] == [each["node"]]


def test_a_trial_too_large_for_this_machine_is_refused_before_ray_starts(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"999 workers of 1 CPUs each.*this machine has"):
        connect_to_cluster(None, [ResourcesConfig(workers=999)], tmp_path)
    assert time.monotonic() - begin < 1


@pytest.fixture
def web_server() -> Iterator[int]:
    class Silent(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def refused(address: str, storage: Path) -> str:
    with pytest.raises(InputError) as caught:
        connect_to_cluster(address, [ResourcesConfig()], storage)
    assert "\n" not in str(caught.value) and f"'{address}'" in str(caught.value)
    return str(caught.value)


def test_an_address_where_nothing_listens_is_refused_at_once(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begin = time.monotonic()
    assert "no Ray cluster answers" in refused(f"127.0.0.1:{port}", tmp_path)
    assert time.monotonic() - begin < 2


def test_an_address_where_something_else_listens_is_refused_in_seconds(tmp_path: Path, web_server: int) -> None:
    begin = time.monotonic()
    assert "is not Ray" in refused(f"127.0.0.1:{web_server}", tmp_path)
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "somewhere", "host:port"])
def test_what_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    assert "accepted: auto or HOST:PORT" in refused(address, tmp_path)


def test_workers_get_what_training_needs_and_neither_tokens_nor_passwords() -> None:
    given = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": "/models",
        "HF_TOKEN_PATH": "/secrets/hub",
        "NCCL_SOCKET_IFNAME": "eth0",
        "TORCH_NCCL_TRACE_BUFFER_SIZE": "100",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }
    kept = {"HF_TOKEN": "secret", "HF_ENDPOINT": "https://me:secret@hub", "PATH": "/bin", "DS_ACCELERATOR": "cuda"}
    assert worker_environment({**given, **kept}) == {**given, **HIDE_GPUS}
