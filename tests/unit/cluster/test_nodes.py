"""The nodes that a cluster has or may start."""

from __future__ import annotations

from gazetune.cluster.capacity import NodeResources
from gazetune.cluster.nodes import LauncherConfig, NodeType, possible_nodes, remove_nodes


def launcher(**types: NodeType) -> LauncherConfig:
    kinds: dict[str, NodeType] = {"head": {"resources": {"CPU": 0}, "max_workers": 0}, **types}
    return {"max_workers": 4, "head_node_type": "head", "available_node_types": kinds}


HEAD = NodeResources("10.0.0.1", 0, 0, is_head=True)


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


def test_the_kind_of_gpus_to_come_is_read_from_the_label_or_what_ray_up_wrote() -> None:
    label = {"ray.io/accelerator-type": "H100"}
    found = possible_nodes(
        [HEAD],
        launcher(
            labelled={"resources": {"CPU": 8, "GPU": 2}, "labels": label, "max_workers": 1},
            known={"resources": {"CPU": 8, "GPU": 1, "accelerator_type:A10G": 1}, "max_workers": 1},
        ),
    )
    assert [node.accelerator for node in found] == [None, "H100", "A10G"]


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
    assert remove_nodes(alive, alive[2:]) == alive[:2]
    assert remove_nodes(alive, alive[:1]) == alive[1:]
    scaled = possible_nodes(
        alive, launcher(g5={"resources": {"CPU": 8, "GPU": 1}}, cpu={"resources": {"CPU": 8}, "max_workers": 1})
    )
    assert remove_nodes(scaled, alive[2:]) == [HEAD] + [NodeResources("g5", 8, 1)] * 3
    assert remove_nodes(scaled, [NodeResources("10.0.0.4", 2)]) == scaled, "it is of no type that could be started"
