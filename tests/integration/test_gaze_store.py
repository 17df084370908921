"""A store that Ray builds is the one that a single process builds, however often the build is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from gazetune.gaze.store.gaze_store import GazeStore
from tests.commands import BOUND, command, gazetune_json

WORDS = 25


def write_pairs(file: Path, count: int) -> Path:
    """Write pairs whose texts are all different."""
    draw = random.Random(0)
    lexicon = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(1, 9))) for _ in range(3000)]

    def text(name: str) -> str:
        return f"{name} " + " ".join(draw.choices(lexicon, k=WORDS)) + "."

    rows = ({"prompt": text(f"p{n}"), "chosen": text(f"c{n}"), "rejected": text(f"r{n}")} for n in range(count))
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of pairs with 12,000 texts."""
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", 4000)


@pytest.fixture(scope="module")
def undisturbed(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> GazeStore:
    return build_undisturbed(pairs, tmp_path_factory.mktemp("serial"))


def build_undisturbed(pairs: Path, storage: Path) -> GazeStore:
    """Return the store that one process builds."""
    document = gazetune_json("gaze", "store", "--data", pairs, "--storage", storage, "--workers", "1")
    return GazeStore.open(Path(document["folder"]))


class Build:
    """`gazetune gaze store` with two processes on Ray, in a session of its own."""

    def __init__(self, pairs: Path, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.storage = folder / "runs"
        self.log = folder / "log"
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                command("gaze", "store", "--data", pairs, "--storage", self.storage, "--workers", "2", "--json"),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    def finish(self) -> GazeStore:
        output, _ = self.process.communicate(timeout=BOUND)
        assert self.process.returncode == 0, self.log.read_text()
        return GazeStore.open(Path(json.loads(output)["folder"]))

    def parts(self) -> list[str]:
        return sorted(path.name for path in self.storage.rglob("part-*.arrow"))

    def children(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def wait_until(self, condition: str) -> None:
        deadline = time.monotonic() + BOUND
        while condition not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill the build and its whole session with -9; nothing of its Ray instance is left afterwards."""
        children = self.children()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        everything_ends(children)


def everything_ends(children: list[psutil.Process]) -> None:
    """Ray's two agents look for their raylet every so often; after a SIGKILL they may outlive it for minutes."""
    waited = [child for child in children if "agent" not in name(child).lower()]
    _, alive = psutil.wait_procs(waited, timeout=60)
    for agent in set(children) - set(waited):
        with suppress(psutil.Error):
            agent.kill()
    assert not alive, f"left behind: {[name(child) for child in alive]}"


def name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def check_equal(store: GazeStore, expected: GazeStore) -> None:
    """Same texts in the same order of parts, none twice, same spans and words, measures equal to 1e-6."""
    assert [path.name[:10] for path in sorted(store.folder.glob("part-*"))] == [
        path.name[:10] for path in sorted(expected.folder.glob("part-*"))
    ]
    assert not list(store.folder.glob(".unfinished*"))
    for part, wanted in zip(store.parts, expected.parts, strict=True):
        assert np.array_equal(part.keys, wanted.keys)
        assert np.array_equal(part.gaze.offsets, wanted.gaze.offsets)
        assert np.array_equal(part.gaze.spans, wanted.gaze.spans)
        assert np.array_equal(part.gaze.words, wanted.gaze.words)
        assert np.abs(part.gaze.values - wanted.gaze.values).max() <= 1e-6
    keys = np.concatenate([part.keys for part in store.parts])
    assert len(np.unique(keys)) == len(keys)
    assert (keys[:-1] < keys[1:]).all()


@pytest.mark.long("gaze")
def test_two_processes_build_the_store_of_one_though_one_of_them_dies(
    pairs: Path, undisturbed: GazeStore, tmp_path: Path
) -> None:
    build = Build(pairs, tmp_path)
    build.wait_until("in 2 processes")
    children: list[psutil.Process] = []
    while not (predicting := [child for child in children if "PredictorProcess.predict" in name(child)]):
        assert build.process.poll() is None, build.log.read_text()
        children = build.children()
    predicting[0].kill()
    children = list({*children, *build.children()})
    store = build.finish()
    check_equal(store, undisturbed)
    assert {path.name for path in store.folder.glob("part-*")} == {
        path.name for path in undisturbed.folder.glob("part-*")
    }
    everything_ends(children)


def kill_often(times: int, seed: int, pairs: Path, undisturbed: GazeStore, folder: Path) -> None:
    """Kill the build at random moments until it was killed `times` times, then let it finish."""
    draw = random.Random(seed)
    before: list[str] = []
    for _ in range(times):
        build = Build(pairs, folder)
        if draw.random() < 0.7:  # most of the time is Ray's start, most of the danger comes after it
            while build.process.poll() is None and build.parts() == before:
                time.sleep(0.01)
            time.sleep(draw.uniform(0.0, 0.5))
        else:
            time.sleep(draw.uniform(0.0, 15.0))
        assert build.process.poll() is None, "there must be something to kill"
        build.kill()
        assert set(before) <= set(build.parts()), "a finished part must stay"
        before = build.parts()
        expected = {path.name[:10] for path in undisturbed.folder.glob("part-*")}
        assert {part[:10] for part in before} <= expected
    build = Build(pairs, folder)
    store = build.finish()
    assert set(before) <= set(build.parts())
    check_equal(store, undisturbed)


@pytest.mark.long("gaze")
def test_a_build_that_is_killed_twice_ends_with_the_same_store(
    pairs: Path, undisturbed: GazeStore, tmp_path: Path
) -> None:
    kill_often(2, 0, pairs, undisturbed, tmp_path)


@pytest.mark.long("gaze")
def test_a_build_that_is_killed_ten_times_ends_with_the_same_store(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", 15000)
    kill_often(10, 1, pairs, build_undisturbed(pairs, tmp_path / "serial"), tmp_path / "killed")


def test_an_interrupted_build_says_how_to_go_on_and_ends_with_the_store_of_one_process(
    pairs: Path, undisturbed: GazeStore, tmp_path: Path
) -> None:
    build = Build(pairs, tmp_path)
    build.wait_until("in 2 processes")
    children = build.children()
    build.process.send_signal(signal.SIGINT)
    assert build.process.wait(timeout=60) == 130, build.log.read_text()
    last = " ".join(build.log.read_text().split("gazetune: error: ")[-1].split())
    assert last.startswith("stopped; ") and last.endswith("the same command goes on from there")
    everything_ends(children)
    check_equal(Build(pairs, tmp_path).finish(), undisturbed)


IN_PROCESSES = """
import json, os, time
import ray
from gazetune.cluster.local_ray import start_local_ray
from gazetune.config import Config
from gazetune.errors import GazetuneError
from gazetune.gaze.store import parallel
from gazetune.gaze.store.parallel import PredictorProcess, RayPrediction
from gazetune.gaze.predictors.planted import PlantedPredictor

class WithGpu(PlantedPredictor):
    takes_gpu = True

def free():
    found = ray.available_resources()
    return [found.get("CPU", 0), found.get("GPU", 0)]

def all_come_back():
    deadline = time.monotonic() + 120
    while free() != [3, 2] and time.monotonic() < deadline:
        time.sleep(0.05)
    return free()

def refused(config, workers):
    try:
        list(RayPrediction(lambda: None, workers)(config, PlantedPredictor(0))(batches))
    except GazetuneError as error:
        return [error.exit_code, str(error)]

parallel.START_AFTER = 0.0
planted = Config.model_validate({"gaze": {"predictor": "planted"}})
absent = Config.model_validate({"gaze": {"predictor": "recorded", "path": "/absent.parquet"}})
batches = [[f"text {n} {m}" for m in range(10)] for n in range(20)]
join = lambda: start_local_ray(num_cpus=3, num_gpus=2, include_dashboard=False, log_to_driver=False)
found, places = {}, []
for place, _ in RayPrediction(join)(planted, WithGpu(0))(batches):
    places.append(place)
    found.setdefault("free_meanwhile", free())
found["every_batch_once"] = sorted(places) == list(range(20))
found["free_afterwards"] = all_come_back()
found["absent"] = refused(absent, 2)
PredictorProcess.predict = lambda self, texts: os.kill(os.getpid(), 9)
found["deadly"] = refused(planted, 1)
found["free_at_the_end"] = all_come_back()
print(json.dumps(found))
"""


def test_processes_get_gpus_give_everything_back_and_say_what_was_wrong() -> None:
    visible = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESSES], capture_output=True, text=True, timeout=BOUND, check=False, env=visible
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))  # Ray prints too
    assert found["every_batch_once"]
    assert found["free_meanwhile"] == [1, 0], "one process for each of two GPUs"
    assert found["free_afterwards"] == found["free_at_the_end"] == [3, 2]
    code, line = found["absent"]
    assert code == 2 and line.startswith("/absent.parquet: cannot be read") and "\n" not in line
    code, line = found["deadly"]
    assert code == 1 and line.startswith("every process of the gaze predictor died") and "\n" not in line
