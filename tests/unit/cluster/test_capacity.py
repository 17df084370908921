from __future__ import annotations

from typing import Any

import pytest

from gazetune.cluster.capacity import NodeResources, all_fit, count_slots, less, possible_nodes, require_slots, widest
from gazetune.config import ResourcesConfig
from gazetune.errors import InputError


def needs(workers: int, cpus: float = 1, gpus: float = 0) -> ResourcesConfig:
    return ResourcesConfig(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus)


def nodes(*amounts: tuple[float, float]) -> list[NodeResources]:
    return [NodeResources(f"n{i}", cpus, gpus) for i, (cpus, gpus) in enumerate(amounts)]


@pytest.mark.parametrize(
    ("have", "resources", "slots"),
    [
        ([(2, 0)], needs(2), 1),
        ([(2, 0)], needs(1), 2),
        ([(3, 0)], needs(2), 1),
        ([(1, 0), (1, 0)], needs(2), 1),  # one trial over two nodes
        ([(3, 0), (3, 0)], needs(1, cpus=2), 2),  # 6 CPUs, but the third pair of CPUs is on no one node
        ([(3, 0), (3, 0)], needs(3, cpus=2), 0),
        ([(64, 2), (64, 1)], needs(1, gpus=1), 3),
        ([(64, 0)], needs(1, gpus=1), 0),
        ([(8, 8)], needs(2, cpus=2, gpus=1), 2),  # the CPUs run out first
        ([(64, 3), (64, 3)], needs(1, gpus=2), 2),
        ([(64, 1)], needs(1, gpus=0.4), 2),
        ([(64, 2)], needs(1, gpus=0.4), 4),  # not 5: no share lies over two devices
        ([(64, 1)], needs(1, gpus=0.1), 10),
        ([(0.3, 0)], needs(1, cpus=0.1), 3),
        ([], needs(1), 0),
    ],
)
def test_slots_are_what_fits_at_once(have: list[tuple[float, float]], resources: ResourcesConfig, slots: int) -> None:
    assert count_slots(nodes(*have), resources) == slots


@pytest.mark.parametrize(
    ("have", "trials", "fit"),
    [
        ([(4, 0)], [needs(2), needs(1), needs(1)], True),
        ([(4, 0)], [needs(2), needs(1), needs(1), needs(1, cpus=0.5)], False),
        ([(2, 0), (2, 0)], [needs(1), needs(1, cpus=2), needs(1)], True),  # both small ones on one node
        ([(2, 0), (2, 0)], [needs(1, cpus=3)], False),
        ([(64, 0), (4, 1)], [needs(4), needs(1, cpus=4, gpus=1)], True),  # the node with the GPU is left for it
        ([(64, 2)], [needs(1, gpus=0.4), needs(1, gpus=0.4), needs(1, gpus=1)], True),  # both shares on one device
        ([(64, 2)], [needs(1, gpus=0.4), needs(1, gpus=0.7), needs(1, gpus=1)], False),
        ([(64, 1)], [needs(1, gpus=0.7), needs(1, gpus=0.3)], True),
        ([(64, 8)], [needs(2, gpus=2), needs(4, gpus=1)], True),
        ([(64, 8)], [needs(2, gpus=2), needs(5, gpus=1)], False),
        ([], [], True),
        ([], [needs(1)], False),
    ],
)
def test_trials_of_different_needs_fit_or_not(
    have: list[tuple[float, float]], trials: list[ResourcesConfig], fit: bool
) -> None:
    assert all_fit(nodes(*have), trials) is fit
    assert all_fit(nodes(*have), trials[::-1]) is fit, "in whatever order they come"


@pytest.mark.parametrize("have", [[(3, 0), (3, 0)], [(8, 8)], [(64, 1), (5, 3)], [(0.3, 0)], [(7, 2), (2, 0), (9, 1)]])
@pytest.mark.parametrize(
    "need", [needs(1), needs(2), needs(1, cpus=2), needs(3, gpus=0.4), needs(1, 0.1), needs(2, 1, 2)]
)
def test_for_trials_that_are_alike_both_counts_agree(have: list[tuple[float, float]], need: ResourcesConfig) -> None:
    slots = count_slots(nodes(*have), need)
    assert all_fit(nodes(*have), [need] * slots) and not all_fit(nodes(*have), [need] * (slots + 1))


