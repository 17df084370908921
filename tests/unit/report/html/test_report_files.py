from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gazetune.report.html.report_files import list_sections, write_report_files
from tests.report_evidence import BUDGET, MARKUP, RUNGS, make_ablation, make_evidence


def test_the_page_of_a_thousand_trials_stays_small_and_says_what_was_left_out(tmp_path: Path) -> None:
    files = write_report_files(make_evidence(2500), tmp_path)
    page = files["html"].read_text()
    assert len(page) < 1_000_000
    for told in (" curves are drawn", "The first 200 of 2500", "trials.csv has the command of each trial"):
        assert told in page
    assert re.search(r"\d+ of \d+ trials are drawn: all that improved the best", page)
    assert page.count("<tr>") < 1500
    assert len(files["csv"].read_text().splitlines()) == 2501


def test_no_text_of_the_user_is_markup_in_the_page(tmp_path: Path) -> None:
    for evidence in (make_evidence(), make_ablation()):
        page = write_report_files(evidence, tmp_path)["html"].read_text()
        assert "<script" not in page and "<i>" not in page and "\x07" not in page
        assert page.count("&lt;script&gt;alert(&#x27;$x_1$&#x27;)") > 5


def test_markdown_and_latex_have_the_tables_and_show_markup_as_text(tmp_path: Path) -> None:
    files = write_report_files(make_evidence(), tmp_path)
    markdown, latex = files["markdown"].read_text(), files["latex"].read_text()
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(tables) > 100 and not [line for line in tables if "<script" in line]
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == markdown.count("\n| ---")
    rows = re.findall(r"^(?!%).*\\\\$", latex, re.MULTILINE)
    assert len(rows) > 60 and not [row for row in rows if re.search(r"(?<!\\)[$#%_]|<script", row)]


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("curves", {"curves": (), "no_curves": "nobody looked"}, "There are no learning curves: nobody looked."),
        ("reliability", {"scored": ()}, "no reward of a saved model was kept pair by pair"),
        ("length", {"scored": ()}, "no reward of a saved model was kept pair by pair"),
    ],
)
def test_a_part_without_data_says_why_and_has_no_picture(part: str, change: dict[str, object], told: str) -> None:
    whole = {section.key: section for section in list_sections(make_evidence())}
    assert whole[part].draw is not None
    (section,) = (each for each in list_sections(replace(make_evidence(), **change)) if each.key == part)  # type: ignore[arg-type]
    assert section.draw is None and section.table is None and told in section.text[0]


def test_a_search_without_any_trial_has_a_report(tmp_path: Path) -> None:
    evidence = make_evidence()
    document = replace(
        evidence.document, trials=(), best=None, baselines={}, controls={}, means=None, confirmation=None
    )
    none = replace(evidence, document=document, state="interrupted", notes=("stopped",), curves=(), scored=(), rungs=())
    page = write_report_files(none, tmp_path)["html"].read_text()
    assert "No trial has a validation accuracy." in page and page.count("<svg") == 1  # importance, as it was given


def test_rungs_are_told_with_how_many_trials_went_no_further() -> None:
    evidence = make_evidence()
    (curves,) = (section for section in list_sections(evidence) if section.key == "curves")
    assert curves.table is not None
    first = curves.table.rows[0]
    ended = sum(len(curve.points) == 1 for curve in evidence.curves)
    assert first[:3] == [f"{RUNGS[0]} (rung)", str(sum(bool(curve.points) for curve in evidence.curves)), str(ended)]


def test_controls_are_never_the_best_so_far() -> None:
    evidence = make_evidence()
    control = replace(evidence.document.trials[0], control="noise", val_accuracy=1.0)
    document = replace(evidence.document, trials=(control, *evidence.document.trials[1:]))
    sections = {section.key: section for section in list_sections(replace(evidence, document=document))}
    for part in ("history", "cost"):
        table = sections[part].table
        assert table is not None and "0000" not in [row[0] for row in table.rows]
    assert MARKUP not in "".join(section.key for section in sections.values())


def test_an_ablation_has_the_same_report_of_its_arms_and_cells(tmp_path: Path) -> None:
    evidence = make_ablation()
    sections = {section.key: section for section in list_sections(evidence)}
    drawn = [key for key, section in sections.items() if section.draw is not None]
    assert drawn == ["arms", "comparisons", "curves", "cost", "reliability", "rewards", "length"]
    arms, comparisons, curves = (sections[key].table for key in ("arms", "comparisons", "curves"))
    assert arms is not None and comparisons is not None and curves is not None
    assert arms.rows[1][:4] == ["real", "84.0", "1.0", "80.0 to 88.0"]
    assert comparisons.rows[0][:4] == ["real", "none", "+20.0 (+15.0 to +25.0)", "+12.0 to +28.0"]
    assert curves.rows[1] == ["real", str(BUDGET), "84.0"], "the mean over seeds"
    page = write_report_files(evidence, tmp_path)["html"].read_text()
    assert page.index("Supported: gaze helps.") < page.index("<svg") and "<script" not in page
    assert "1 of 12 cells FAILed." in page and "cell 0003: real, seed 0" in page
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 13


def test_a_confirmation_shows_what_it_trained_and_what_the_search_alone_would_have_said() -> None:
    evidence = make_evidence()
    sections = {section.key: section for section in list_sections(evidence)}
    arms, candidates = sections["confirmation"], sections["candidates"]
    assert arms.draw is not None and candidates.draw is not None
    assert "Trial 0002 has no gaze." in arms.text
    assert arms.table is not None and [row[0] for row in arms.table.rows] == ["winner", "control-noise"]
    assert any("The search alone would have said: trial 0002" in paragraph for paragraph in arms.text)
    assert candidates.table is not None and candidates.table.rows[1][-1] == "+3.0 (+1.0 to +5.0)"
    confirmation = replace(evidence.document.confirmation, missing="every fold failed", notes=())  # type: ignore[type-var]
    failed = replace(evidence, document=replace(evidence.document, confirmation=confirmation))
    (told,) = (section for section in list_sections(failed) if section.key == "confirmation")
    assert told.draw is None and told.text == ("The best trial was not confirmed: every fold failed.",)
    assert "candidates" not in {section.key for section in list_sections(failed)}


def test_a_trial_whose_accuracy_is_no_number_hides_no_other(tmp_path: Path) -> None:
    evidence = make_evidence()
    failed = replace(evidence.document.trials[0], state="FAIL", val_accuracy=math.nan, seconds=0.001)
    document = replace(evidence.document, trials=(failed, *evidence.document.trials[1:]))
    sections = {section.key: section for section in list_sections(replace(evidence, document=document))}
    cost, history = sections["cost"].table, sections["history"].table
    assert cost is not None and history is not None
    assert len(cost.rows) > 3 and "0000" not in {row[0] for row in (*cost.rows, *history.rows)}
    rows = write_report_files(replace(evidence, document=document), tmp_path)["csv"].read_text()
    assert ",nan," not in rows
