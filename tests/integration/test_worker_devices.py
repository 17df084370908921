"""What workers of each shape get of a machine with GPUs, as seen from inside of them.

The GPUs are declared to Ray. No device is needed for that: Ray gives their numbers out as it would real ones.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle
from ray.train.torch import TorchConfig
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

from gazetune.cluster.connect import ClusterSize, connect_to_cluster, disconnect_from_cluster
from gazetune.config import Config, ResourcesConfig
from gazetune.gaze.predictors.planted import PlantedPredictor
from gazetune.gaze.store.parallel import RayPrediction
from gazetune.trials.board import NAMESPACE, Board
from gazetune.trials.messages import WorkerSettings
from gazetune.trials.slot import Slot, SlotSettings, _create_trainer
from tests.commands import BOUND
from tests.ray_clusters import start_cluster

CPU = ResourcesConfig()
ONE = ResourcesConfig(gpus_per_worker=1)
SHARE = ResourcesConfig(gpus_per_worker=0.5)
SEVERAL = ResourcesConfig(workers=2, gpus_per_worker=1)
SHAPES = (CPU, ONE, SHARE, SEVERAL)
CPUS, GPUS = 5, 4

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not find the tests


@pytest.fixture(scope="module")
def size(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSize]:
    """A cluster of one node with GPUs, whose processes inherit that DeepSpeed is to use them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DS_ACCELERATOR", "cuda")
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        cluster = start_cluster(CPUS, gpus=GPUS, labels={"ray.io/accelerator-type": "A100"})
        size = connect_to_cluster(cluster.address, SHAPES, tmp_path_factory.mktemp("storage"))
        board = ray.remote(Board).options(num_cpus=0, name="board", namespace=NAMESPACE).remote()
        yield size
        ray.kill(board)
        disconnect_from_cluster()
        cluster.shutdown()


def join_as_a_slot_does(loop_config: dict[str, WorkerSettings]) -> None:
    """What a worker finds, written to a file of its own."""
    settings = loop_config["settings"]
    found: dict[str, Any] = {"visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "given": ray.get_gpu_ids()}

    from gazetune.devices import choose_worker_device
    from gazetune.errors import InputError
    from gazetune.train.processes.worker_group import join_worker_group

    gpus = settings.resources.gpus_per_worker
    found["device"] = choose_worker_device(gpus, os.environ)
    try:
        found["joined"] = str(join_worker_group(gpus).device)
        from deepspeed.accelerator import get_accelerator

        found["accelerator"] = get_accelerator().device_name()
    except InputError as error:
        found["refused"] = str(error)
    name = f"{settings.slot}-{os.environ['RANK']}.json"
    (settings.cache / name).write_text(json.dumps(found))


def test_a_worker_of_each_shape_gets_its_own_gpus_and_one_of_a_cpu_shape_none(
    size: ClusterSize, tmp_path: Path
) -> None:
    errors: list[Exception] = []

    def run_group(number: int) -> None:
        trainer = _create_trainer(number, SHAPES[number], SlotSettings("board", tmp_path / "slots", tmp_path), None)
        trainer.train_loop_per_worker = join_as_a_slot_does
        trainer.backend_config = TorchConfig(backend="gloo")  # nccl needs a device
        try:
            trainer.fit()
        except (ControllerError, WorkerGroupError) as error:
            errors.append(error)

    groups = [threading.Thread(target=run_group, args=(number,)) for number in range(len(SHAPES))]
    for group in groups:
        group.start()
    for group in groups:
        group.join()
    assert errors == []
    on_cpu, one, share, first, second = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("0-0", "1-0", "2-0", "3-0", "3-1")
    )
    assert on_cpu == {"visible": "", "given": [], "device": "cpu", "joined": "cpu", "accelerator": "cpu"}
    for alone in (one, share):
        assert alone["visible"] == str(alone["given"][0]) and alone["device"] == "cuda:0"
    assert first["visible"] == second["visible"] == ",".join(map(str, sorted(first["given"] + second["given"])))
    assert {first["device"], second["device"]} == {"cuda:0", "cuda:1"}
    each = [worker["given"][0] for worker in (one, share, first, second)]
    assert sorted(each) == [0, 1, 2, 3], "no GPU twice"
    for worker in (one, share, first, second):
        assert "joined" not in worker, "there is no such GPU, and a CPU must not stand in for it"
        assert "asks for a GPU for worker" in worker["refused"] and "torch sees 0 GPU(s)" in worker["refused"]


def test_a_placement_is_strict_and_on_the_kind_of_gpu_that_is_wanted_or_is_none(
    size: ClusterSize, tmp_path: Path
) -> None:
    settings = SlotSettings("board", tmp_path, tmp_path)
    wanted = {"workers": 2, "gpus_per_worker": 1, "pack": "strict"}
    here = Slot(0, ResourcesConfig.model_validate({**wanted, "accelerator": "A100"}), settings)
    nowhere = Slot(1, ResourcesConfig.model_validate({**wanted, "accelerator": "H100"}), settings)
    try:
        deadline = time.monotonic() + BOUND
        while len(here.granted_nodes()) != 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert nowhere.granted_nodes() == [], "there is no such GPU"
        group = here._placement
        assert group is not None and placement_group_table(group)["strategy"] == "STRICT_PACK"
    finally:
        here.withdraw_request()
        nowhere.withdraw_request()


class WithGpu(PlantedPredictor):
    """A predictor that would compute on a GPU."""

    takes_gpu = True


def test_prediction_asks_for_a_gpu_worker_where_none_is_free_and_waits_for_it_so_long(
    size: ClusterSize, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gazetune")
    monkeypatch.setattr("gazetune.gaze.store.parallel.START_AFTER", 0.0)
    batches = [[f"text {number} {place}" for place in range(4)] for number in range(3)]
    taken = placement_group([{"GPU": GPUS}])
    assert taken.wait(BOUND)

    def predict(patience: float) -> Iterator[Any]:
        tree = {"gaze": {"predictor": "planted"}, "resources": {"gpus_per_worker": 1}}
        config = Config.model_validate({**tree, "search": {"node_patience": patience}})
        return iter(RayPrediction(lambda: size)(config, WithGpu(0))(batches))

    assert len(list(predict(0.5))) == len(batches)
    assert "no GPU came free in 0.5 s: reading measures are predicted in this process" in caplog.text
    releasing = threading.Timer(2.0, remove_placement_group, [taken])
    releasing.start()
    found = predict(300.0)
    next(found)
    assert ray.available_resources().get("GPU", 0) < GPUS, "it waited for the GPU"
    assert len(list(found)) == len(batches) - 1
    releasing.join()
