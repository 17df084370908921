"""Data sets laid out as pymovements' definitions declare them, made on the spot: measures, fixations, gaze."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.assign_words import TrialLimits
from gazetune.eyetracking.import_recordings import import_recordings
from gazetune.eyetracking.import_settings import ImportReport, ImportSettings
from gazetune.eyetracking.pymovements.settings import PymovementsSettings
from gazetune.eyetracking.reading_measures import merge_measures
from gazetune.gaze.predictors.recorded import RecordedPredictor

pytest.importorskip("pymovements", reason="pymovements is not installed (extra eyetracking)")

TEXT = "Alpha beta\n\ngamma self-made."
SETTINGS = ImportSettings(limits=TrialLimits(1, 0.5), units="ms", max_distance=20.0)
BOXES = [(100, 100, 180, 120), (200, 100, 280, 120), (100, 200, 180, 220), (200, 200, 280, 220)]
# Word, FFD (first pass), FD, TFT, RPD_inc, TFC: beta was skipped, gamma first fixated after self-made.
MEASURED = [
    ("Alpha", 200, 200, 260, 200, 2),
    ("beta", 0, 0, 0, 0, 0),
    ("gamma", 0, 150, 150, 0, 1),
    ("self-made.", 300, 300, 300, 510, 1),
]
EXPECTED = [[2, 200, 200, 260, 100], [0, 0, 0, 0, 0], [1, 150, 0, 150, 100], [1, 300, 510, 300, 100]]


def run(source: Path, **pymovements: Any) -> ImportReport:
    settings = replace(SETTINGS, pymovements=PymovementsSettings(**pymovements))
    return import_recordings(source, [TEXT, "Another text."], source.parent / "out.parquet", settings)


def write(path: Path, rows: list[tuple[Any, ...]], separator: str = "\t") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join(map(str, row)) + "\n" for row in rows))
    return path


def values(source: Path, reader: str | None = None) -> np.ndarray:
    (gaze,) = RecordedPredictor(source.parent / "out.parquet", reader).predict([TEXT])
    return np.asarray(gaze.values)


def emtec(root: Path, rows: list[tuple[Any, ...]] = MEASURED) -> Path:
    header = (
        "subject_id",
        "item_id",
        "model",
        "decoding_strategy",
        "TRIAL_ID",
        "word_id",
        "word",
        "FFD",
        "FD",
        "TFT",
        "RPD_inc",
        "TFC",
    )
    table = [
        (reader, "item01", "phi2", "topk", trial, n, *row)
        for reader, trial in (("ET_01", 3), ("ET_02", 9))
        for n, row in enumerate(rows)
    ]
    return write(root / "precomputed_reading_measures" / "reading_measures.csv", [header, *table])


def test_measures_in_the_layout_of_emtec_become_those_of_each_reader(tmp_path: Path) -> None:
    source = tmp_path / "EMTeC"
    emtec(source)
    report = run(source, dataset="EMTeC")
    assert (report.texts, report.readers, report.recordings, report.fixations) == (1, 2, 2, 8)
    assert report.notes == ["measures of words as EMTeC has them"]
    for reader in ("ET_01", "ET_02"):
        assert values(source, reader).tolist() == EXPECTED


def test_measures_in_the_layout_of_potec_take_the_reader_from_the_name_of_the_file(tmp_path: Path) -> None:
    source = tmp_path / "PoTeC"
    rows = [("word_index_in_text", "word", "FFD", "FD", "TFT", "RPD_inc", "TFC")]
    rows += [(n, word, *(each or "." for each in row)) for n, (word, *row) in enumerate(MEASURED, start=1)]
    for reader in (7, 12):
        write(source / "precomputed_reading_measures" / f"reader{reader}_b0_merged.tsv", rows)
    run(source, dataset="PoTeC")
    assert set(pq.read_table(tmp_path / "out.parquet")["reader"].to_pylist()) == {"7", "12"}
    assert values(source, "12").tolist() == EXPECTED


def test_measures_in_the_layout_of_onestop_are_those_of_interest_areas(tmp_path: Path) -> None:
    source = tmp_path / "OneStop"
    rows = [
        (
            "participant_id",
            "unique_trial_id",
            "IA_ID",
            "IA_LABEL",
            "IA_FIRST_FIXATION_DURATION",
            "IA_DWELL_TIME",
            "IA_REGRESSION_PATH_DURATION",
            "IA_FIXATION_COUNT",
        )
    ]
    rows += [
        ("l1_1", "l1_1_4_2", n, word, first or ".", total, past or ".", count)
        for n, (word, _, first, total, past, count) in enumerate(MEASURED, start=1)
    ]
    write(source / "precomputed_reading_measures" / "ia_Paragraph.csv", rows, ",")
    run(source, dataset="OneStop")
    assert values(source, "l1_1").tolist() == EXPECTED


def test_measures_without_fixations_cannot_be_those_of_the_first_pass(tmp_path: Path) -> None:
    path = emtec(tmp_path / "EMTeC")
    settings = replace(SETTINGS, first_pass_only=True, pymovements=PymovementsSettings(dataset="EMTeC"))
    with pytest.raises(InputError) as caught:
        import_recordings(tmp_path / "EMTeC", [TEXT], tmp_path / "out.parquet", settings)
    assert str(caught.value) == f"{path}: has measures; accepted: first_pass_only with fixations"


def test_words_that_a_corpus_divides_share_a_unit(tmp_path: Path) -> None:
    source = tmp_path / "EMTeC"
    emtec(source, [*MEASURED[:3], ("self-", 0, 0, 0, 0, 0), ("made.", 300, 300, 310, 510, 2)])
    run(source, dataset="EMTeC")
    assert values(source).tolist()[3] == [2, 300, 510, 310, 100]
    unit = np.array([0, 0, 1])
    measures = np.array([[1, 200, 250, 200, 100], [2, 150, 900, 400, 100], [0, 0, 0, 0, 0.0]])
    assert merge_measures(measures, unit, 2).tolist() == [[3, 200, 900, 600, 100], [0, 0, 0, 0, 0]]


DEFINITION = """name: Mine
experiment:
  screen_width_px: 1000
  screen_height_px: 800
  screen_width_cm: 40
  screen_height_cm: 32
  distance_cm: 60
  origin: "{origin}"
  sampling_rate: 500
