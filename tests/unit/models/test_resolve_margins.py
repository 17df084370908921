from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.models.resolve_margins import resolve_margins
from gazetune.search.folder import SearchFolder
from tests.unit.models.test_resolve import RANKED, search, storage  # noqa: F401  fixtures


@pytest.fixture
def scored(search: SearchFolder) -> SearchFolder:  # noqa: F811
    """Every trial has margins on validation; the winner and a baseline have them on test."""
    for trial in RANKED:
        (search.trial_folder(trial) / "validation.parquet").touch()
    (search.trial_folder("0002") / "test.parquet").touch()
    baseline = search.baseline_folder("winner-without-gaze-12ab")
    baseline.mkdir(parents=True)
    (baseline / "test.parquet").touch()
    return search


def test_a_rank_an_id_a_run_and_a_file_mean_margins(scored: SearchFolder, storage: Path) -> None:  # noqa: F811
    winner = scored.trial_folder("0002")
    for name in ("demo", "demo:1", "demo:0002", str(winner), str(winner / "best"), f"{'2':0>32}"):
        assert resolve_margins(name, storage, "test") == [winner / "test.parquet"], name
    assert resolve_margins(str(winner / "test.parquet"), storage, "test") == [winner / "test.parquet"]
    assert resolve_margins("demo:5", storage, "validation") == [scored.trial_folder("0003") / "validation.parquet"]
    baseline = scored.baseline_folder("winner-without-gaze-12ab") / "test.parquet"
    assert resolve_margins("demo:winner-without-gaze", storage, "test") == [baseline]


def test_an_arm_of_an_ablation_means_a_file_for_each_seed(storage: Path) -> None:  # noqa: F811
    cells = []
    for number, (arm, seed, state) in enumerate(
        [("real", 1, "COMPLETE"), ("none", 1, "COMPLETE"), ("real", 2, "FAIL")]
    ):
        folder = storage / "controls" / "trials" / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / "test.parquet").touch()
        cells.append({"id": folder.name, "arm": arm, "seed": seed, "state": state})
    (storage / "controls" / "ablation.json").write_text(json.dumps({"cells": cells}))
    real = storage / "controls" / "trials" / "0000" / "test.parquet"
    assert resolve_margins("controls:real", storage, "test") == [real]
    assert resolve_margins("controls:real/1", storage, "test") == [real]
    for name in ("controls:real/2", "controls:noise"):
        with pytest.raises(InputError, match="there is no such arm; accepted: real, none"):
            resolve_margins(name, storage, "test")
    with pytest.raises(InputError, match=r"is an ablation; accepted: one of its arms, controls:ARM \(real, none\)"):
        resolve_margins("controls", storage, "test")


def test_an_arm_of_a_confirmation_means_a_file_for_each_seed(scored: SearchFolder, storage: Path) -> None:  # noqa: F811
    document = scored.read_document()
    assert document is not None
    folders = [f"confirmation/winner-{seed}" for seed in (0, 1)]
    for folder in folders:
        (scored.path / folder).mkdir(parents=True)
        (scored.path / folder / "test.parquet").touch()
    document["confirmation"] = {"arms": {"winner": {"folders": folders}}}
    scored.write_document(json.dumps(document))
    assert resolve_margins("demo:winner", storage, "test") == [scored.path / each / "test.parquet" for each in folders]


def test_a_beginning_that_several_runs_have_is_refused_and_a_whole_name_is_taken(
    scored: SearchFolder,
    storage: Path,  # noqa: F811
) -> None:
    for name in ("fold-0002-aaaa", "fold-0002-bbbb"):
        scored.baseline_folder(name).mkdir()
        (scored.baseline_folder(name) / "validation.parquet").touch()
    with pytest.raises(InputError, match="means 2 runs; accepted: one of fold-0002-aaaa, fold-0002-bbbb"):
        resolve_margins("demo:fold-0002", storage, "validation")
    found = scored.baseline_folder("fold-0002-bbbb") / "validation.parquet"
    assert resolve_margins("demo:fold-0002-bbbb", storage, "validation") == [found]


def test_an_arm_may_have_a_colon_in_its_name(storage: Path) -> None:  # noqa: F811
    folder = storage / "mine" / "trials" / "0000"
    folder.mkdir(parents=True)
    (folder / "test.parquet").touch()
    cell = {"id": "0000", "arm": "a: b/c", "seed": 1, "state": "COMPLETE"}
    (storage / "mine" / "ablation.json").write_text(json.dumps({"cells": [cell]}))
    for name in ("mine:a: b/c", "mine:a: b/c/1"):
        assert resolve_margins(name, storage, "test") == [folder / "test.parquet"], name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("demo:2", r"0004 has no margins on test \(test.parquet\); accepted: a run that was scored there, or let gaze"),
        ("demo:9", "there is no such run; accepted: rank 1 to 5, trial 0000 to 0004, winner-without-gaze-12ab"),
        ("other", r"'other' is no run with margins; accepted: .*\(demo\)"),
        ("f" * 31 + "e", "is no run with margins"),
    ],
)
def test_what_has_no_margins_is_refused_with_what_there_is(
    name: str,
    told: str,
    scored: SearchFolder,
    storage: Path,  # noqa: F811
) -> None:
    with pytest.raises(InputError, match=told):
        resolve_margins(name, storage, "test")
