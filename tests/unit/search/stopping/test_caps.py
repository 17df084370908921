"""The caps of a search on real folders: when each is reached, over several drivers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.errors import InputError
from gazetune.report.document import EndedRecord, TrialRecord
from gazetune.search.stopping.caps import Caps, WorkingTime, check_caps

GPU = ResourcesConfig(workers=2, gpus_per_worker=0.5)


def caps_of(folder: Path, **caps: Any) -> Caps:
    return Caps(SearchConfig.model_validate({"trials": 4, "confirm": "off", **caps}), folder)


def record(trial_id: str, reason: str | None = None) -> TrialRecord:
    return TrialRecord(trial_id, "PRUNED", {}, 10, 0.5, 1.0, None, reason)


def test_without_a_cap_nothing_is_ever_reached(tmp_path: Path) -> None:
    free = caps_of(tmp_path)
    free.add_earlier_trials([])
    free.add_evaluation("0000", 1e9)
    assert free.reached is None and free.end_record([]) is None


def test_gpu_hours_are_those_of_all_trials_at_their_last_evaluations(tmp_path: Path) -> None:
    capped = caps_of(tmp_path, max_gpu_hours=1.0)
    capped.add_earlier_trials([])
    capped.add_evaluation("0000", 1800.0)
    capped.add_evaluation("0000", 2000.0)
    capped.add_evaluation("0001", 1590.0)
    assert not capped.is_reached(), "3,590 seconds"
    capped.add_evaluation("0001", 1600.0)
    assert capped.reached == ("search.max_gpu_hours", 1.0)


def test_what_trials_used_under_an_earlier_driver_counts(tmp_path: Path) -> None:
    study = optuna.create_study()
    for used in (3000.0, 500.0):
        study.ask().set_user_attr("record", {"seconds": 1e6, "gpu_seconds": used})
    study.ask()  # a driver was killed before it noted anything
    capped = caps_of(tmp_path, max_gpu_hours=1.0)
    capped.add_earlier_trials(study.trials)
    assert not capped.is_reached()
    capped.add_evaluation("0001", 600.0)
    assert capped.is_reached()


def test_hours_are_wall_time_over_all_drivers(tmp_path: Path) -> None:
    (tmp_path / "hours.json").write_text(json.dumps({"seconds": 3599.0}))
    earlier = WorkingTime(tmp_path / "hours.json")
    assert 3599.0 <= earlier.seconds < 3600.0
    waiting = caps_of(tmp_path, max_hours=2.0)
    waiting.add_earlier_trials([])
    assert not waiting.is_reached()
    (tmp_path / "hours.json").write_text(json.dumps({"seconds": 7200.0}))
    spent = caps_of(tmp_path, max_hours=2.0)
    assert not spent.is_reached()
    spent.check_time()
    assert spent.reached == ("search.max_hours", 2.0)
    spent.save_time()
    assert json.loads((tmp_path / "hours.json").read_text())["seconds"] >= 7200.0


def test_the_disk_is_what_lies_in_the_folder_and_is_looked_at_with_every_evaluation(tmp_path: Path) -> None:
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    (tmp_path / "trials" / "0000" / "weights").write_bytes(bytes(600))
    capped = caps_of(tmp_path, max_disk=1000)
    capped.add_earlier_trials([])
    capped.add_evaluation("0000", 1.0)
    assert not capped.is_reached()
    (tmp_path / "more").write_bytes(bytes(500))
    capped.add_evaluation("0000", 2.0)
    assert capped.reached == ("search.max_disk", 1000.0)


def test_a_search_says_how_it_ended_only_when_a_trial_was_stopped_or_not_begun(tmp_path: Path) -> None:
    capped = caps_of(tmp_path, max_gpu_hours=0.1)
    capped.add_earlier_trials([])
    capped.add_evaluation("0000", 3600.0)
    assert capped.end_record([record("0000")]) == EndedRecord("search.max_gpu_hours", 0.1, trials=1, planned=4)
    all_begun = [record(f"{number:04d}") for number in range(4)]
    assert capped.end_record(all_begun) is None, "the last evaluation of the last trial reached it"
    stopped = [*all_begun[:3], record("0003", "search.max_gpu_hours reached")]
    assert capped.end_record(stopped) == EndedRecord("search.max_gpu_hours", 0.1, trials=4, planned=4)


def test_a_cap_on_gpu_hours_without_a_gpu_is_refused() -> None:
    search = SearchConfig(max_gpu_hours=2.0)
    with pytest.raises(
        InputError, match=r"^space.yaml: search.max_gpu_hours: 2 is never reached, as .* is 0; accepted"
    ):
        check_caps(search, [ResourcesConfig()], "space.yaml")
    check_caps(search, [ResourcesConfig(), GPU], "space.yaml")


def test_a_third_of_each_cap_is_kept_back_for_the_confirmation(tmp_path: Path) -> None:
    (tmp_path / "hours.json").write_text(json.dumps({"seconds": 0.0}))
    capped = caps_of(tmp_path, max_gpu_hours=3.0, confirm="quick")
    capped.add_earlier_trials([])
    capped.add_evaluation("0000", 7190.0)
    assert not capped.is_reached()
    capped.add_evaluation("0000", 7210.0)
    assert capped.reached == ("search.max_gpu_hours", 3.0), "two of three hours"
    capped.begin_confirmation()
    assert not capped.is_used_up()
    capped.add_evaluation("fold-0000-ab", 3500.0)
    assert not capped.is_used_up()
    capped.add_evaluation("fold-0000-ab", 3600.0)
    assert capped.used_up == ("search.max_gpu_hours", 3.0)
    assert capped.end_record([record("0000", "search.max_gpu_hours reached")]) is not None


def test_a_search_whose_confirmation_a_cap_ended_ended_early_and_so_can_go_on(tmp_path: Path) -> None:
    capped = caps_of(tmp_path, max_gpu_hours=1.0, confirm="full")
    capped.begin_confirmation()
    all_begun = [record(f"{number:04d}") for number in range(4)]
    assert capped.end_record(all_begun) is None
    capped.add_evaluation("winner-ab", 4000.0)
    assert capped.reached is None and capped.is_used_up()
    assert capped.end_record(all_begun) == EndedRecord("search.max_gpu_hours", 1.0, trials=4, planned=4)
