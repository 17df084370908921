"""From folders of recordings to the Parquet file, and what the predictor `recorded` makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.eyetracking.assign_words import TrialLimits
from gazetune.eyetracking.import_recordings import import_recordings
from gazetune.eyetracking.import_settings import ImportReport, ImportSettings
from gazetune.eyetracking.pymovements.settings import PymovementsSettings
from gazetune.gaze.predictors.recorded import RecordedPredictor

TEXT = "Alpha beta\n\ngamma self-made."
OTHER = "Quite another text."
LIMITS = TrialLimits(min_fixations=2, min_assigned=0.5)
BOXES = [(100, 100, 180, 120), (200, 100, 280, 120), (100, 200, 180, 220), (200, 200, 280, 220)]


def add_reader(
    folder: Path,
    path: list[tuple[int, float]],
    words: tuple[str, ...] = tuple(TEXT.split()),
    shift: float = 0.0,
    trial: str = "7.2",
) -> Path:
    """Write the files of one reader, whose fixations (word, seconds) lie in the middles of the boxes plus `shift`."""
    folder.mkdir(parents=True, exist_ok=True)
    boxes = [BOXES[min(number, 3)] for number in range(len(words))]
    lines = [";number;text;x1;y1;x2;y2;fixations;fix_duration;first_fix_duration;fix_number"]
    for number, (word, box) in enumerate(zip(words, boxes, strict=True)):
        ids = [place for place, (each, _) in enumerate(path) if each == number]
        total, first = sum(path[place][1] for place in ids), path[ids[0]][1] if ids else 0.0
        lines.append(f"{number};{number};{word};{';'.join(map(str, box))};{ids};{total};{first};{len(ids)}")
    (folder / f"word_cor_image_fixations_{trial}.csv").write_text("\n".join(lines) + "\n")
    lines = [";ID;x;y;duration;word;word_number"]
    for place, (number, seconds) in enumerate(path):
        x1, y1, x2, y2 = boxes[number] if number >= 0 else (900, 900, 910, 910)
        name = f"{words[number]};{number}.0" if number >= 0 else ";"
        lines.append(f"{place};{place};{(x1 + x2) / 2};{(y1 + y2) / 2 + shift};{seconds};{name}")
    (folder / f"fixations_assigned_{trial}.csv").write_text("\n".join(lines) + "\n")
    return folder


def run(source: Path, texts: tuple[str, ...] = (OTHER, TEXT), **settings: object) -> ImportReport:
    chosen = ImportSettings(**{"limits": LIMITS, "units": "ms", **settings})  # type: ignore[arg-type]
    return import_recordings(source, texts, source.parent / "out.parquet", chosen)


def rows(source: Path) -> dict[str, list[object]]:
    return pq.read_table(source.parent / "out.parquet").to_pydict()


def test_several_readers_are_averaged_with_zeros_for_what_they_skipped(tmp_path: Path) -> None:
    source = tmp_path / "in"
    add_reader(source / "participant_1", [(0, 0.1), (1, 0.2), (0, 0.05), (3, 0.4)])
    add_reader(source / "participant_2", [(0, 0.3), (2, 0.1), (3, 0.2)])
    report = run(source)
    assert (report.texts, report.readers, report.recordings, report.rows, report.fixations) == (1, 2, 2, 8, 7)
    (gaze,) = RecordedPredictor(tmp_path / "out.parquet").predict([TEXT])
    assert [TEXT[a:b] for a, b in gaze.spans.tolist()] == TEXT.split()
    assert gaze.values == pytest.approx(
        np.array(
            [
                [1.5, (100 + 300) / 2, (100 + 300) / 2, (150 + 300) / 2, 100],
                [0.5, 200 / 2, (200 + 50) / 2, 200 / 2, 50],
                [0.5, 100 / 2, 100 / 2, 100 / 2, 50],
                [1.0, 300, 300, 300, 100],
            ]
        )
    )
    (one,) = RecordedPredictor(tmp_path / "out.parquet", "participant_2").predict([TEXT])
    assert one.values[1] == pytest.approx(np.zeros(5))


def test_the_default_units_are_those_of_the_shared_task(tmp_path: Path) -> None:
    source = add_reader(tmp_path / "in", [(0, 0.0485), (1, 0.097)])
    run(source, units="cmcl")
    assert rows(source)["TRT"][:2] == pytest.approx([1.0, 2.0])
    assert rows(source)["nFix"][:2] == pytest.approx([13.793, 13.793], abs=1e-3)
    assert pq.read_schema(tmp_path / "out.parquet").metadata[b"units"] == b"cmcl"


def test_readers_whose_boxes_divide_the_text_otherwise_share_units(tmp_path: Path) -> None:
    source = tmp_path / "in"
    add_reader(
        source / "participant_1", [(0, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)], ("Alpha", "beta", "gamma", "self-", "made.")
    )
    add_reader(source / "participant_2", [(0, 0.3), (1, 0.1)], ("Alphabeta", "gamma", "self-made."))
    run(source)
    table = rows(source)
    assert table["word"] == ["Alpha beta", "gamma", "self-made."] * 2
    assert table["nFix"] == [1, 1, 2, 1, 1, 0]
    assert table["TRT"] == pytest.approx([100, 200, 700, 300, 100, 0])


def test_fixations_are_assigned_anew_when_asked_and_a_shift_is_taken_out(tmp_path: Path) -> None:
    path = [(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4), (2, 0.1)]
    source = add_reader(tmp_path / "in", path, shift=40.0)
    run(source)
    expected = rows(source)
    run(source, assign="corrected", max_distance=5.0)
    assert rows(source) == expected
    with pytest.raises(InputError, match="0% of its fixations lie on a word, less than 50%"):
        run(source, assign="nearest", max_distance=5.0)


def test_every_drop_has_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "in"
    add_reader(source / "participant_1", [(0, 0.1), (1, 0.2), (-1, 0.3), (3, 0.4)])
    add_reader(source / "participant_2", [(0, 0.1)])
    add_reader(source / "participant_3", [(0, 0.1), (-1, 0.1), (-1, 0.1)])
    add_reader(source / "participant_4", [(0, 0.1), (1, 0.1)], shift=-200.0)
    add_reader(source / "participant_1" / "session_2", [(0, 0.1), (1, 0.2)])
    add_reader(source / "participant_5" / "vertices", [(0, 0.1), (1, 0.2)])
    (source / "participant_5" / "info.csv").write_text(";trial;discarted\n0;7.2;True\n")
    (source / "set_1").mkdir()
    (source / "set_1" / "word_cor_image_fixations_7.2.csv").write_text(
        "number;fix_duration;first_fix_duration;fix_number;text\n"
        + "".join(f"{number};0.1;0.1;0.5;{word}\n" for number, word in enumerate(TEXT.split()))
    )
    report = run(source, repeats="first")
    found = {
        (Path(each.source.split(" (")[0]).parent.relative_to(source).as_posix(), each.what, each.reason, each.count)
        for each in report.dropped
    }
    assert {(place, what, reason.split(" (")[0], count) for place, what, reason, count in found} == {
        ("participant_1", "fixations", "on no word", 1),
        ("participant_2", "recording", "1 fixations on the screen, fewer than 2", 1),
        ("participant_3", "fixations", "on no word", 2),
        ("participant_3", "recording", "33% of its fixations lie on a word, less than 50%", 1),
        ("participant_4", "fixations", "off the screen", 2),
        ("participant_4", "recording", "0 fixations on the screen, fewer than 2", 1),
        ("participant_1/session_2", "recording", "reader participant_1 read this text before", 1),
        ("participant_5/vertices", "recording", "discarded by the experimenters", 1),
        ("set_1", "recording", "averages over readers of a text that has recordings of single readers", 1),
    }
    written = json.loads((tmp_path / "out.parquet.report.json").read_text())
    assert written == report.to_json() and written["recordings"] == 1


@pytest.mark.parametrize(("first_box", "merged"), [("0;0;0", (2, 300, 400)), ("0.2;0.15;1", (3, 150, 600))])
def test_a_text_with_averages_alone_gets_them_and_a_note(
    first_box: str, merged: tuple[float, float, float], tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "word_cor_image_fixations_7.2.csv").write_text(
        "number;fix_duration;first_fix_duration;fix_number;text\n"
        f"0;0.3;0.1;1.5;Alpha\n1;0;0;0;beta\n2;0.2;0.2;1;gamma\n3;{first_box};self-\n4;0.4;0.3;2;made.\n"
    )
    report = run(source)
    assert "averages over readers have no GPT and no fixProp; both are 0" in report.notes[0]
    table = rows(source)
    assert table["nFix"] == [1.5, 0, 1, merged[0]]
    assert table["FFD"] == pytest.approx([100, 0, 200, merged[1]])
    assert table["TRT"] == pytest.approx([300, 0, 200, merged[2]])
    assert table["GPT"] == table["fixProp"] == [0, 0, 0, 0]


def test_gazepoint_exports_with_word_boxes_are_measured(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "words").mkdir(parents=True)
    lines = [f"{word};{';'.join(map(str, box))}" for word, box in zip(TEXT.split(), BOXES, strict=True)]
    (source / "words" / "7.2.csv").write_text("text;x1;y1;x2;y2\n" + "\n".join(lines) + "\n")
    header = "MEDIA_NAME,TIME(2031/01/01 10:00:00.000),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV,\n"
    path = [(0, 0.2), (1, 0.3), (0, 0.1), (3, 0.25), (2, 0.15)]
    fixations = []
    for number, (word, seconds) in enumerate(path):
        x1, y1, x2, y2 = BOXES[word]
        fixations.append(f"7.2,{number},{(x1 + x2) / 2000},{(y1 + y2) / 2000 + 0.03},{number},{seconds},{number},1,\n")
    for reader in ("r1", "r2"):
        (source / reader).mkdir()
        (source / reader / "User 0_fixations.csv").write_text(header + "".join(fixations))
    (source / "r1" / "User 0_all_gaze.csv").write_text(header + fixations[0])
    report = run(source, screen=(1000, 1000))
    assert [(each.what, each.reason) for each in report.dropped] == [
        ("file", "the same recording has a file of fixations")
    ]
    table = rows(source)
    assert table["reader"] == ["r1"] * 4 + ["r2"] * 4
    assert table["nFix"] == [2, 1, 1, 1] * 2
    assert table["TRT"][:4] == pytest.approx([300, 300, 150, 250])
    assert table["GPT"][:4] == pytest.approx([200, 400, 150, 400])


def test_gazepoint_exports_without_word_boxes_are_told(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "User 0_fixations.csv").write_text("TIME(a),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV\n")
    with pytest.raises(InputError, match=r"no recording can be used; the first: .*fixations.csv: no word boxes in "):
        run(source)


def test_words_that_are_no_text_are_refused_or_dropped_and_nothing_is_half_written(tmp_path: Path) -> None:
    source = tmp_path / "in"
    add_reader(source / "participant_1", [(0, 0.1), (1, 0.2)])
    add_reader(source / "participant_2", [(0, 0.1), (1, 0.2)], ("Alpha", "beta", "delta", "self-made."))
    with pytest.raises(InputError) as caught:
        run(source)
    assert str(caught.value) == (
        f"{source}/participant_2/word_cor_image_fixations_7.2.csv row 3: word 2 is 'delta', but the nearest text has "
        "'gamma self-made.' at character 12"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    report = run(source, skip_unmatched=True)
    assert report.recordings == 1 and "word 2 is 'delta'" in report.dropped[0].reason


def test_a_failed_import_leaves_the_file_of_before(tmp_path: Path) -> None:
    source = add_reader(tmp_path / "in", [(0, 0.1), (1, 0.2)])
    run(source)
    before = (tmp_path / "out.parquet").read_bytes(), (tmp_path / "out.parquet.report.json").read_bytes()
    broken = source / "fixations_assigned_7.2.csv"
    broken.write_text(broken.read_text().replace(";0.2;", ";-0.2;"))
    with pytest.raises(InputError, match=r"row 2: duration: '-0.2'"):
        run(source)
    assert ((tmp_path / "out.parquet").read_bytes(), (tmp_path / "out.parquet.report.json").read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.parquet", "out.parquet.report.json"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    source = add_reader(tmp_path / "in", [(0, 0.1), (1, 0.2)])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"out\.parquet: cannot be written \(File exists\)"):
        import_recordings(source, [TEXT], tmp_path / "file" / "out.parquet", ImportSettings(limits=LIMITS))
    with pytest.raises(InputError, match=r"o{250}\.parquet: cannot be written \(File name too long\)"):
        import_recordings(source, [TEXT], tmp_path / ("o" * 250 + ".parquet"), ImportSettings(limits=LIMITS))
    with pytest.raises(InputError, match=r"cannot be written \(Is a directory\)"):
        import_recordings(source, [TEXT], tmp_path / "in", ImportSettings(limits=LIMITS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in"]


def test_a_source_without_recordings_says_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"has no recordings; accepted: word_cor_image_fixations_\*.csv"):
        run(tmp_path)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "1.1.csv").write_text("text,x1,y1,x2,y2\nOne,1,1,2,2\n")
    for content, said in (
        (b"", "is empty"),
        ("FPOGX,FPOGY\n".encode("utf-16"), "is not UTF-8"),
        ("FPOGX,FPOGY\n".encode("utf-16-le"), "is not UTF-8"),
    ):
        (tmp_path / "Ann_fixations.csv").write_bytes(content)
        with pytest.raises(InputError, match=rf"Ann_fixations\.csv.*: {said}"):
            run(tmp_path)
    (tmp_path / "Ann_fixations.csv").unlink()
    with pytest.raises(InputError, match=r"has no \*.asc of EyeLink; accepted: --detect, --columns and the"):
        run(tmp_path, pymovements=PymovementsSettings(detect="ivt"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_distance": -1.0}, "max_distance: -1.0; accepted: 0 to 20000 pixels"),
        ({"max_distance": float("inf")}, "max_distance: inf; accepted: 0 to 20000 pixels"),
        ({"screen": (800, 20001)}, "screen: 800x20001; accepted: at most 20000 pixels each way"),
        ({"limits": TrialLimits(min_fixations=0)}, "min_fixations: 0; accepted: 1 or more"),
        ({"limits": TrialLimits(min_assigned=1.5)}, "min_assigned: 1.5; accepted: a share from 0 to 1"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        ImportSettings(**settings)  # type: ignore[arg-type]
    assert str(caught.value) == expected
