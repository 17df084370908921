"""Pages for an experiment, and the round trip: pages, a made-up recording of known truth, its import."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gazetune.errors import InputError
from gazetune.eyetracking.align_text import fold_text
from gazetune.eyetracking.import_recordings import import_recordings
from gazetune.eyetracking.import_settings import ImportSettings
from gazetune.eyetracking.reading_measures import measure_words
from gazetune.eyetracking.stimuli import StimuliSettings, render_stimuli
from gazetune.gaze.predictors.recorded import RecordedPredictor

LONG = "Intro with caf\u00e9.\n\n- \u201cone\u201d \u2013 two\n" + "some more words to fill the page " * 30
PAIRS = [
    {"1.0": "What is it?", "1.1": LONG, "1.2": "Nothing\tat   all"},
    {"2.0": "And now?", "2.1": "Some other thing.", "2.2": "Yet an answer " + "w" * 200},
]
SETTINGS = StimuliSettings(screen=(1000, 800), readers=3, seed=5)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=";"))


def words_of(out: Path, trial: str) -> list[dict[str, str]]:
    """Return the boxes of all pages of a trial with the name of their screen."""
    paths = sorted((out / "words").glob(f"{trial}_p*.csv"))
    return [{**row, "screen": path.stem} for path in paths for row in table(path)]


def test_every_word_is_drawn_where_its_box_says_and_nothing_else_is(tmp_path: Path) -> None:
    report = render_stimuli(PAIRS, tmp_path / "out", SETTINGS)
    assert (report.pairs, report.texts, report.readers) == (2, 6, 3)
    images = sorted((tmp_path / "out" / "screens").glob("*.png"))
    assert len(images) == report.pages > 6
    for path in images:
        with Image.open(path) as image:
            pixels = np.array(image)
        assert pixels.shape == (800, 1000)
        for row in table(tmp_path / "out" / "words" / f"{path.stem}.csv"):
            x1, y1, x2, y2 = (int(row[name]) for name in ("x1", "y1", "x2", "y2"))
            assert 80 <= x1 < x2 <= 921 and 80 <= y1 < y2 <= 720
            assert (pixels[y1:y2, x1:x2] < 128).any(), row
            pixels[y1:y2, x1:x2] = 255
        assert (pixels == 255).all()


def test_the_boxes_hold_the_whole_text_in_its_order(tmp_path: Path) -> None:
    render_stimuli(PAIRS, tmp_path / "out", SETTINGS)
    for pair in PAIRS:
        for trial, text in pair.items():
            assert fold_text("".join(row["text"] for row in words_of(tmp_path / "out", trial))) == fold_text(text)


def test_each_reader_has_an_own_order_with_prompts_first_that_the_seed_fixes(tmp_path: Path) -> None:
    pairs = [{f"{n}.0": "Why?", f"{n}.1": "So.", f"{n}.2": "No."} for n in range(1, 9)]
    render_stimuli(pairs, tmp_path / "a", SETTINGS)
    render_stimuli(pairs, tmp_path / "b", SETTINGS)
    render_stimuli(pairs, tmp_path / "c", StimuliSettings(screen=(1000, 800), readers=3, seed=6))
    assert (tmp_path / "a" / "order.csv").read_text() == (tmp_path / "b" / "order.csv").read_text()
    assert (tmp_path / "a" / "order.csv").read_text() != (tmp_path / "c" / "order.csv").read_text()
    orders = [
        [row["trial"] for row in table(tmp_path / "a" / "order.csv") if row["reader"] == reader] for reader in "123"
    ]
    assert orders[0] != orders[1] != orders[2]
    for order in orders:
        assert sorted(order) == sorted(trial for pair in pairs for trial in pair)
        assert all(
            trial.endswith(".0") and {order[3 * n + 1][:-1], order[3 * n + 2][:-1]} == {trial[:-1]}
            for n, trial in enumerate(order[::3])
        )
    firsts = {order[3 * n + 1][-1] for order in orders for n in range(8)}
    assert firsts == {"1", "2"}


def test_the_pages_of_a_text_follow_each_other(tmp_path: Path) -> None:
    render_stimuli(PAIRS, tmp_path / "out", SETTINGS)
    rows = [row for row in table(tmp_path / "out" / "order.csv") if row["reader"] == "1"]
    assert [int(row["position"]) for row in rows] == list(range(1, len(rows) + 1))
    pages = [(int(row["position"]), int(row["page"])) for row in rows if row["trial"] == "1.1"]
    assert len(pages) > 1 and [page - pages[0][1] for _, page in pages] == [at - pages[0][0] for at, _ in pages]
    assert all((tmp_path / "out" / row["image"]).is_file() for row in rows)


def test_stimuli_recording_import_gives_the_known_truth(tmp_path: Path) -> None:
    out = tmp_path / "out"
    render_stimuli(PAIRS, out, SETTINGS)
    rng = np.random.default_rng(3)
    truth: dict[str, list[np.ndarray]] = {}
    for reader in ("r1", "r2"):
        lines = ["MEDIA_NAME,TIME(2031/01/01 10:00:00.000),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV"]
        shift = float(rng.uniform(-25, 25))  # the tracker of this reader is off by less than half a line
        for row in [row for row in table(out / "order.csv") if row["reader"] == reader[1]]:
            trial = row["trial"]
            boxes = words_of(out, trial)
            text = next(pair[trial] for pair in PAIRS if trial in pair)
            unit = np.repeat(np.arange(len(text.split())), [len(fold_text(word)) for word in text.split()])
            offsets = np.cumsum([0, *(len(fold_text(box["text"])) for box in boxes)])
            here = [n for n, box in enumerate(boxes) if box["screen"] == f"{trial}_p{row['page']}"]
            # Forward with skips, refixations and regressions within the page.
            path = [here[min(max(n + int(rng.integers(-2, 2)), 0), len(here) - 1)] for n in range(len(here))]
            durations = rng.integers(80, 400, len(path)) / 1000
            for word, seconds in zip(path, durations, strict=True):
                x1, y1, x2, y2 = (float(boxes[word][name]) for name in ("x1", "y1", "x2", "y2"))
                x, y = rng.uniform(x1 + 1, x2 - 1) / 1000, ((y1 + y2) / 2 + shift) / 800
                number = len(lines)
                lines.append(f"{boxes[word]['screen']}.png,{number},{x},{y},{number / 2},{seconds},{number},1")
            truth.setdefault(f"{reader} {trial}", []).append(np.stack([unit[offsets[path]], durations]))
        (out / reader).mkdir()
        (out / reader / "User 0_fixations.csv").write_text("\n".join(lines) + "\n")
    texts = [text for pair in PAIRS for text in pair.values()]
    settings = ImportSettings(screen=(1000, 800), units="ms", max_distance=20.0)
    report = import_recordings(out, texts, tmp_path / "gaze.parquet", settings)
    dropped = {each.source for each in report.dropped if each.what == "recording"}
    assert not [each for each in report.dropped if each.what == "fixations"]
    for pair in PAIRS:
        for trial, text in pair.items():
            for reader in ("r1", "r2"):
                word, seconds = np.concatenate(truth[f"{reader} {trial}"], axis=1)
                if len(word) < 5:
                    assert dropped  # too few fixations for the gate
                    continue
                expected = measure_words(word.astype(np.int64), seconds, len(text.split()))
                (gaze,) = RecordedPredictor(tmp_path / "gaze.parquet", reader).predict([text])
                assert gaze.values == pytest.approx(expected, rel=1e-6), (reader, trial)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" \n", "trial 1.1: the text has no words"), ("a \u4f60", "trial 1.1: the font lacks '\u4f60' (U+4F60)")],
)
def test_a_text_that_cannot_be_shown_is_refused_and_nothing_is_written(
    text: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        render_stimuli([{"1.0": "Why?", "1.1": text}], tmp_path / "out", SETTINGS)
    assert str(caught.value).startswith(expected)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    render_stimuli(PAIRS[:1], tmp_path / "out", SETTINGS)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="out: is there already"):
        render_stimuli(PAIRS[1:], tmp_path / "out", SETTINGS)
    with pytest.raises(InputError, match="there is no text to render"):
        render_stimuli([], tmp_path / "new", SETTINGS)
    assert sorted(tmp_path.rglob("*")) == before


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="font_size: 300; accepted"):
        StimuliSettings(font_size=300)
    for seed in (-1, 2**63):
        with pytest.raises(InputError, match=rf"seed: {seed}; accepted: 0 to 9223372036854775807"):
            StimuliSettings(seed=seed)
    with pytest.raises(InputError, match="readers: 0; accepted: 1 or more"):
        StimuliSettings(readers=0)
    with pytest.raises(InputError, match=r"font: '.*none.ttf' cannot be read"):
        render_stimuli(PAIRS, tmp_path / "out", StimuliSettings(font=tmp_path / "none.ttf"))
