"""A search is looked at through real folders and studies, in each state it may be in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from gazetune.cli.main import main
from gazetune.report.document import EndedRecord
from gazetune.report.wording import ended_line
from gazetune.search.folder import SearchFolder
from gazetune.search.space.space_file import read_space
from gazetune.search.status import ListedSearch, list_searches, read_status
from gazetune.search.study.storage import open_study
from gazetune.trials.disk import folder_bytes
from gazetune.trials.run_folder import RunFacts

SPACE = """\
name: watched
base: {gaze: {predictor: planted}}
space: {optim.learning_rate: {log_uniform: [1e-4, 1e-2]}}
try_first: [{optim.learning_rate: 1e-3}]
search: {trials: 10}
resources: {workers: 1, gpus_per_worker: 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[SearchFolder]:
    """A search that this process holds, with no trial yet."""
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    made = SearchFolder.create(tmp_path, space)
    made.write_facts(RunFacts("pairs", 1000))
    yield made
    made.unlock()


def study_of(folder: SearchFolder) -> optuna.Study:
    return open_study("watched", read_space(folder.path / "space.yaml").config.search, folder.path)


def begin(study: optuna.Study, **record: Any) -> optuna.Trial:
    trial = study.ask()
    used = {"gpu_seconds": record.get("seconds", 0.0)}  # of one GPU
    trial.set_user_attr("record", {"examples": 0, "seconds": 0.0, **used, **record})
    return trial


def four_finished_and_one_running(folder: SearchFolder) -> None:
    study = study_of(folder)
    study.enqueue_trial({"optim.learning_rate": 1e-3})
    for accuracy in (0.6, 0.8):
        study.tell(begin(study, examples=1000, seconds=3000.0, val_accuracy=accuracy, reason=None), accuracy)
    pruned = begin(study, examples=300, seconds=1200.0, val_accuracy=0.9, reason="stopped by hand")
    study.tell(pruned, state=TrialState.PRUNED)
    study.tell(begin(study, seconds=600.0, reason="loss is nan"), state=TrialState.FAIL)
    begin(study, examples=500, seconds=1000.0, val_accuracy=0.7)
    study.enqueue_trial({"optim.learning_rate": 1e-3})


def test_a_running_search_shows_states_best_and_what_is_left(folder: SearchFolder) -> None:
    folder.requests.announce_driver(2)
    four_finished_and_one_running(folder)
    seen = read_status(folder.path.parent, "watched")
    assert (seen.state, seen.trials) == ("running", 10)
    assert seen.driver is not None and seen.driver.slots == 2
    assert seen.states == {"COMPLETE": 2, "PRUNED": 1, "FAIL": 1, "RUNNING": 1}
    assert seen.failures == {"loss is nan": ["0003"]}
    assert seen.best is not None and (seen.best.id, seen.best.val_accuracy) == ("0001", 0.8), "0002 is not COMPLETE"
    (running,) = seen.running
    assert (running.id, running.examples, running.budget, running.val_accuracy) == ("0004", 500, 1000, 0.7)
    assert seen.trial_hours == pytest.approx(8800 / 3600)
    assert seen.gpu_hours == pytest.approx(8800 / 3600 * 2 * 0.5)
    # Six trials of 2,400 s, of which 1,000 s are done, in two slots.
    assert seen.hours_left == pytest.approx((6 * 2400 - 1000) / 2 / 3600)
    folder.requests.announce_driver(0)
    without = read_status(folder.path.parent, "watched")
    assert without.hours_left == pytest.approx((6 * 2400 - 1000) / 3600), "while it waits for a node: as with one slot"


def test_a_search_without_driver_is_interrupted_and_with_its_document_finished(folder: SearchFolder) -> None:
    folder.requests.announce_driver(2)
    four_finished_and_one_running(folder)
    folder.unlock()
    seen = read_status(folder.path.parent, "watched")
    assert (seen.state, seen.driver) == ("interrupted", None)
    assert seen.hours_left == pytest.approx((6 * 2400 - 1000) / 3600), "one slot for each trial that ran"
    folder.document.write_text("{}")
    assert read_status(folder.path.parent, "watched").state == "finished"


def test_a_search_that_only_begins_has_no_trials_and_no_estimate(folder: SearchFolder) -> None:
    seen = read_status(folder.path.parent, "watched")
    assert (seen.state, seen.driver, seen.best, seen.hours_left) == ("running", None, None, None)
    study_of(folder).ask()
    seen = read_status(folder.path.parent, "watched")
    assert seen.states["RUNNING"] == 1 and seen.running[0].examples == 0


def test_what_the_driver_does_is_told_and_stays_when_the_number_of_slots_changes(folder: SearchFolder) -> None:
    folder.requests.announce_phase("preparing")
    seen = read_status(folder.path.parent, "watched")
    assert seen.driver is not None and (seen.driver.phase, seen.driver.slots) == ("preparing", 0)
    folder.requests.announce_phase("comparing")
    folder.requests.announce_driver(1)
    seen = read_status(folder.path.parent, "watched")
    assert seen.driver is not None and (seen.driver.phase, seen.driver.slots) == ("comparing", 1)


def test_all_searches_are_listed_also_beside_one_that_cannot_be_read(
    folder: SearchFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.requests.announce_phase("preparing")
    four_finished_and_one_running(folder)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "space.yaml").write_text("name: [")
    broken, watched = list_searches(tmp_path)
    assert (broken.name, broken.state) == ("broken", "unreadable") and "space.yaml" in str(broken.problem)
    assert watched == ListedSearch("watched", "running", "preparing", 10, 4, 0.8)
    assert main(["status", "--storage", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "watched: preparing, 4 of 10 trials finished, best validation accuracy 0.800"
    assert main(["status", "--storage", str(tmp_path / "empty")]) == 0
    assert capsys.readouterr().out == f"no search was started in {tmp_path / 'empty'}\n"


def test_caps_that_are_set_stand_beside_what_was_used(folder: SearchFolder, capfd: pytest.CaptureFixture[str]) -> None:
    four_finished_and_one_running(folder)
    storage = folder.path.parent
    assert read_status(storage, "watched").caps == []
    main(["status", "watched", "--storage", str(storage)])
    assert "search.max" not in capfd.readouterr().out
    (folder.path / "hours.json").write_text('{"seconds": 5400}')
    (folder.path / "model").write_bytes(b"0" * 30_000_000)
    caps = ["search.max_hours=3", "search.max_gpu_hours=20", "search.max_disk=2GB"]
    folder.write_space(read_space(storage / "space.yaml", overrides=caps))
    hours, gpu_hours, disk = read_status(storage, "watched").caps
    assert (hours.cap, gpu_hours.cap, disk.cap) == ("search.max_hours", "search.max_gpu_hours", "search.max_disk")
    assert (hours.limit, gpu_hours.limit, disk.limit) == (3.0, 20.0, 2e9)
    assert hours.used == pytest.approx(1.5, abs=0.01) and gpu_hours.used == pytest.approx(8800 / 3600)
    assert disk.used == folder_bytes(folder.path) > 3e7
    main(["status", "watched", "--storage", str(storage)])
    shown = capfd.readouterr().out.splitlines()
    assert "search.max_hours: 1.50 of 3 hours used" in shown
    assert "search.max_gpu_hours: 2.44 of 20 GPU hours used" in shown
    assert "search.max_disk: 0.030 of 2 GB used" in shown


def test_a_confirmed_search_names_the_confirmed_trial_and_its_gpu_hours_count(folder: SearchFolder) -> None:
    four_finished_and_one_running(folder)
    storage = folder.path.parent
    folder.write_space(read_space(storage / "space.yaml", overrides=["search.max_gpu_hours=20"]))
    before = read_status(storage, "watched")
    result = folder.baseline_folder("winner-ab") / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text('{"examples": 10, "val_accuracy": 0.8, "gpu_seconds": 3600.0, "failure": null}')
    assert read_status(storage, "watched").caps[0].used == pytest.approx(before.caps[0].used + 1.0)
    folder.write_document(json.dumps({"best": {"id": "0000"}, "confirmation": {"missing": None}}))
    best = read_status(storage, "watched").best
    assert best is not None and best.id == "0000", "0001 has the higher validation accuracy"
    for document in ({"confirmation": {"missing": "a cap was reached"}}, {"confirmation": None}, {}):
        folder.write_document(json.dumps({"best": {"id": "0000"}, **document}))
        assert read_status(storage, "watched").best == before.best


def test_a_search_that_a_cap_ended_says_so_and_has_nothing_left(
    folder: SearchFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    four_finished_and_one_running(folder)
    storage, ended = folder.path.parent, EndedRecord("search.max_hours", 0.5, trials=5, planned=10)
    assert read_status(storage, "watched").ended_by is None
    folder.document.write_text(json.dumps({"ended_by": asdict(ended)}))
    seen = read_status(storage, "watched")
    assert (seen.state, seen.ended_by, seen.hours_left) == ("finished", ended, 0.0)
    main(["status", "watched", "--storage", str(storage)])
    shown = capfd.readouterr().out
    assert ended_line(ended) in shown.splitlines() and "5 not begun" in shown
    main(["status", "watched", "--json", "--storage", str(storage)])
    assert json.loads(capfd.readouterr().out)["ended_by"] == asdict(ended)
    folder.document.write_text('{"ended_by": null}')
    assert read_status(storage, "watched").ended_by is None


def test_looking_writes_nothing(folder: SearchFolder) -> None:
    four_finished_and_one_running(folder)

    def files() -> dict[Path, tuple[int, int]]:
        return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.path.parent.rglob("*")}

    before = files()
    for _ in range(2):
        read_status(folder.path.parent, "watched")
        folder.unlock()
    assert files() == before


def test_looking_keeps_no_driver_out_and_sees_one_in_another_process(folder: SearchFolder) -> None:
    assert folder.is_driven()
    look = "import sys, pathlib; from gazetune.search.folder import SearchFolder as F; print(F(pathlib.Path(sys.argv[1])).is_driven())"  # noqa: E501
    seen = subprocess.run([sys.executable, "-c", look, folder.path], capture_output=True, text=True, check=True)
    assert seen.stdout == "True\n"
    folder.unlock()
    assert not folder.is_driven()
    again, _ = SearchFolder.open_to_resume(folder.path.parent, "watched")
    again.unlock()


def test_who_takes_a_search_over_hears_nothing_that_was_meant_for_a_dead_driver(folder: SearchFolder) -> None:
    folder.requests.announce_driver(2)
    folder.requests.request_stop(None)
    folder.requests.request_stop("0001")
    folder.unlock()
    again, _ = SearchFolder.open_to_resume(folder.path.parent, "watched")
    assert not again.requests.is_stop_requested(None) and not again.requests.is_stop_requested("0001")
    assert again.requests.read_note() is None
    again.unlock()


@pytest.mark.parametrize("command", ["status", "stop"])
def test_an_unknown_name_is_one_line_with_those_there_are(
    command: str, folder: SearchFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = folder.path.parent
    assert main([command, "other", "--storage", str(storage)]) == 2
    out, error = capfd.readouterr()
    assert (out, error) == ("", f"gazetune: error: there is no search 'other' in {storage}; accepted: watched\n")
