"""A folder of the study IFLLM to pairs and recorded gaze: made-up sessions whose truth is known, and the real ones."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gazetune.cli.main import main
from gazetune.config import Config, DataConfig
from gazetune.errors import InputError
from gazetune.eyetracking.ifllm.find_samples import ShownReplies
from gazetune.eyetracking.ifllm.import_ifllm import QualityGates, import_ifllm
from gazetune.gaze.predictors.recorded import RecordedPredictor
from gazetune.gaze.words import text_key
from gazetune.preferences.splits import load_splits

HEAD = [
    *("query_ID", "user_id", "task_id", "user_query", "llm_response_1", "llm_response_2", "llm_name_1", "llm_name_2"),
    *("likert_1", "likert_2", "preference", "adjustment", "query_timestamp"),
]
LEFT, RIGHT = "It&#039;s blue because of the air.", "No idea, sorry about that."
SHOWN_LEFT = "It's blue because of the air."


def question(number: int, reader: str = "anna", task: str = "7", preference: str = "1.0", **texts: str) -> list[str]:
    row = dict.fromkeys(HEAD, "")
    row |= {"query_ID": str(number), "user_id": reader, "task_id": task, "user_query": f"Why {number}?"}
    row |= {"llm_response_1": LEFT, "llm_response_2": RIGHT, "preference": preference, **texts}
    return [row[name] for name in HEAD]


def looking_at(reply: str, *characters: int | None, start: float = 1000.0, step: float = 100.0) -> list[str]:
    """The rows of a trace, one every 100 ms; None: the gaze is not on the reply."""
    rows = []
    for number, at in enumerate(characters):
        time = start + step * number
        if at is None:
            rows.append(f"-1,-1,,,{time},1,1765701338576")
        else:
            rows.append(f'10.5,20.25,"{reply[max(0, at - 10) : at + 10]}",{at},{time},1,1765701338576')
    return rows


def write_study(
    folder: Path, questions: list[list[str]], traces: dict[tuple[str, str], tuple[list[str], list[str]]]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "query_logs_table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *questions])
    for (reader, task), sides in traces.items():
        session = folder / "user_behavior" / reader / task
        session.mkdir(parents=True)
        for name, rows in zip(("one", "two"), sides, strict=True):
            (session / f"rel_gaze_{name}.csv").write_text("".join(f"{row}\n" for row in rows))
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """One reader and one question: `blue` twice with a look elsewhere between, `because` and `blue` again."""
    left = looking_at(SHOWN_LEFT, 5, 6, None, 6, 12, 6, None)
    right = looking_at(RIGHT, None, None, None, None, None, None, 3)
    return write_study(tmp_path / "study", [question(1)], {("anna", "7"): (left, right)})


def test_visits_become_measures_of_the_words(study: Path, tmp_path: Path) -> None:
    report = import_ifllm(study, tmp_path / "out", units="ms")
    assert (report.pairs, report.readers, report.both_seen, report.samples) == (1, 1, 1.0, 6)
    (gaze,) = RecordedPredictor(tmp_path / "out" / "gaze.parquet").predict([SHOWN_LEFT])
    blue, because = gaze.values[1].tolist(), gaze.values[2].tolist()
    assert blue == [3, 200, 300, 400, 100]  # visits, first visit, until a later word, all, looked at
    assert because == [1, 100, 200, 100, 100]
    assert not gaze.values[[0, 3, 4, 5]].any()


def test_pairs_say_who_read_them_and_where_the_chosen_reply_stood(study: Path, tmp_path: Path) -> None:
    import_ifllm(study, tmp_path / "out")
    (row,) = map(json.loads, (tmp_path / "out" / "pairs.jsonl").read_text().splitlines())
    assert (row["prompt"], row["chosen"], row["rejected"]) == ("Why 1?", SHOWN_LEFT, RIGHT)
    assert (row["reader"], row["question"], row["task"], row["chosen_side"]) == ("anna", "1", "7", "left")
    assert (row["samples_chosen"], row["samples_rejected"]) == (5, 1)


def test_units_are_those_of_the_shared_task_and_the_file_says_what_is_coarse(study: Path, tmp_path: Path) -> None:
    import_ifllm(study, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "gaze.parquet")
    assert max(table["TRT"].to_pylist()) == pytest.approx(400 / 48.5)
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (metadata["units"], metadata["sampling"], metadata["coarse"]) == ("cmcl", "webcam", "nFix,FFD,GPT")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["coarse"] == ["nFix", "FFD", "GPT"] and report["interval_ms"] == [100, 100, 100]
    assert "nFix, FFD, GPT need a finer rate" in report["notes"][-1]


def test_a_row_is_told_to_its_question_by_text_and_index(tmp_path: Path) -> None:
    """Both questions have a left reply that begins alike: the text before tells whose the beginning is."""
    first, second = "The sky above us is blue today.", "The sky above us is not blue."
    questions = [question(1, llm_response_1=first), question(2, llm_response_1=second, preference="2.0")]
    left = looking_at(first, 24, 4) + looking_at(second, 24, 4, start=5000)
    study = write_study(tmp_path / "study", questions, {("anna", "7"): (left, looking_at(RIGHT, 3, 3))})
    import_ifllm(study, tmp_path / "out", units="ms")
    both = RecordedPredictor(tmp_path / "out" / "gaze.parquet").predict([first, second])
    assert [gaze.values[1, 0] for gaze in both] == [1, 1]  # `sky` once in each
    rows = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").read_text().splitlines()]
    assert [(row["chosen"], row["rejected"]) for row in rows] == [(first, RIGHT), (RIGHT, second)]
    assert [row["chosen_side"] for row in rows] == ["left", "right"]


def test_a_window_that_counts_from_its_own_paragraph_is_found_by_its_text() -> None:
    shown = ShownReplies(["One two three.\nFour five six seven.", "Another reply that is longer."])
    assert shown.find_characters("Four five six", 5) == {0: 20}
    assert shown.find_characters("ive", 6) == {}  # too short to be found without its index
    assert shown.find_characters("please wait", 4) == {}


def test_characters_beyond_the_first_plane_count_twice_in_a_browser() -> None:
    reply = "\U0001f600 \U0001f600 and then a word"
    at = reply.index("word")
    assert ShownReplies([reply]).find_characters("word", at + 2) == {0: at}


def test_quotation_marks_in_a_window_and_rows_without_a_flag_are_read(tmp_path: Path) -> None:
    reply = 'He said "no" and left, at once.'
    left = looking_at(reply, 9, 9)
    left = [row.replace(",1,1765701338576", ",1765701338576") for row in left]
    study = write_study(
        tmp_path / "study", [question(1, llm_response_1=reply)], {("anna", "7"): (left, looking_at(RIGHT, 3))}
    )
    import_ifllm(study, tmp_path / "out", units="ms")
    (gaze,) = RecordedPredictor(tmp_path / "out" / "gaze.parquet").predict([reply])
    assert gaze.values[2, 3] == 100  # `"no"`; the last row has no end


def test_what_gives_no_pair_is_counted_by_its_reason(tmp_path: Path) -> None:
    questions = [
        question(1),
        question(2, preference="", llm_response_1="Two.", llm_response_2="Deux."),
        question(3, preference="0.0", llm_response_1="Three.", llm_response_2="Trois."),
        question(4, llm_response_2=""),
        question(5, llm_response_1="AI Error. Please report to somebody", llm_response_2="Cinq."),
        question(6, llm_response_1="Six.", llm_response_2="Six. "),
        question(7, task="8"),
        question(8, task="9", llm_response_1="Nobody ever looked at this.", llm_response_2="Nor at this one here."),
    ]
    left, right = looking_at(SHOWN_LEFT, 5, 5), looking_at(RIGHT, 3)
    page = [row.replace("It's blue", "please wait") for row in looking_at("It's blue", 3)]
    study = write_study(tmp_path / "study", questions, {("anna", "7"): (left, right), ("anna", "9"): (page, page)})
    report = import_ifllm(study, tmp_path / "out")
    assert report.questions == 8 and report.pairs == 1
    assert report.dropped == {
        "one reply only": 1,
        "no preference said": 2,
        "a reply is the page's error message": 1,
        "both replies are the same": 1,
        "no trace of its session": 1,
        "fewer than 1 samples on both replies together": 1,
    }
    assert report.samples_left_out == {"on no reply (mostly the page's own text)": 2}


def test_gates_drop_what_was_hardly_read_and_readers_with_few_pairs(tmp_path: Path) -> None:
    long = " ".join(f"word{number}" for number in range(30))
    questions = [question(1), question(2, reader="ben", llm_response_1=long), question(3, reader="ben", task="8")]
    traces = {
        ("anna", "7"): (looking_at(SHOWN_LEFT, 5, 5), looking_at(RIGHT, 3)),
        ("ben", "7"): (looking_at(long, 5), looking_at(RIGHT, 3)),
        ("ben", "8"): (looking_at(SHOWN_LEFT, 5), []),
    }
    study = write_study(tmp_path / "study", questions, traces)
    assert import_ifllm(study, tmp_path / "all").pairs == 3
    seen = import_ifllm(study, tmp_path / "seen", QualityGates(min_seen=0.5))
    assert (seen.pairs, seen.dropped) == (1, {"less than 50 % of a reply seen": 2})
    many = import_ifllm(study, tmp_path / "many", QualityGates(min_pairs=2))
    assert (many.pairs, many.dropped) == (2, {"a reader with fewer than 2 pairs": 1})
    samples = import_ifllm(study, tmp_path / "samples", QualityGates(min_samples=3))
    assert samples.dropped == {"fewer than 3 samples on both replies together": 2}


def test_a_text_that_a_reader_read_twice_has_two_readings(tmp_path: Path) -> None:
    questions = [question(1), question(2, task="8", llm_response_2="Another right reply.")]
    traces = {
        ("anna", "7"): (looking_at(SHOWN_LEFT, 5, 5), looking_at(RIGHT, 3)),
        ("anna", "8"): (looking_at(SHOWN_LEFT, None, 5), looking_at("Another right reply.", 3)),
    }
    report = import_ifllm(write_study(tmp_path / "study", questions, traces), tmp_path / "out", units="ms")
    assert "1 replies have the text of an earlier one: their gaze is the mean of both" in report.notes
    (gaze,) = RecordedPredictor(tmp_path / "out" / "gaze.parquet").predict([SHOWN_LEFT])
    assert gaze.values[1, 3] == 50


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("table", r"query_logs_table\.csv: cannot be read .*accepted: the folder of query_logs_table\.csv"),
        ("column", r"column 'preference' is missing; it has query_ID, user_id"),
        ("preference", r"row 2: preference: 3\.0; accepted: 1\.0, 2\.0, 0\.0 or nothing"),
        ("twice", r"row 3: query_ID: 1 is there twice"),
        ("reader", r"row 2: user_id: is missing"),
        ("trace", r"rel_gaze_one\.csv row 3: no row of a trace; accepted: x,y,"),
        ("nothing", r"no pair is left \(1 no preference said\)"),
    ],
)
def test_bad_files_are_refused_in_one_line_and_nothing_is_written(
    spoil: str, said: str, study: Path, tmp_path: Path
) -> None:
    table = study / "query_logs_table.csv"
    if spoil == "table":
        table.unlink()
    elif spoil == "column":
        table.write_text(table.read_text().replace("preference", "liked"))
    elif spoil == "trace":
        trace = study / "user_behavior" / "anna" / "7" / "rel_gaze_one.csv"
        lines = trace.read_text().splitlines()
        trace.write_text("\n".join([*lines[:2], "some other file", *lines[2:]]) + "\n")
    else:
        rows = {
            "preference": [question(1, preference="3.0")],
            "twice": [question(1), question(1)],
            "reader": [question(1, reader=" ")],
            "nothing": [question(1, preference="")],
        }[spoil]
        write_study(study, rows, {})
    with pytest.raises(InputError, match=said) as caught:
        import_ifllm(study, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--format", "ifllm", "--data", "pairs.jsonl"], "--data: not with --format ifllm"),
        (["--format", "ifllm", "--min-fixations", "3"], "--min-fixations: not with --format ifllm"),
        (["--format", "ifllm", "--min-seen", "2"], "min_seen: 2.0; accepted: a share from 0 to 1"),
        (["--min-seen", "0.5", "--data", "pairs.jsonl"], "--min-seen: is for --format ifllm"),
        ([], "--data: is missing"),
    ],
)
def test_flags_of_another_kind_of_source_are_refused(
    more: list[str], said: str, study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["gaze", "import", str(study), "--out", str(tmp_path / "out"), *more]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line


def test_the_usual_import_names_the_format_of_such_a_folder(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "Why?", "chosen": "So.", "rejected": "No."}) + "\n")
    line = ["gaze", "import", str(study), "--data", str(pairs), "--out", str(tmp_path / "out.parquet")]
    assert main(line) == 2
    assert "with --format ifllm" in capfd.readouterr().err


def test_the_published_sessions_become_pairs_with_gaze_on_both_replies(
    shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(shared / "data" / "ifllm" / "pairwise.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    out = tmp_path / "out"
    assert main(["gaze", "import", "--format", "ifllm", str(tmp_path / "ifllm"), "--out", str(out), "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    rows = [json.loads(line) for line in (out / "pairs.jsonl").read_text().splitlines()]
    assert len(rows) == report["pairs"] >= 550
    assert sum(report["dropped"].values()) + report["pairs"] == report["questions"]
    table = pq.read_table(out / "gaze.parquet", columns=["text_sha256", "TRT"])
    looked_at = {
        text for text, time in zip(*(table[name].to_pylist() for name in table.column_names), strict=True) if time
    }
    both = [all(text_key(row[key]).hex() in looked_at for key in ("chosen", "rejected")) for row in rows]
    assert np.mean(both) >= 0.97 and report["both_seen"] >= 0.97
    config = Config.model_validate({"gaze": {"predictor": "recorded", "path": str(out / "gaze.parquet")}})
    splits = load_splits(DataConfig(source=str(out / "pairs.jsonl"), group="reader"))
    parts = (splits.train, splits.validation, splits.test)
    replies = [reply for part in parts for pair in part for reply in (pair.chosen, pair.rejected)]
    RecordedPredictor(Path(config.gaze.path or "")).check_texts(replies)
    reader_of = {row["chosen"]: row["reader"] for row in rows}
    train, validation, test = ({reader_of[pair.chosen] for pair in part} for part in parts)
    assert not train & test and not validation & test and not train & validation
