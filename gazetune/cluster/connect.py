"""Joining a Ray cluster, or starting Ray on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import ray
from ray._common.network_utils import find_free_port
from ray._common.utils import get_system_memory
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._private.grpc_utils import init_grpc_channel
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._private.utils import get_num_cpus
from ray.dashboard.utils import ray_address_to_api_server_url

from gazetune.cluster.capacity import NodeResources, require_slots
from gazetune.cluster.local_ray import own_sigterm_handler, start_local_ray
from gazetune.cluster.node_checks import find_unusable_nodes
from gazetune.cluster.nodes import alive_nodes, usable_resources
from gazetune.config import ResourcesConfig
from gazetune.config.address import Address
from gazetune.errors import InputError

OBJECT_STORE_BYTES = 1 << 30
"""Size of Ray's object store. Ray would take a third of the memory, but a search passes little through the store: the
gaze store is memory-mapped."""

STATE_API_VARIABLE = "RAY_API_SERVER_ADDRESS"
"""Tells workers where Ray's state API answers. Ray Train frees placement groups by what that API says. Where several
instances of Ray run on one machine, a worker finds the API of its own instance by this variable alone."""

LOST_HEAD_SECONDS = 20
"""Ray's processes on this machine end when the instance has not answered for so long. Ray's default is a minute."""

PASSED_VARIABLES = (
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_TOKEN_PATH",
    "TRANSFORMERS_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "MLFLOW_DISABLE_TELEMETRY",
    "OMP_NUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TOKENIZERS_PARALLELISM",
)
"""Workers on other machines get these from the driver, and what begins as `PASSED_PREFIXES`. No address with a password
and no token is among them, but the path of a file with a token: the dashboard shows what is passed."""

PASSED_PREFIXES = ("NCCL_", "TORCH_NCCL_")

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Where a token itself may stand; never passed on."""

HIDE_GPUS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
"""With this, Ray starts a process that asked for no GPU with an empty `CUDA_VISIBLE_DEVICES`. By default such a process
sees all GPUs of its node. Ray Train would then put a CUDA context on the first one, which is another worker's."""


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClusterSize:
    """What a search can use."""

    cpus: float
    gpus: float
    nodes: int
    """With those that the cluster's autoscaler may still start."""
    slots: int
    """How many trials fit at once, of the shape that fits most often; at least 1."""
    joined: bool
    """Whether the cluster was there before: then nodes may come and go."""


def connect_to_cluster(address: str | None, shapes: Sequence[ResourcesConfig], storage: Path) -> ClusterSize:
    """Start Ray on this machine, or join a running cluster, and return how large it is.

    Parameters
    ----------
    address
        None starts an instance here with the CPUs and GPUs that this machine has; `auto` or `host:port` joins.
    shapes
        What one trial needs; several where trials need different resources.
    storage
        Folder of the results: every node of a joined cluster must see it.

    Raises
    ------
    InputError
        When no cluster runs at the address, one trial of some shape does not fit, a node does not see the storage
        folder, or a node has another version of this package. Ray is not left running then.
    RunError
        When Ray does not start on this machine in time.
    RuntimeError
        When this process is connected already.
    """
    if ray.is_initialized():
        raise RuntimeError("this process is connected to Ray already; call disconnect_from_cluster() first")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    found = None if address is None else _find_address(address)
    # RAY_ADDRESS may name another cluster. Ray's state API would ask that one, and free placement groups by its answer.
    os.environ.pop("RAY_ADDRESS", None)
    if found is None:
        _start_local_instance(shapes)
    else:
        _join_cluster(found)
    try:
        nodes = usable_resources(joined=address is not None)
        slots = max(require_slots(nodes, shape) for shape in shapes)
        if address is not None:
            _require_usable_nodes(storage)
    except BaseException:
        disconnect_from_cluster()
        raise
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    return ClusterSize(cpus, gpus, len(nodes), slots, joined=address is not None)


