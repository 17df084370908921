"""EyeLink recordings and data sets that pymovements loads: from their files to the Parquet file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.align_text import fold_text
from gazetune.eyetracking.assign_words import TrialLimits
from gazetune.eyetracking.import_recordings import import_recordings
from gazetune.eyetracking.import_settings import ImportReport, ImportSettings
from gazetune.eyetracking.pymovements.settings import PymovementsSettings
from gazetune.eyetracking.reading_measures import measure_words
from gazetune.eyetracking.stimuli import StimuliSettings, render_stimuli
from gazetune.gaze.predictors.recorded import RecordedPredictor

LONG = "Every reader begins somewhere. " + "Some further words will follow here because pages fill slowly. " * 13
PAIRS = [{"1.0": "Which question was asked before?", "1.1": LONG, "1.2": "Nothing more than that, really."}]
TEXTS = list(PAIRS[0].values())
SETTINGS = ImportSettings(limits=TrialLimits(2, 0.5), units="ms", max_distance=10.0)
VIEWING = (38.0, 30.2, 68.0)


def boxes_of(study: Path, trial: str) -> list[dict[str, str]]:
    found = []
    for path in sorted((study / "words").glob(f"{trial}_p*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            found += [{**row, "screen": path.stem} for row in csv.DictReader(stream, delimiter=";")]
    return found


def reading(
    study: Path, step: int, seed: int, shortest: int = 80
) -> tuple[list[tuple[str | None, float, float, float]], dict[str, np.ndarray]]:
    """Return the fixations of one reader on all trials, and for each trial the measures [words, 5] that they have."""
    rng = np.random.default_rng(seed)
    fixations: list[tuple[str | None, float, float, float]] = []
    truth = {}
    for trial, text in PAIRS[0].items():
        boxes = boxes_of(study, trial)
        unit = np.repeat(np.arange(len(text.split())), [len(fold_text(word)) for word in text.split()])
        starts = np.cumsum([0, *(len(fold_text(box["text"])) for box in boxes)])
        path: list[int] = []
        for screen in dict.fromkeys(box["screen"] for box in boxes):
            here = [n for n, box in enumerate(boxes) if box["screen"] == screen]
            # Forward with skips and regressions within the page, never twice in a row on a word.
            steps = [here[min(max(n + int(rng.integers(-2, 3)), 0), len(here) - 1)] for n in range(len(here))]
            path += [word for n, word in enumerate(steps) if n == 0 or word != steps[n - 1]]
        seconds = rng.integers(shortest // step, 400 // step, len(path)) * step / 1000
        for word, duration in zip(path, seconds, strict=True):
            x1, y1, x2, y2 = (float(boxes[word][name]) for name in ("x1", "y1", "x2", "y2"))
            fixations.append((boxes[word]["screen"], (x1 + x2) / 2, (y1 + y2) / 2, float(duration)))
        truth[text] = measure_words(unit[starts[path]], seconds, len(text.split()))
    return fixations, truth


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stimuli") / "study"
    render_stimuli(PAIRS, out, StimuliSettings())
    assert len(list((out / "words").glob("1.1_p*.csv"))) > 1
    return out


def run(source: Path, words: Path, out: Path, **pymovements: Any) -> ImportReport:
    settings = replace(SETTINGS, words=words, pymovements=PymovementsSettings(**pymovements))
    return import_recordings(source, TEXTS, out, settings)


@pytest.mark.parametrize("rate", [1000, 250])
def test_stimuli_an_eyelink_recording_and_its_import_give_the_known_truth(
    study: Path, asc: Callable[..., Any], rate: int, tmp_path: Path
) -> None:
    truths = {}
    for seed, reader in enumerate(("anna", "ben")):
        fixations, truths[reader] = reading(study, 1000 // rate, seed)
        asc(rate)(tmp_path / "in" / f"{reader}.asc", fixations)
    report = run(tmp_path / "in", study / "words", tmp_path / "gaze.parquet")
    assert (report.texts, report.readers, report.recordings, report.dropped) == (3, 2, 6, [])
    assert report.notes == ["fixations as the files have them"]
    for reader, truth in truths.items():
        for text, expected in truth.items():
            (gaze,) = RecordedPredictor(tmp_path / "gaze.parquet", reader).predict([text])
            assert [text[a:b] for a, b in gaze.spans.tolist()] == text.split()
            assert expected[:, 4].min() == 0 or text != LONG
            assert gaze.values == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("method", "rate", "short", "long", "note"),
    [
        # The five-point velocity of ivt takes two samples at each edge. idt adds what of a saccade lies within 1
        # degree, and where that uses up the degree, noise splits the fixation; so its recording has none.
        ("ivt", 1000, 4.0, 0.0, "velocity_threshold=20, minimum_duration=100"),
        ("ivt", 250, 16.0, 0.0, "velocity_threshold=20, minimum_duration=100"),
        ("idt", 1000, 1.0, 48.0, "dispersion_threshold=1, minimum_duration=100"),
    ],
)
def test_fixations_are_detected_where_the_file_has_none(
    study: Path, asc: Callable[..., Any], method: str, rate: int, short: float, long: float, note: str, tmp_path: Path
) -> None:
    fixations, truth = reading(study, 1000 // rate, 2, shortest=140)
    noise = 0.2 if method == "ivt" else 0.0
    source = asc(rate, events=False, noise=noise)(tmp_path / "in" / "anna.asc", fixations)
    with pytest.raises(InputError, match=r"anna.asc: has no fixations; accepted: events of fixations, or samples and"):
        run(source, study / "words", tmp_path / "gaze.parquet")
    report = run(source, study / "words", tmp_path / "gaze.parquet", detect=method, viewing=VIEWING)
    assert note in report.notes[0] and "screen 38x30.2 cm at 68 cm" in report.notes[0]
    for text, expected in truth.items():
        (gaze,) = RecordedPredictor(tmp_path / "gaze.parquet", "anna").predict([text])
        assert gaze.values[:, [0, 4]].tolist() == expected[:, [0, 4]].tolist()
        assert (gaze.values[:, 1] <= expected[:, 1] + long).all()
        assert (gaze.values[:, 1] >= expected[:, 1] - short).all()
        for column in (2, 3):  # sums over fixations; those of a go-past time are at most all of the text
            count = expected[:, 0] if column == 3 else expected[:, 0].sum()
            assert (gaze.values[:, column] <= expected[:, column] + long * count).all()
            assert (gaze.values[:, column] >= expected[:, column] - short * count).all()


def test_a_threshold_changes_what_is_detected(study: Path, asc: Callable[..., Any], tmp_path: Path) -> None:
    fixations, _ = reading(study, 1, 2, shortest=140)
    source = asc(events=False)(tmp_path / "anna.asc", fixations)
    counts = [
        run(source, study / "words", tmp_path / "g.parquet", detect="ivt", viewing=VIEWING, **more).fixations
        for more in ({}, {"min_duration": 300}, {"threshold": 60.0})
    ]
    assert counts[1] < counts[0] and counts[2] <= counts[0]


def test_the_right_eye_of_a_binocular_recording_counts_once(
    study: Path, asc: Callable[..., Any], tmp_path: Path
) -> None:
    fixations, truth = reading(study, 1, 3)
    asc(eyes="LR")(tmp_path / "in" / "both.asc", fixations)
    run(tmp_path / "in", study / "words", tmp_path / "gaze.parquet")
    (gaze,) = RecordedPredictor(tmp_path / "gaze.parquet", "both").predict([LONG])
    assert gaze.values == pytest.approx(truth[LONG], abs=1e-3)


def test_a_folder_names_the_reader_and_words_lie_in_the_source(
    study: Path, asc: Callable[..., Any], tmp_path: Path
) -> None:
    fixations, _ = reading(study, 4, 4)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "words").symlink_to(study / "words")
    asc(250)(tmp_path / "in" / "carla" / "data.asc", fixations)
    settings = replace(SETTINGS, screen=(1280, 1024))
    import_recordings(tmp_path / "in", TEXTS, tmp_path / "gaze.parquet", settings)
    assert set(pq.read_table(tmp_path / "gaze.parquet")["reader"].to_pylist()) == {"carla"}


def test_other_messages_may_name_the_screens_and_what_lies_between_trials_is_told(
    study: Path, asc: Callable[..., Any], tmp_path: Path
) -> None:
    fixations, truth = reading(study, 4, 5)
    fixations = [(None, 30.0, 30.0, 0.2), *fixations, (None, 40.0, 40.0, 0.2), (None, 90.0, 40.0, 0.2)]
    shown = [(name and f"screens/{name}.png", *rest) for name, *rest in fixations]
    path = asc(250, message="!V IMGLOAD FILL ")(tmp_path / "dora.asc", shown)
    with pytest.raises(InputError, match=r"dora.asc: has no trial; accepted: messages 'TRIALID \(\?P<trial>"):
        run(path, study / "words", tmp_path / "gaze.parquet")
    report = run(path, study / "words", tmp_path / "gaze.parquet", trial_message=r"!V IMGLOAD FILL (?P<trial>\S+)")
    assert [(each.what, each.reason, each.count) for each in report.dropped] == [
        ("fixations", "outside of the trials", 3)
    ]
    (gaze,) = RecordedPredictor(tmp_path / "gaze.parquet", "dora").predict([LONG])
    assert gaze.values == pytest.approx(truth[LONG], abs=1e-3)


def test_a_fixation_whose_samples_are_lost_is_left_out(study: Path, asc: Callable[..., Any], tmp_path: Path) -> None:
    fixations, _ = reading(study, 4, 6)
    path = asc(250)(tmp_path / "in" / "emil.asc", fixations)
    whole = run(path, study / "words", tmp_path / "gaze.parquet")
    lines = path.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("SFIX"))
    last = next(n for n, line in enumerate(lines) if line.startswith("EFIX"))
    for n in range(first + 1, last):
        lines[n] = f"{lines[n].split()[0]}\t   .\t   .\t    0.0\t..."
    path.write_text("\n".join(lines) + "\n")
    report = run(path, study / "words", tmp_path / "gaze.parquet")
    assert [(each.reason, each.count) for each in report.dropped] == [("without samples", 1)]
    assert report.fixations == whole.fixations - 1


@pytest.mark.parametrize(
    ("options", "screen", "pymovements", "expected"),
    [
        ({"samples": False}, None, {}, "has no samples; accepted: samples and events, as edf2asc writes"),
        (
            {"resolution": False},
            None,
            {},
            "has no size of the screen (GAZE_COORDS, or the definition's experiment); accepted: --screen WIDTHxHEIGHT",
        ),
        ({}, (1920, 1080), {}, "the screen has 1280x1024 pixels, but --screen says 1920x1080"),
        (
            {},
            None,
            {"detect": "ivt"},
            "degrees of visual angle need the size of the screen in cm and its distance; "
            "accepted: --viewing WIDTHxHEIGHT@DISTANCE",
        ),
        (
            {},
            None,
            {"detect": "idt", "viewing": VIEWING, "min_duration": 101},
            "pymovements cannot read it (ValueError: minimum_duration must be divisible by the constant interval",
        ),
        ({}, None, {"detect": "ivt", "viewing": VIEWING, "min_duration": 5000}, "ivt finds no fixations"),
    ],
)
def test_an_eyelink_file_that_cannot_be_used_is_one_line_that_names_it(
    study: Path,
    asc: Callable[..., Any],
    options: dict[str, Any],
    screen: tuple[int, int] | None,
    pymovements: dict[str, Any],
    expected: str,
    tmp_path: Path,
) -> None:
    path = asc(250, **options)(tmp_path / "in" / "finn.asc", reading(study, 4, 7)[0])
    settings = replace(SETTINGS, screen=screen, words=study / "words", pymovements=PymovementsSettings(**pymovements))
    with pytest.raises(InputError) as caught:
        import_recordings(path, TEXTS, tmp_path / "gaze.parquet", settings)
    assert str(caught.value).startswith(f"{path}: {expected}") and "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_a_text_that_is_no_recording_of_eyelink_is_refused(
    study: Path, asc: Callable[..., Any], tmp_path: Path
) -> None:
    for content in ("", "hello\n", "1 2 3\n"):
        (tmp_path / "notes.asc").write_text(content)
        with pytest.raises(InputError, match=r"notes.asc: (has no samples|pymovements cannot read it)"):
            run(tmp_path / "notes.asc", study / "words", tmp_path / "gaze.parquet")


def test_without_gaze_coords_the_size_that_the_user_gives_is_used(
    study: Path, asc: Callable[..., Any], tmp_path: Path
) -> None:
    fixations, truth = reading(study, 4, 8)
    path = asc(250, resolution=False)(tmp_path / "gina.asc", fixations)
    import_recordings(
        path, TEXTS, tmp_path / "g.parquet", replace(SETTINGS, screen=(1280, 1024), words=study / "words")
    )
    (gaze,) = RecordedPredictor(tmp_path / "g.parquet", "gina").predict([LONG])
    assert gaze.values == pytest.approx(truth[LONG], abs=1e-3)


def test_an_unknown_trial_is_refused_or_left_out(study: Path, asc: Callable[..., Any], tmp_path: Path) -> None:
    fixations, _ = reading(study, 4, 9)
    path = asc(250)(tmp_path / "hugo.asc", [("practice", 10.0, 10.0, 0.2), *fixations])
    with pytest.raises(InputError) as caught:
        run(path, study / "words", tmp_path / "g.parquet")
    assert str(caught.value).startswith(
        f"{path}: trial: 'practice' has no word boxes in {study / 'words'}; accepted: the name of one of its "
    )
    settings = replace(SETTINGS, words=study / "words", skip_unmatched=True)
    report = import_recordings(path, TEXTS, tmp_path / "g.parquet", settings)
    assert [(each.reason, each.count) for each in report.dropped] == [("on a screen without word boxes", 1)]


def test_boxes_that_are_missing_or_off_the_screen_are_named(
    study: Path, asc: Callable[..., Any], tmp_path: Path
) -> None:
    path = asc(250, screen=(800, 600))(tmp_path / "in" / "ida.asc", reading(study, 4, 10)[0])
    with pytest.raises(
        InputError, match=r"1.1_p1.csv row 7: x1,y1,x2,y2: .* leaves the screen; accepted: within 800x600"
    ):
        run(path, study / "words", tmp_path / "g.parquet")
    with pytest.raises(InputError, match=r"ida.asc: no word boxes in .*in/words; accepted: TRIAL.csv there with text"):
        import_recordings(path, TEXTS, tmp_path / "g.parquet", SETTINGS)


def test_without_the_extra_the_error_says_how_to_install_it(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymovements", None)  # makes the import statement fail
    (tmp_path / "jan.asc").write_text("")
    with pytest.raises(InputError, match=r"pip install 'gazetune\[eyetracking\]'"):
        run(tmp_path / "jan.asc", study / "words", tmp_path / "g.parquet")