resources:
  - content: gaze
    filename_pattern: 'P{{subject_id:s}}.tsv'
    load_kwargs:
      trial_columns: [book, page]
      time_column: t
      time_unit: ms
      pixel_columns: [gx, gy]
      read_csv_kwargs: {{separator: "\\t"}}
  - content: precomputed_events
    filename_pattern: 'fixations.csv'
"""
PATH = [(0, 0.2), (1, 0.3), (0, 0.1), (3, 0.25), (2, 0.15)]
PATH_MEASURES = [[2, 200, 200, 300, 100], [1, 300, 400, 300, 100], [1, 150, 150, 150, 100], [1, 250, 400, 250, 100]]


def defined(root: Path, origin: str = "upper left") -> Path:
    boxes = [("text", "x1", "y1", "x2", "y2")]
    boxes += [(word, *box) for word, box in zip(TEXT.split(), BOXES, strict=True)]
    write(root / "words" / "saga_1.csv", boxes, ";")
    definition = root / "mine.yaml"
    definition.write_text(DEFINITION.format(origin=origin))
    return definition


def middle(word: int) -> tuple[float, float]:
    x1, y1, x2, y2 = BOXES[word]
    return (x1 + x2) / 2, (y1 + y2) / 2


def fixation_table(root: Path, change: tuple[str, str] = ("", "")) -> Path:
    rows: list[tuple[Any, ...]] = [("participant_id", "item", "CURRENT_FIX_X", "CURRENT_FIX_Y", "onset", "duration")]
    for reader in ("r1", "r2"):
        rows += [
            (reader, "saga_1", *middle(word), n * 500, round(seconds * 1000)) for n, (word, seconds) in enumerate(PATH)
        ]
    path = write(root / "precomputed_events" / "fixations.csv", rows, ",")
    path.write_text(path.read_text().replace(*change) if change[0] else path.read_text())
    return path


def test_a_table_of_fixations_is_assigned_to_the_words_of_its_screens(tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    fixation_table(tmp_path / "mine")
    report = run(definition, columns={"trial": "item"})
    assert (report.readers, report.fixations, report.dropped) == (2, 10, [])
    table = pq.read_table(tmp_path / "mine" / "out.parquet").to_pydict()
    for column, name in enumerate(("nFix", "FFD", "GPT", "TRT", "fixProp")):
        assert table[name] == pytest.approx([row[column] for row in PATH_MEASURES] * 2)


def test_a_table_of_fixations_needs_no_starts(tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    fixation_table(tmp_path / "mine", ("onset", "number"))
    assert run(definition, columns={"trial": "item"}).fixations == 10


def test_a_table_in_which_nothing_names_the_readers_is_told(tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    path = fixation_table(tmp_path / "mine", ("participant_id", "who"))
    path.write_text(path.read_text().replace("onset", "number"))  # with starts its rows would be out of order
    report = run(definition, columns={"trial": "item"})
    assert report.readers == 1
    assert (
        f"{path}: no usual column and no part of its name says who read; all of its rows are taken as one reader's, "
        "fixations (--columns reader=NAME)"
    ) in report.notes
    named = run(definition, columns={"trial": "item", "reader": "who"})
    assert named.readers == 2 and not any("who read" in note for note in named.notes)


def test_a_row_without_a_reader_is_refused(tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    path = fixation_table(tmp_path / "mine", ("r2,", ","))
    with pytest.raises(InputError) as caught:
        run(definition, columns={"trial": "item"})
    assert str(caught.value) == f"{path} row 6: reader: is empty; accepted: a name in every row"


@pytest.mark.parametrize("columns", [{}, {"reader": "participant_id"}])
def test_samples_of_several_readers_in_one_file_are_refused(columns: dict[str, str], tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    definition.write_text(definition.read_text().replace("P{subject_id:s}.tsv", "{file:s}.tsv"))
    rows = [("t", "book", "page", "gx", "gy", "participant_id")]
    rows += [(2 * n, "saga", 1, *middle(0), f"r{1 + n // 200}") for n in range(400)]
    path = write(tmp_path / "mine" / "raw" / "all.tsv", rows)
    with pytest.raises(InputError) as caught:
        run(definition, content="gaze", detect="ivt", min_duration=50, columns=columns)
    assert str(caught.value) == (
        f"{path}: participant_id: has the samples of 2 readers (r1, r2); accepted: a file for each reader"
    )
    path.write_text(path.read_text().replace("r2", "r1"))
    run(definition, content="gaze", detect="ivt", min_duration=50, columns=columns)
    assert set(pq.read_table(tmp_path / "mine" / "out.parquet")["reader"].to_pylist()) == {"r1"}


def test_a_column_of_readers_that_samples_do_not_have_is_refused(tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    rows = [("t", "book", "page", "gx", "gy"), *((2 * n, "saga", 1, *middle(0)) for n in range(200))]
    write(tmp_path / "mine" / "raw" / "Pr7.tsv", rows)
    with pytest.raises(InputError, match=r"Pr7.tsv: has no column 'who' for reader, nor such a part of its name; it"):
        run(definition, content="gaze", detect="ivt", min_duration=50, columns={"reader": "who"})


@pytest.mark.parametrize(("factor", "median"), [(0.001, "0.2"), (1000.0, "200000")])
def test_a_table_whose_durations_are_no_milliseconds_is_refused(factor: float, median: str, tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    path = fixation_table(tmp_path / "mine")
    lines = [line.split(",") for line in path.read_text().splitlines()]
    write(path, [lines[0], *((*line[:-1], f"{float(line[-1]) * factor:g}") for line in lines[1:])], ",")
    with pytest.raises(InputError) as caught:
        run(definition, columns={"trial": "item"})
    assert str(caught.value) == (
        f"{path}: duration: its median is {median}; accepted: milliseconds, with a median of 10 to 10000"
    )


def test_rows_of_other_trials_between_those_of_one_are_told(tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    shutil.copy(tmp_path / "mine" / "words" / "saga_1.csv", tmp_path / "mine" / "words" / "other.csv")
    path = fixation_table(tmp_path / "mine")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], lines[3].replace("saga_1", "other"), *lines[4:]]) + "\n")
    settings = replace(SETTINGS, repeats="first", pymovements=PymovementsSettings(columns={"trial": "item"}))
    report = import_recordings(definition, [TEXT], tmp_path / "mine" / "out.parquet", settings)
    (note,) = [each for each in report.notes if "other trials" in each]
    assert note == f"{path} (r1): trial saga_1: rows of other trials stand between its own; they are one reading"


def test_a_screen_of_another_size_than_the_definition_says_is_refused(tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine")
    path = fixation_table(tmp_path / "mine")
    settings = replace(SETTINGS, screen=(1280, 1024), pymovements=PymovementsSettings(columns={"trial": "item"}))
    with pytest.raises(InputError) as caught:
        import_recordings(definition, [TEXT], tmp_path / "mine" / "out.parquet", settings)
    assert str(caught.value) == f"{path}: the screen has 1000x800 pixels, but --screen says 1280x1024"


@pytest.mark.parametrize("origin", ["upper left", "center"])
def test_samples_of_a_data_set_become_fixations_of_their_trials(origin: str, tmp_path: Path) -> None:
    definition = defined(tmp_path / "mine", origin)
    left, top = (999 / 2, 799 / 2) if origin == "center" else (0.0, 0.0)
    rows: list[tuple[Any, ...]] = [("t", "book", "page", "gx", "gy")]
    time = 0
    for word, seconds in PATH:
        x, y = middle(word)
        for _ in range(round(seconds * 500) + 4):  # the detection takes two samples at each edge
            rows.append((time, "saga", 1, x - left, y - top))
            time += 2
    write(tmp_path / "mine" / "raw" / "Pr7.tsv", rows)
    with pytest.raises(InputError, match=r"Pr7.tsv: has no fixations; accepted: events of fixations, or samples and"):
        run(definition, content="gaze")
    report = run(definition, content="gaze", detect="ivt", min_duration=50)
    assert "screen 40x32 cm at 60 cm" in report.notes[0] and report.dropped == []
    table = pq.read_table(tmp_path / "mine" / "out.parquet").to_pydict()
    assert set(table["reader"]) == {"r7"}
    assert table["nFix"] == [row[0] for row in PATH_MEASURES]
    assert table["FFD"] == pytest.approx([row[1] for row in PATH_MEASURES], abs=8)


@pytest.mark.parametrize(
    ("change", "settings", "expected"),
    [
        (("duration", "length"), {}, "has no column 'duration' for duration; it has participant_id, item"),
        (("", ""), {"columns": {"trial": "itm"}}, "has no column 'itm' for trial; it has participant_id, item"),
        (("", ""), {"columns": {}}, "has no column 'trial' for trial; it has participant_id, item"),
        ((",500,300", ",500,-300"), {}, " row 2: duration: '-300'; accepted: a number >= 0"),
        ((",500,300", ",500,long"), {}, " row 2: duration: 'long'; accepted: a number >= 0"),
        ((",1000,100", ",499,100"), {}, " row 3: onset: '499'; accepted: at least 500, which the fixation before it"),
        (("saga_1,240.0,110.0,500", "other,240.0,110.0,500"), {}, "trial: 'other' has no word boxes in "),
    ],
)
def test_a_wrong_table_of_fixations_is_one_line(
    change: tuple[str, str], settings: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    definition = defined(tmp_path / "mine")
    path = fixation_table(tmp_path / "mine", change)
    with pytest.raises(InputError) as caught:
        run(definition, **{"columns": {"trial": "item"}, **settings})
    assert str(caught.value).startswith(f"{path}{expected}") or str(caught.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(caught.value) and not (tmp_path / "mine" / "out.parquet").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("\tTFC", "\tcount", "has no column 'nFix' for nFix; it has subject_id, item_id"),
        ("260\t200\t2", "-260\t200\t2", " row 1: TFT: '-260'; accepted: a number >= 0"),
        ("\tbeta\t", "\t\t", " row 2: word: is empty; accepted: a word"),
        ("\tbeta\t", "\tdelta\t", " row 2: word 1 is 'delta', but the nearest text has 'beta gamma"),
    ],
)
def test_a_wrong_table_of_measures_is_one_line(old: str, new: str, expected: str, tmp_path: Path) -> None:
    path = emtec(tmp_path / "EMTeC")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        run(tmp_path / "EMTeC", dataset="EMTeC")
    assert str(caught.value).startswith(f"{path}{expected}") or str(caught.value).startswith(f"{path}: {expected}")


def test_a_data_set_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset: 'EMTec'; did you mean 'EMTeC'\?"):
        run(tmp_path, dataset="EMTec")
    with pytest.raises(InputError, match=r"names precomputed_reading_measures/ or precomputed_events/ or raw/, which"):
        run(tmp_path, dataset="EMTeC")
    definition = defined(tmp_path / "mine")
    (tmp_path / "mine" / "raw").mkdir()
    with pytest.raises(InputError, match=r"raw: pymovements cannot read it \(RuntimeError: no matching files found"):
        run(definition)
    with pytest.raises(InputError, match=r"detect: idt; accepted: with content gaze, but the fixations of Mine are"):
        run(definition, content="fixations", detect="idt")
    with pytest.raises(InputError, match=r"the definition of Mine has no measures \(precomputed_reading_measures\)"):
        run(definition, content="measures")
    definition.write_text("resources: 5\n")
    with pytest.raises(InputError, match=r"mine.yaml: pymovements cannot read it \(TypeError"):
        run(definition)
