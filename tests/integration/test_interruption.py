"""Workers, drivers and whole Ray instances are killed, and the user interrupts; resuming finishes the search each time.

One driver in the usual run; at random moments in the long ones, whose seed a failure prints.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
import optuna
import psutil
import pytest

from gazetune.search.status import read_status
from gazetune.trials.start.exit_message import CHILD_SCRIPT
from tests.commands import BOUND, command, ended

SPACE = """
name: disturbed
base:
  data: {source: planted, pairs: 2400}
  gaze: {predictor: planted}
  train: {batch_size: 32}
  fusion: {kind: add}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-3]}
search: {confirm: off, trials: TRIALS, sampler: random, scheduler: asha, rungs: 250, reduction: 2, seed: 0}
resources: {workers: 2}
"""
GO_ON = "gazetune search --resume disturbed --storage "


class Search:
    """A search that is begun, disturbed and resumed in a folder, and what must not be lost on the way."""

    def __init__(self, folder: Path, trials: int) -> None:
        self.folder, self.trials = folder, trials
        self.runs, self.path = folder / "runs", folder / "runs" / "disturbed"
        self.log = folder / "log"
        self.steps: dict[str, int] = {}
        """By trial, the steps of its last checkpoint that was seen."""
        (folder / "space.yaml").write_text(SPACE.replace("TRIALS", str(trials)))

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Begin the search or go on with it; its process is gone afterwards, whatever happened."""
        what = ["--resume", "disturbed"] if (self.path / "space.yaml").exists() else [str(self.folder / "space.yaml")]
        line = command("search", *what, "--storage", self.runs, "--json")
        self.log.write_text("")
        finished = self.finished()
        with (self.folder / "out").open("w") as out, self.log.open("a") as log:
            process = subprocess.Popen(line, stdout=out, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        after = self.finished()
        assert {number: after[number] for number in finished} == finished, "what was finished has changed"

    def wait(self, what: str, condition: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
        """Wait until it is so. On the way no checkpoint may be replaced by an earlier one."""
        deadline = time.monotonic() + BOUND
        while not condition():
            assert process.poll() is None, f"no {what}: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"no {what} in time: {self.log.read_text()[-3000:]}"
            self.look()
            time.sleep(0.02)

    def look(self) -> None:
        for checkpoint in self.path.glob("trials/*/last/progress.json"):
            with suppress(FileNotFoundError):  # it is being replaced, or its trial ended
                trial, step = checkpoint.parts[-3], json.loads(checkpoint.read_text())["step"]
                assert step >= self.steps.get(trial, 0), f"trial {trial} has trained steps again"
                self.steps[trial] = step

    def look_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()
            time.sleep(0.02)

    def next_evaluation(self, process: subprocess.Popen[bytes]) -> None:
        before = len(self.evaluations())
        self.wait("evaluation", lambda: len(self.evaluations()) > before, process)

    def evaluations(self) -> list[Path]:
        return list(self.path.glob("trials/*/margins/*/margins.npy"))

    def study(self) -> list[optuna.trial.FrozenTrial]:
        if not (self.path / "facts.json").exists():
            return []  # it had not come so far
        url = f"sqlite:///{self.path}/study.db"
        names = optuna.study.get_all_study_names(url) if (self.path / "study.db").exists() else []
        return optuna.load_study(study_name="disturbed", storage=url).trials if names else []

    def finished(self) -> dict[int, optuna.trial.FrozenTrial]:
        return {trial.number: trial for trial in self.study() if trial.state.is_finished()}

    def mlflow_states(self) -> list[str]:
        return [run.info.status for run in self.mlflow_runs()]

    def mlflow_runs(self, where: str = "") -> list[mlflow.entities.Run]:
        client = mlflow.MlflowClient(f"sqlite:///{self.runs}/mlflow.db")
        return list(client.search_runs([client.get_experiment_by_name("gazetune").experiment_id], where))

    def check_it_is_whole(self, process: subprocess.Popen[bytes]) -> None:
        """The search has ended well: every trial once, with all of its steps, evaluations and one run."""
        assert ended(process, self.log) == 0, self.log.read_text()[-3000:]
        document = json.loads((self.folder / "out").read_text())
        assert [trial["id"] for trial in document["trials"]] == [f"{number:04d}" for number in range(self.trials)]
        assert {trial["state"] for trial in document["trials"]} <= {"COMPLETE", "PRUNED"}
        trials = self.study()
        assert len({trial.params["optim.learning_rate"] for trial in trials}) == len(trials) == self.trials
        client = mlflow.MlflowClient(f"sqlite:///{self.runs}/mlflow.db")
        for trial in trials:
            examples = list(trial.intermediate_values)
            assert examples == sorted(examples)
            assert len(examples) == 4 or trial.state.name == "PRUNED", "three rungs and the end"
            (run,) = self.mlflow_runs(f"tags.`gazetune.trial` = '{trial.number:04d}'")
            logged = [point.step for point in client.get_metric_history(run.info.run_id, "train/step_loss")]
            assert logged == list(range(1, len(logged) + 1)), "a step is missing or was logged twice"
            # 32 pairs a step, and the last step of an epoch takes what is left.
            assert 32 * (len(logged) - 1) < examples[-1] <= 32 * len(logged)
        assert set(self.mlflow_states()) == {"FINISHED"}


def children_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def all_gone(children: list[psutil.Process]) -> list[psutil.Process]:
    """Return Ray's agents, which end a minute after an instance that was killed; all others have ended by then."""
    agents = [child for child in children if "Agent" in name_of(child)]
    _, alive = psutil.wait_procs(set(children) - set(agents), timeout=60)
    assert not alive, f"left behind: {[name_of(child) for child in alive]}"
    return agents


def name_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [child for child in children_of(process) if "RayTrainWorker" in name_of(child)]


def kill_a_worker(process: subprocess.Popen[bytes], choose: random.Random) -> list[psutil.Process]:
    for worker in (found := workers_of(process)) and [choose.choice(found)]:
        with suppress(psutil.Error):
            worker.kill()
    return []


def kill_the_driver(process: subprocess.Popen[bytes], choose: random.Random) -> list[psutil.Process]:
    children = children_of(process)
    process.kill()
    process.wait()
    return children


def kill_ray(process: subprocess.Popen[bytes], choose: random.Random) -> list[psutil.Process]:
    """Kill every process of the instance, in any order, and wait for what the driver makes of it."""
    children = children_of(process)
    of_ray = [child for child in children if CHILD_SCRIPT not in name_of(child)]
    choose.shuffle(of_ray)
    for child in of_ray:
        with suppress(psutil.Error):
            child.kill()
    with suppress(psutil.Error):
        for child in children_of(process):  # begun meanwhile
            if child not in children:
                child.kill()
    if of_ray:  # the driver must end by itself; with 0 when all that was left to do was to say so
        assert process.wait(timeout=90) in (0, 1)
    return children


def errors_in(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith("gazetune: error: ")]


def test_a_search_whose_driver_is_killed_goes_on_and_is_finished_whole(tmp_path: Path) -> None:
    search = Search(tmp_path, 2)
    with search.running() as process:
        search.next_evaluation(process)
        agents = all_gone(kill_the_driver(process, random.Random(0)))
        assert GO_ON in errors_in(search.log)[-1]
    assert read_status(search.runs, "disturbed").state == "interrupted"
    with search.running() as process:
        search.check_it_is_whole(process)
    assert not psutil.wait_procs(agents, timeout=60)[1]


@pytest.mark.long("kills")
def test_nothing_is_lost_when_worker_ray_and_driver_are_killed(tmp_path: Path) -> None:
    search, choose = Search(tmp_path, 4), random.Random(0)
    with search.running() as process:
        search.next_evaluation(process)
        kill_a_worker(process, choose)
        search.wait("trial after the kill", lambda: "trial 0001 " in search.log.read_text(), process)
        text = search.log.read_text()
        assert "trial 0000 COMPLETE" in text and "FAIL" not in text, "its worker died, and it must go on to its end"
        search.next_evaluation(process)
        agents = all_gone(kill_ray(process, choose))
        assert process.returncode == 1
        (error,) = errors_in(search.log)
        assert "its Ray was killed" in error and GO_ON in error and "Traceback" not in search.log.read_text()
    with search.running() as process:
        search.next_evaluation(process)
        agents += all_gone(kill_the_driver(process, choose))
        assert GO_ON in errors_in(search.log)[-1]
    assert read_status(search.runs, "disturbed").state == "interrupted"
    with search.running() as process:
        search.check_it_is_whole(process)
    assert not psutil.wait_procs(agents, timeout=60)[1]


@pytest.mark.long("kills")
def test_a_search_goes_on_when_a_worker_stalls(tmp_path: Path) -> None:
    search = Search(tmp_path, 2)
    space = (tmp_path / "space.yaml").read_text()
    (tmp_path / "space.yaml").write_text(space.replace("workers: 2", "workers: 2, worker_timeout: 15"))
    with search.running() as process:
        search.next_evaluation(process)
        stalled = workers_of(process)[0]
        stalled.suspend()
        search.check_it_is_whole(process)
        assert not psutil.wait_procs([stalled], timeout=60)[1], "what stalled is left behind"
    assert "another worker gave no sign of life for 15 s (resources.worker_timeout)" in search.log.read_text()
    assert "FAIL" not in search.log.read_text()


@pytest.mark.long("kills")
def test_an_interrupted_search_says_how_to_go_on_and_leaves_nothing(tmp_path: Path) -> None:
    search = Search(tmp_path, 3)
    with search.running() as process:
        search.next_evaluation(process)
        children = children_of(process)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=90) == 130, search.log.read_text()[-3000:]
        assert GO_ON in search.log.read_text().splitlines()[-1]
        all_gone(children)
    assert "RUNNING" not in search.mlflow_states()
    with search.running() as process:
        search.check_it_is_whole(process)


MOMENTS: dict[str, tuple[Callable[[Search], Any], float]] = {
    "start": (lambda search: search.log.exists(), 8.0),
    "slots start": (lambda search: "slot" in search.log.read_text(), 15.0),
    "first checkpoint": (Search.evaluations, 3.0),
    "handover": (lambda search: "trial 00" in search.log.read_text(), 2.0),
    "baselines": (lambda search: "the baselines" in search.log.read_text(), 6.0),
    "report": (lambda search: (search.path / "report.md").exists(), 0.0),
}
"""When to strike: a sign, and up to how many seconds after it."""


@pytest.fixture
def choose() -> random.Random:
    seed = int(os.environ.get("KILL_SEED", time.time_ns() % 1_000_000))
    print(f"KILL_SEED={seed}")  # pytest shows it when the test fails
    return random.Random(seed)


@pytest.mark.long("kills")
@pytest.mark.parametrize(
    "moments",
    [("start", "slots start", "first checkpoint"), ("handover", "baselines", "report")],
    ids=["early", "late"],
)
@pytest.mark.parametrize("kill", [kill_the_driver, kill_ray], ids=lambda kill: kill.__name__)
def test_a_search_that_is_killed_at_random_moments_loses_nothing(
    kill: Callable[[subprocess.Popen[bytes], random.Random], list[psutil.Process]],
    moments: tuple[str, ...],
    choose: random.Random,
    tmp_path: Path,
) -> None:
    search, kills, agents = Search(tmp_path, 3), 0, list[psutil.Process]()
    for moment in moments:
        reached, later = MOMENTS[moment]
        with search.running() as process:
            search.wait(moment, lambda reached=reached: process.poll() == 0 or reached(search), process)
            search.look_for(choose.uniform(0, later))
            if process.poll() is None:
                print(f"{moment}: killed with {len(search.evaluations())} evaluations")
                kills += 1
                agents += all_gone(kill(process, choose))
            if process.poll() == 0:
                search.check_it_is_whole(process)
                break
    else:
        with search.running() as process:
            search.check_it_is_whole(process)
    assert kills >= len(moments) - ("report" in moments), "the last one may come too late"
    assert not psutil.wait_procs(agents, timeout=60)[1]


@pytest.mark.long("kills")
def test_a_search_whose_workers_are_killed_at_random_moments_loses_nothing(
    choose: random.Random, tmp_path: Path
) -> None:
    search = Search(tmp_path, 4)
    with search.running() as process:
        search.wait("worker", lambda: workers_of(process), process)
        for kill in range(5):
            search.look_for(choose.uniform(0, 3))
            print(f"kill {kill}: {len(search.evaluations())} evaluations")
            kill_a_worker(process, choose)
            # Twice at the same place, and the trial would be to blame.
            search.next_evaluation(process)
        search.check_it_is_whole(process)