def test_the_widest_has_the_most_gpus_and_then_the_most_cpus() -> None:
    assert widest([needs(8), needs(2, gpus=1), needs(1, cpus=4, gpus=2)]) == needs(1, cpus=4, gpus=2)


def test_a_worker_that_no_node_holds_is_refused_with_what_the_nodes_have() -> None:
    with pytest.raises(InputError) as caught:
        require_slots(nodes((4, 0), (8, 0)), needs(1, cpus=2, gpus=1))
    said = str(caught.value)
    assert "no node can hold one worker, which needs 2 CPUs and 1 GPUs" in said and "\n" not in said
    assert "n0 has 4 CPUs and 0 GPUs; n1 has 8 CPUs and 0 GPUs" in said


def test_a_trial_that_the_cluster_does_not_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"3 workers of 1 CPUs each \(resources\.workers\).*n0 has 2 CPUs"):
        require_slots(nodes((2, 0)), needs(3))


def test_half_devices_beyond_one_are_refused() -> None:
    with pytest.raises(InputError, match=r"gpus_per_worker 1\.5.*whole number"):
        require_slots(nodes((64, 8)), needs(1, gpus=1.5))


def launcher(**types: dict[str, Any]) -> dict[str, Any]:
    kinds = {"head": {"resources": {"CPU": 0}, "max_workers": 0}, **types}
    return {"max_workers": 4, "head_node_type": "head", "available_node_types": kinds}


HEAD = NodeResources("10.0.0.1", 0, 0, head=True)


def test_a_cluster_that_scales_counts_the_nodes_it_may_start() -> None:
    found = possible_nodes([HEAD], launcher(g5={"resources": {"CPU": 8, "GPU": 1}, "max_workers": 3}))
    assert found == [HEAD] + [NodeResources("g5", 8, 1)] * 3


def test_the_limit_over_all_types_holds_and_gpu_types_come_first() -> None:
    found = possible_nodes(
        [HEAD],
        launcher(
            cpu={"resources": {"CPU": 16}, "max_workers": 4}, p4d={"resources": {"CPU": 96, "GPU": 8}, "max_workers": 3}
        ),
    )
    assert [node.name for node in found] == ["10.0.0.1", "p4d", "p4d", "p4d", "cpu"]


def test_workers_that_run_already_are_not_counted_twice() -> None:
    alive = [HEAD, NodeResources("10.0.0.2", 8, 1)]
    found = possible_nodes(alive, launcher(g5={"resources": {"CPU": 8, "GPU": 1}, "max_workers": 2}))
    assert len(found) == 3


def test_types_that_do_not_say_what_they_have_leave_the_nodes_of_now() -> None:
    alive = [HEAD, NodeResources("10.0.0.2", 8, 1)]
    assert possible_nodes(alive, launcher(local={"resources": {}, "max_workers": 2})) == alive
    assert possible_nodes(alive, None) == alive


def test_a_node_that_is_left_out_takes_the_place_of_one_that_could_be_started() -> None:
    alive = [HEAD, NodeResources("10.0.0.2", 8, 1), NodeResources("10.0.0.3", 8, 1)]
    assert less(alive, alive[2:]) == alive[:2]
    assert less(alive, alive[:1]) == alive[1:]
    scaled = possible_nodes(
        alive, launcher(g5={"resources": {"CPU": 8, "GPU": 1}}, cpu={"resources": {"CPU": 8}, "max_workers": 1})
    )
    assert less(scaled, alive[2:]) == [HEAD] + [NodeResources("g5", 8, 1)] * 3
    assert less(scaled, [NodeResources("10.0.0.4", 2)]) == scaled, "it is of no type that could be started"
