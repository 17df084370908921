from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gazetune.report.document import (
    BaselineRecord,
    ControlRecord,
    EndedRecord,
    ImportanceRecord,
    MeansRecord,
    ParetoRecord,
    SearchDocument,
    ValueMean,
)
from gazetune.report.markdown import render_report, write_report
from gazetune.report.wording import best_line, ended_line, state_verdict

Maker = Callable[..., SearchDocument]


def test_the_report_says_what_the_table_says_and_what_was_run(document: Maker) -> None:
    made = document()
    text = render_report(made)
    assert made.best is not None
    assert state_verdict(made) in text and best_line(made.best) in text
    assert "| no gaze | 64.0 (59.5 to 68.3) | +21.3 (+16.2 to +26.4) | 450 |" in text
    assert "| 1 | 0003 | COMPLETE |" in text and "stopped at rung 233" in text
    assert "- data: `d1a2`" in text and "- gaze: `g3b4`" in text
    assert "```yaml\nname: demo\n```" in text


def test_a_cap_that_ended_the_search_is_reported(document: Maker) -> None:
    ended = EndedRecord("search.max_disk", 2e10, trials=4, planned=30)
    assert ended_line(ended) in render_report(document(ended_by=ended)).splitlines()
    assert "Ended early" not in render_report(document())


def test_every_row_of_the_trials_has_as_many_cells_as_the_head(document: Maker) -> None:
    lines = [line.replace("\\|", "") for line in render_report(document()).splitlines() if line.startswith("|")]
    trials = [line for line in lines if line.startswith(("| rank", "| 1", "| 2", "| 3", "| 4"))]
    assert len(trials) == 5 and {line.count("|") for line in trials} == {10}


def test_a_pareto_front_stands_in_the_report_with_its_values(document: Maker) -> None:
    front = (ParetoRecord("0003", {"val/accuracy": 0.87, "train_seconds": 4.04}),)
    assert "| trial | val/accuracy | train_seconds |\n| --- | --- | --- |\n| 0003 | 0.87 | 4.04 |" in render_report(
        document(pareto=front)
    )
    assert "Pareto" not in render_report(document())


def test_the_importance_of_every_key_stands_in_the_report_or_why_there_is_none(document: Maker) -> None:
    text = render_report(document(importance=ImportanceRecord({"optim.learning_rate": 0.75, "fusion.kind": 0.25}, 12)))
    assert "## Importance of the searched keys" in text and "in the better half of 12 trials" in text
    assert "| key | share % |\n| --- | --- |\n| optim.learning_rate | 75.0 |\n| fusion.kind | 25.0 |" in text
    assert "cannot be said: too few." in render_report(document(importance=ImportanceRecord(missing="too few")))
    assert "Importance" not in render_report(document())


def test_the_mean_by_value_of_each_key_and_the_share_of_each_measure_stand_in_the_report(document: Maker) -> None:
    importance = ImportanceRecord({"gaze.features": 1.0}, 12, by_measure={"TRT": 0.75, "FFD": 0.25})
    rows = (ValueMean("fusion.kind", "add", 7, 0.676, (0.611, 0.741)), ValueMean("fusion.kind", "none", 1, 0.5, None))
    text = render_report(document(importance=importance, means=MeansRecord("val/accuracy", 256, 8, rows)))
    assert "Of the measures: TRT 75 %, FFD 25 %." in text and "| TRT | 75.0 |\n| FFD | 25.0 |" in text
    assert "| key | value | trials | mean val/accuracy % at 256 examples | 95 % interval |" in text
    assert "| fusion.kind | add | 7 | 67.6 | 61.1 to 74.1 |\n| fusion.kind | none | 1 | 50.0 | - |" in text
    assert "Mean by value" not in render_report(document())


def test_the_report_without_a_winner_says_so(document: Maker) -> None:
    text = render_report(document(best=None, baselines={"no_gaze": None, "shorter": None}))
    assert "no winner" in text and "Baselines" not in text


def test_writing_replaces_the_old_report_and_leaves_nothing_else(document: Maker, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    write_report(document(), path)
    assert path.read_text(encoding="utf-8") == render_report(document())
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_made_leaves_the_old_one(document: Maker, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_report(document(name="\ud800"), path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_a_control_reached_stands_in_the_report(document: Maker) -> None:
    test = BaselineRecord(0.7, 450, (0.655, 0.745), 0.153, (0.1, 0.2))
    controls = {
        "noise": ControlRecord("0004", {"fusion.kind": "add"}, 0.71, 2, test),
        "shuffled": ControlRecord("0005", {"fusion.kind": "add"}, 0.7, 1, None),
    }
    text = render_report(document(controls=controls))
    assert "| noise | 0004: fusion=add | 71.0 | 70.0 (65.5 to 74.5) | +15.3 (+10.0 to +20.0) |" in text
    assert "| shuffled | 0005: fusion=add | 70.0 | - | - |" in text
    assert "## Controls" not in render_report(document())
