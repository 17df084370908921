"""What becomes of slots as nodes and jobs change, with a real board and a Ray that is too small for them."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.train.v2.api.exceptions import WorkerGroupError
from ray.util.placement_group import placement_group_table

from gazetune.cluster.capacity import NodeResources
from gazetune.cluster.local_ray import start_local_ray
from gazetune.cluster.node_watch import NodeWatch
from gazetune.config import ResourcesConfig
from gazetune.search.stopping.stop_rules import SlotLossStopper
from gazetune.trials.messages import DeviceFailure
from gazetune.trials.slot import Slot, SlotSettings
from gazetune.trials.slot_pool import SlotPool
from tests.commands import BOUND
from tests.unit.trials.messages import train_job


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    start_local_ray(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


WIDE = ResourcesConfig(cpus_per_worker=2)


class Nodes:
    """Nodes as somebody says they are, by the slots they hold. A slot has 2 CPUs, which Ray never grants here."""

    usable_ids = refused_ids = frozenset[str]()

    def __init__(self, *slots: float) -> None:
        self.slots: Sequence[float] = slots

    def refuse_node(self, node_id: str, problem: str) -> None:
        self.slots = ()
        self.told = f"{node_id}: {problem}"

    def list_nodes(self) -> list[NodeResources]:
        return [NodeResources(f"node {number}", 2 * slots) for number, slots in enumerate(self.slots)]


def pending_requests() -> int:
    return sum(group["state"] == "PENDING" for group in placement_group_table().values())


def comes_about(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def open_slots(cluster: None, tmp_path: Path) -> Iterator[Callable[..., SlotPool]]:
    opened: list[SlotPool] = []

    def make(nodes: Nodes, jobs: int, patience: float = 60.0, shapes: Sequence[ResourcesConfig] = (WIDE,)) -> SlotPool:
        opened.append(SlotPool(shapes, patience, nodes, jobs, tmp_path, tmp_path, lambda count, why: None))
        return opened[-1]

    yield make
    for slots in opened:
        slots.close(10.0)
    assert pending_requests() == 0


def test_as_many_slots_are_requested_as_nodes_and_jobs_allow(open_slots: Callable[..., SlotPool]) -> None:
    nodes = Nodes(2, 2)
    slots = open_slots(nodes, jobs=3)
    assert pending_requests() == 3, "no more than there are jobs"
    slots.finish_job("a")
    slots.finish_job("b")
    comes_about(lambda: pending_requests() == 1)
    slots.finish_job("c")
    time.sleep(1.5)
    assert pending_requests() == 1, "one is kept for what follows the last job"


def test_requests_are_withdrawn_when_nodes_go_and_made_when_they_come(open_slots: Callable[..., SlotPool]) -> None:
    nodes = Nodes(1, 1, 1)
    open_slots(nodes, jobs=9)
    assert pending_requests() == 3
    nodes.slots = (1,)
    comes_about(lambda: pending_requests() == 1)
    nodes.slots = (1, 4)
    comes_about(lambda: pending_requests() == 5)


def test_a_slot_without_a_placement_has_no_capacity_for_a_trial(open_slots: Callable[..., SlotPool]) -> None:
    assert not open_slots(Nodes(4), jobs=4).has_capacity([])


def test_slots_are_requested_by_what_jobs_need_where_trials_need_different_resources(
    open_slots: Callable[..., SlotPool],
) -> None:
    wider = ResourcesConfig(workers=2, cpus_per_worker=2)
    slots = open_slots(Nodes(2, 1), jobs=9, shapes=[WIDE, wider])
    assert pending_requests() == 0, "nobody knows yet what the first trial needs"
    for job_id, shape in (("a", wider), ("b", WIDE)):
        ray.get(slots.board.submit_job.remote(train_job(job_id, shape=shape)))
    comes_about(lambda: pending_requests() == 2)
    assert all(slots.has_capacity(running) for running in ([], [WIDE], [wider], [WIDE, WIDE]))
    assert not slots.has_capacity([wider, WIDE]) and not slots.has_capacity([WIDE] * 3)
    assert not slots.has_capacity([WIDE, WIDE, wider]), "a wide one that has to wait is the next"
    slots.finish_job("a")
    comes_about(lambda: pending_requests() == 1)


def test_a_shape_that_is_needed_and_held_nowhere_is_fatal(open_slots: Callable[..., SlotPool]) -> None:
    wider = ResourcesConfig(workers=2, cpus_per_worker=2)
    slots = open_slots(Nodes(1), jobs=9, patience=1.0, shapes=[WIDE, wider])
    time.sleep(2.0)
    assert slots.fatal_reason is None, "nobody needs it"
    ray.get(slots.board.submit_job.remote(train_job("a", shape=wider)))
    comes_about(lambda: slots.fatal_reason is not None)
    assert slots.fatal_reason is not None and "one trial needs 2 workers of 2 CPUs each" in slots.fatal_reason


def test_it_is_fatal_only_after_the_nodes_were_gone_for_long_enough(open_slots: Callable[..., SlotPool]) -> None:
    nodes = Nodes(1)
    patient, hasty = open_slots(nodes, jobs=2), open_slots(nodes, jobs=2, patience=1.0)
    time.sleep(2.5)
    assert hasty.fatal_reason is None, "there is a node that may grant the place yet"
    nodes.slots = (0.5,)
    comes_about(lambda: hasty.fatal_reason is not None)
    assert hasty.fatal_reason == (
        "no slot can be held since 1 s: no node can hold one worker, which needs 2 CPUs (resources.cpus_per_worker, "
        "resources.gpus_per_worker): node 0 has 1 CPUs"
    )
    assert patient.fatal_reason is None
    assert SlotLossStopper(hasty).stop_all() and not SlotLossStopper(patient).stop_all()
    assert not pickle.loads(pickle.dumps(SlotLossStopper(hasty))).stop_all(), "what Tune writes down ends nothing"


class Ended(Slot):
    """A slot whose worker group has ended with an error."""

    @property
    def has_ended(self) -> bool:
        return True


def test_a_node_whose_gpus_fail_again_and_again_is_left_out_and_no_job_fails_for_it(
    open_slots: Callable[..., SlotPool], tmp_path: Path
) -> None:
    nodes = Nodes(1)
    slots = open_slots(nodes, jobs=2, patience=0.5)
    ray.get(slots.board.submit_job.remote(train_job("a", shape=WIDE)))
    for number in (7, 8, 9):
        assert ray.get(slots.board.take_job.remote(number, WIDE, 10.0)).id == "a", "handed out again at once"
        failure = DeviceFailure("b0b", "a", "AcceleratorError: CUDA error: uncorrectable ECC error", is_certain=True)
        ray.get(slots.board.report_device_failure.remote(number, failure))
        slot = Ended(number, WIDE, SlotSettings(slots.board_name, tmp_path, tmp_path))
        slot.withdraw_request()
        slot.error = WorkerGroupError("", {})
        slots._slots.append(slot)
        comes_about(lambda ended=slot: ended not in slots._slots)
    comes_about(lambda: nodes.slots == ())
    assert nodes.told == (
        "b0b: its GPUs failed 3 times, the last time with: AcceleratorError: CUDA error: uncorrectable ECC error"
    )
    assert ray.get(slots.board.take_job.remote(10, WIDE, 10.0)).id == "a", "the job goes on elsewhere"
    comes_about(lambda: slots.fatal_reason is not None)
    assert slots.fatal_reason is not None and "every node was left out, or there is none" in slots.fatal_reason


def test_nodes_that_cannot_be_asked_for_are_fatal_and_no_silence(open_slots: Callable[..., SlotPool]) -> None:
    class Unreachable(Nodes):
        def list_nodes(self) -> list[NodeResources]:
            if not self.slots:
                raise ConnectionError("the cluster is gone")
            return super().list_nodes()

    nodes = Unreachable(1)
    slots = open_slots(nodes, jobs=2)
    nodes.slots = ()
    comes_about(lambda: slots.fatal_reason is not None)
    assert slots.fatal_reason == "the slots cannot be looked after any more: the cluster is gone"


def test_a_placement_on_a_node_that_turns_out_to_be_of_no_use_is_given_back(
    open_slots: Callable[..., SlotPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gazetune.trials.slot_pool.NODE_SECONDS", 1000.0)  # it is the place that lets it ask again

    class Judging(Nodes):
        """Finds out that the node cannot be used when it is asked the second time."""

        asked = 0

        def list_nodes(self) -> list[NodeResources]:
            self.asked += 1
            if self.asked == 2:
                self.refused_ids = frozenset(node["NodeID"] for node in ray.nodes())
            return super().list_nodes()

    nodes = Judging(0.5)
    slots = open_slots(nodes, jobs=2, shapes=[ResourcesConfig()])
    # One that may be anywhere is granted at once, where nothing is known of the node yet.
    comes_about(lambda: nodes.asked == 2 and pending_requests() == 1)
    asked = len(placement_group_table())
    time.sleep(1.5)
    assert len(placement_group_table()) == asked, "it waits for another node, and is not granted this one again"
    assert pending_requests() == 1 and not slots.has_capacity([])
    assert ray.available_resources()["CPU"] == 1.0


def controllers() -> list[psutil.Process]:
    """The processes of Ray Train that look after one slot each."""
    return [each for each in psutil.Process().children(recursive=True) if "TrainController" in " ".join(each.cmdline())]


def test_another_slot_follows_one_whose_controller_died(cluster: None, tmp_path: Path) -> None:
    slots = SlotPool(
        [ResourcesConfig()], 60.0, NodeWatch(False, tmp_path), 2, tmp_path, tmp_path, lambda count, why: None
    )
    comes_about(lambda: ray.get(slots.board.read_state.remote()).ready == [0])
    assert ray.available_resources().get("CPU", 0.0) == 0.0
    (controller,) = controllers()
    controller.kill()
    comes_about(lambda: [slot.number for slot in slots._slots if slot.is_started] == [1])
    assert slots.fatal_reason is None
    slots.close(60.0)
    comes_about(lambda: ray.available_resources().get("CPU") == 1.0)


@pytest.mark.long("nodes")
def test_worker_groups_that_never_come_up_are_fatal(cluster: None, tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.touch()
    nodes = NodeWatch(False, tmp_path)
    slots = SlotPool([ResourcesConfig()], 60.0, nodes, 2, no_folder, tmp_path, lambda count, why: None)
    comes_about(lambda: slots.fatal_reason is not None)
    slots.close(10.0)
    assert slots.fatal_reason is not None and slots.fatal_reason.startswith("worker groups cannot be kept up: ")
    assert str(no_folder) in slots.fatal_reason, "it says why"
