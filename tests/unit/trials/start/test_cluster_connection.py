"""The cluster of a search is joined on demand, and a slot of it has no process too many."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray.util.state import list_actors
from rich.console import Console

from gazetune.errors import InputError
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.start.cluster_connection import ClusterConnection
from tests.commands import BOUND

SPACE = """
name: mine
base: {gaze: {predictor: planted}, fusion: {kind: none}}
space: {optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}}
search: {trials: 3}
"""


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    (tmp_path / "space.yaml").write_text(SPACE)
    return read_space(tmp_path / "space.yaml")


@pytest.fixture
def folder(space: SearchSpace, tmp_path: Path) -> Iterator[SearchFolder]:
    created = SearchFolder.create(tmp_path, space)
    yield created
    created.unlock()


def connect(address: str | None, space: SearchSpace, folder: SearchFolder) -> ClusterConnection:
    progress = ProgressDisplay(3, Console(file=io.StringIO()))
    return ClusterConnection(address, space.resource_shapes(), 300.0, folder, progress)


def test_a_cluster_that_does_not_answer_is_told(space: SearchSpace, folder: SearchFolder) -> None:
    with connect("127.0.0.1:1", space, folder) as connection:
        for ask in (connection.join, lambda: connection.start_slots(3)):
            with pytest.raises(InputError, match=r"^--address '127.0.0.1:1': no Ray cluster answers"):
                ask()


def test_slots_have_the_processes_that_they_need_and_give_their_cpus_back(
    space: SearchSpace, folder: SearchFolder
) -> None:
    with connect(None, space, folder) as connection:
        size = connection.join()
        assert connection.join() is size
        slots = connection.start_slots(3)
        wait_until(lambda: bool(ray.get(slots.board.read_state.remote()).ready))
        gcs = ray.get_runtime_context().gcs_address  # other instances of Ray may run on this machine
        actors = {actor.class_name for actor in list_actors(address=gcs, filters=[("state", "=", "ALIVE")])}
        assert "RayTrainWorker" in actors
        assert not actors & {"DatasetManager", "PreemptionWatcher"}, "processes that a slot has no use for"
        slots.close(BOUND)
        wait_until(lambda: free_cpus() == size.cpus)
    assert not ray.is_initialized()


def free_cpus() -> float:
    return ray.available_resources().get("CPU", 0.0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
