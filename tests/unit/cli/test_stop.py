"""`gazetune stop` and `gazetune status` on real folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.search.folder import SearchFolder
from gazetune.search.space.space_file import read_space
from gazetune.search.study.storage import open_study

SPACE = """\
name: steered
base: {gaze: {predictor: planted}}
space: {optim.learning_rate: {log_uniform: [1e-4, 1e-2]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[SearchFolder]:
    """A search that this process drives: trial 0000 is COMPLETE, 0001 runs."""
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    made = SearchFolder.create(tmp_path, space)
    study = open_study(space.name, space.config.search, made.path)
    trial = study.ask()
    trial.set_user_attr("record", {"examples": 9, "seconds": 36.0, "val_accuracy": 0.75, "reason": None})
    study.tell(trial, 0.75)
    study.ask()
    yield made
    made.unlock()


def gazetune(folder: SearchFolder, *arguments: str) -> int:
    return main([*arguments, "--storage", str(folder.path.parent)])


def test_a_search_and_a_running_trial_are_asked_to_stop_however_often(
    folder: SearchFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    for trial in ("1", "0001"):
        assert gazetune(folder, "stop", "steered", "--trial", trial) == 0
        assert capfd.readouterr().out == "trial 0001 is asked to stop at its next evaluation\n"
    assert folder.requests.is_stop_requested("0001") and not folder.requests.is_stop_requested(None)
    for _ in range(2):
        assert gazetune(folder, "stop", "steered") == 0
        assert "go on later with: gazetune search --resume steered" in capfd.readouterr().out
    assert folder.requests.is_stop_requested(None)


def test_a_trial_that_is_over_needs_no_request_and_one_that_is_not_there_is_refused(
    folder: SearchFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert gazetune(folder, "stop", "steered", "--trial", "0") == 0
    assert capfd.readouterr().out == "trial 0000 is over already\n"
    for trial in ("7", "-3", "last"):
        assert gazetune(folder, "stop", "steered", f"--trial={trial}") == 2
        error = capfd.readouterr().err
        assert error == (
            f"gazetune: error: --trial {trial}: search 'steered' has begun no such trial; accepted: 0001\n"
        )
    assert not (folder.path / "driver").exists()


def test_what_nobody_drives_cannot_be_stopped(folder: SearchFolder, capfd: pytest.CaptureFixture[str]) -> None:
    folder.unlock()
    for arguments in (["steered"], ["steered", "--trial", "1"]):
        assert gazetune(folder, "stop", *arguments) == 2
        error = capfd.readouterr().err
        assert "search 'steered' is not running; go on with: gazetune search --resume" in error
        assert error.count("\n") == 1
    folder.document.write_text("{}")
    assert gazetune(folder, "stop", "steered") == 2
    assert "not running: it is finished" in capfd.readouterr().err
    assert not (folder.path / "driver").exists()


def test_status_is_printed_for_people_and_as_json(folder: SearchFolder, capfd: pytest.CaptureFixture[str]) -> None:
    folder.unlock()
    assert gazetune(folder, "status", "steered") == 0
    assert capfd.readouterr().out.splitlines() == [
        f"search steered: interrupted; go on with: gazetune search --resume steered --storage {folder.path.parent}",
        "trials: 1 of 20 finished (1 COMPLETE, 0 PRUNED, 0 FAIL), 1 begun, 18 to come",
        "best so far: trial 0000, 9 examples, validation accuracy 0.750",
        "begun: trial 0001, 0 examples",
        "trained: 0.01 hours in all trials, 0.00 GPU hours",
        "left: about 0.19 hours, without the baselines",
    ]
    assert gazetune(folder, "status", "steered", "--json") == 0
    document = json.loads(capfd.readouterr().out)
    assert document["states"]["COMPLETE"] == 1 and document["best"]["id"] == "0000"
    assert document["hours_left"] == pytest.approx(0.19)