def disconnect_from_cluster() -> None:
    """Leave the cluster; an instance that `connect_to_cluster` started on this machine ends."""
    ray.shutdown()


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that every worker gets.

    What DeepSpeed computes on is not among them: each worker decides by the GPUs of its shape (`join_worker_group`).
    """
    given = {
        name: value
        for name, value in environment.items()
        if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES)
    }
    return {**{name: value for name, value in given.items() if not Address(value).has_secret}, **HIDE_GPUS}


def count_machine_cpus() -> float:
    """Return the CPUs of this machine that this process may use."""
    cpus = get_num_cpus(override_docker_cpu_warning=True)
    return min(cpus, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cpus


def _start_local_instance(shapes: Sequence[ResourcesConfig]) -> None:
    cpus = count_machine_cpus()
    # The CPUs are known without Ray, so too few of them are refused before it starts. The GPUs are found by Ray.
    for shape in shapes:
        require_slots(
            [NodeResources("this machine", cpus)], shape.model_copy(update={"gpus_per_worker": 0, "accelerator": None})
        )
    port = find_free_port()
    # An instance on one machine does not come back once it has ended. Its agents wait so long for it, then end too.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(LOST_HEAD_SECONDS))
    # Nobody announces that he takes this machine away; the watcher would be one more process for each slot.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    start_local_ray(
        num_cpus=int(cpus),
        # Ray Train frees the placement group of a stopped run only with the dashboard's state API.
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=port,
        object_store_memory=min(OBJECT_STORE_BYTES, get_system_memory() // 10),
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {**worker_environment(os.environ), STATE_API_VARIABLE: f"http://127.0.0.1:{port}"}},
        _temp_dir=_choose_temp_dir(),
    )


def _find_address(address: str) -> str:
    """Return host:port of the cluster at `address`, after checking that Ray answers there."""
    where = f"--address '{address}'"
    try:
        found = canonicalize_bootstrap_address_or_die("auto") if address == "auto" else address
    except (ConnectionError, ValueError) as error:
        raise InputError(f"{where}: {_first_line(error)}") from error
    host, _, port = found.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise InputError(f"{where}: '{found}' is no address of a Ray cluster; accepted: auto or HOST:PORT (6379)")
    try:  # Ray itself would try for minutes
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(f"{where}: no Ray cluster answers at {found} ({error})") from error
    if _requires_token(found, where):
        # `ray start` uses the token of ~/.ray when there is one; `ray.init` does not do so by itself. The token is used
        # only where the cluster asks for it: a driver that demands tokens of a cluster without them is taken for dead.
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    return found


def _join_cluster(found: str) -> None:
    environment = worker_environment(os.environ)
    if any(os.environ.get(name) for name in TOKEN_VARIABLES) and "HF_TOKEN_PATH" not in environment:
        _LOG.warning(
            "the token in HF_TOKEN is not passed to workers, as Ray's dashboard would show it; for gated backbones put "
            "it into a file that every node has at the same path, and name that file in HF_TOKEN_PATH"
        )
    with contextlib.suppress(ConnectionError, ValueError, ray.exceptions.RayError):  # it may have no dashboard
        environment[STATE_API_VARIABLE] = ray_address_to_api_server_url(found)
    try:
        with own_sigterm_handler():
            ray.init(
                found,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": environment},
            )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        token = "with token authentication, RAY_AUTH_MODE=token and the cluster's ~/.ray/auth_token are needed here too"
        raise InputError(
            f"--address: cannot join the Ray cluster at {found}: {_first_line(error)} ({token})"
        ) from error


def _require_usable_nodes(storage: Path) -> None:
    """Raise `InputError` naming the first node that does not see the storage folder, or has another package version."""
    for problem in find_unusable_nodes(storage, alive_nodes()).values():
        raise InputError(problem)


def _requires_token(found: str, where: str) -> bool:
    """Tell whether the cluster refuses a call without a token.

    Raises
    ------
    InputError
        When what listens there is not Ray.
    """
    channel = init_grpc_channel(found)
    alive = channel.unary_unary(
        "/ray.rpc.NodeInfoGcsService/CheckAlive", request_serializer=lambda _: b"", response_deserializer=bytes
    )
    try:
        alive(None, timeout=5)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            return True
        reason = "what listens there is not Ray"
        raise InputError(f"{where}: no Ray cluster answers at {found} ({reason})") from error
    finally:
        channel.close()
    return False


def _choose_temp_dir() -> str:
    """Return a folder for Ray, of this user alone; a short one, as the path of a socket has at most 107 bytes."""
    base = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return f"{base if len(base) <= 32 else '/tmp'}/ray-{os.getuid()}"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
