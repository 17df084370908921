"""How many trials fit: counts by hand."""

from __future__ import annotations

import pytest

from gazetune.cluster.capacity import NodeResources, all_trials_fit, count_slots, largest_resources, require_slots
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
    assert all_trials_fit(nodes(*have), trials) is fit
    assert all_trials_fit(nodes(*have), trials[::-1]) is fit, "in whatever order they come"


@pytest.mark.parametrize("have", [[(3, 0), (3, 0)], [(8, 8)], [(64, 1), (5, 3)], [(0.3, 0)], [(7, 2), (2, 0), (9, 1)]])
@pytest.mark.parametrize(
    "need", [needs(1), needs(2), needs(1, cpus=2), needs(3, gpus=0.4), needs(1, 0.1), needs(2, 1, 2)]
)
def test_for_trials_that_are_alike_both_counts_agree(have: list[tuple[float, float]], need: ResourcesConfig) -> None:
    slots = count_slots(nodes(*have), need)
    assert all_trials_fit(nodes(*have), [need] * slots) and not all_trials_fit(nodes(*have), [need] * (slots + 1))


STRICT = ResourcesConfig(workers=2, pack="strict")
A100 = ResourcesConfig(gpus_per_worker=1, accelerator="A100")


def test_a_trial_that_is_packed_strictly_lies_on_one_node() -> None:
    assert count_slots(nodes((3, 0), (3, 0)), STRICT) == 2
    assert all_trials_fit(nodes((3, 0), (3, 0)), [STRICT, STRICT, needs(1), needs(1)])
    assert not all_trials_fit(nodes((3, 0), (3, 0)), [STRICT, STRICT, needs(2), needs(1)])
    assert count_slots(nodes((1, 0), (1, 0)), STRICT) == 0 and count_slots(nodes((1, 0), (1, 0)), needs(2)) == 1
    with pytest.raises(InputError, match=r"2 workers of 1 CPUs each on one node \(resources.pack: strict\)"):
        require_slots(nodes((1, 0), (1, 0)), STRICT)


def test_only_nodes_with_the_wanted_kind_of_gpu_count() -> None:
    have = [NodeResources("a", 8, 2, accelerator="A100"), NodeResources("t", 8, 4, accelerator="T4")]
    assert count_slots(have, A100) == 2 and count_slots(have, needs(1, gpus=1)) == 6
    assert all_trials_fit(have, [A100, A100, needs(1, gpus=1)]) and not all_trials_fit(have, [A100] * 3)
    with pytest.raises(InputError, match=r"1 GPUs of the kind A100 .*: t has 8 CPUs and 4 GPUs \(T4\)"):
        require_slots(have[1:], A100)


def test_the_largest_resources_have_the_most_gpus_and_then_the_most_cpus() -> None:
    assert largest_resources([needs(8), needs(2, gpus=1), needs(1, cpus=4, gpus=2)]) == needs(1, cpus=4, gpus=2)


def test_a_worker_that_no_node_holds_is_refused_with_what_the_nodes_have() -> None:
    with pytest.raises(InputError) as caught:
        require_slots(nodes((4, 0), (8, 0)), needs(1, cpus=2, gpus=1))
    said = str(caught.value)
    assert "no node can hold one worker, which needs 2 CPUs and 1 GPUs" in said and "\n" not in said
    assert "n0 has 4 CPUs and 0 GPUs; n1 has 8 CPUs and 0 GPUs" in said


def test_a_trial_that_the_cluster_does_not_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"3 workers of 1 CPUs each \(resources\.workers\).*n0 has 2 CPUs"):
        require_slots(nodes((2, 0)), needs(3))


@pytest.mark.parametrize("need", [needs(1, gpus=1.5), needs(1, gpus=2), needs(2, gpus=0.5)])
def test_gpus_that_a_worker_could_not_use_are_refused_though_they_are_there(need: ResourcesConfig) -> None:
    with pytest.raises(InputError, match=r"resources.gpus_per_worker: .* GPU.*; accepted: 0, 1"):
        require_slots(nodes((64, 8)), need)
