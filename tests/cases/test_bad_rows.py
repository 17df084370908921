"""One bad row stops a file, or is dropped and counted where that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.preferences.read_pairs import read_pair_at, read_pairs
from gazetune.preferences.source_splits import read_hub_rows
from gazetune.preferences.sources.registry import SOURCE_FORMATS, Dropped
from tests.cases.pair_files import make_rows, read_all, refusal, write_rows

TIE = {"prompt": "p", "chosen": "same", "rejected": "same"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (TIE, "chosen and rejected are identical"),
        ({**TIE, "chosen": " "}, "empty reply"),
        ({"prompt": "p", "chosen": "a"}, "key 'rejected' is missing"),
        ({**TIE, "chosen": 3}, "key 'chosen' must be text or a list of role/content messages"),
        ({**TIE, "chosen": [{"role": "bot", "content": "a"}]}, "key 'chosen[].role' is no known role"),
        ({**TIE, "margin": "much"}, "key 'margin' must be a finite number"),
        ({**TIE, "margin": 10**400}, "key 'margin' must be a finite number"),
        (
            {**TIE, "score_chosen": 2, "score_rejected": 1, "chosen_score": 3, "rejected_score": 1},
            "keys 'score_chosen' and 'chosen_score' give different margins",
        ),
        (
            {**TIE, "prompt": [{"role": "user", "content": "a", "from": "user", "value": "b"}]},
            "keys 'prompt[].content' and 'prompt[].value' differ",
        ),
        ({"question": "q"}, "no key 'chosen' or 'rejected'"),
    ],
)
def test_a_bad_row_stops_or_is_counted_by_its_reason(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [*make_rows(50), row, *make_rows(10, start=100)])
    line = refusal(path)
    assert line.startswith(f"{path}:51: ") and line.endswith("; data.on_bad_row=drop leaves such rows out")
    pairs, splits = read_all(path, on_bad_row="drop")
    assert len(pairs) == 60 and splits.dropped == {reason: 1}


def test_a_line_that_is_no_json_is_a_bad_row(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", make_rows(50))
    path.write_text('{"prompt": "p", "cho\n' + path.read_text() + "[1]\n")
    assert refusal(path).startswith(f"{path}:1: not valid JSON")
    pairs, splits = read_all(path, on_bad_row="drop")
    assert len(pairs) == 50 and splits.dropped == {"not valid JSON": 1, "a row must be a JSON object": 1}


def test_a_key_that_a_row_has_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "p", "chosen": "a", "rejected": "b", "chosen": "c"}\n')
    assert refusal(path).startswith(f"{path}:1: key 'chosen' is there twice")


def test_too_many_bad_rows_are_refused_with_the_first_one_and_the_counts(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [*make_rows(40), *[TIE] * 4, {**TIE, "chosen": ""}])
    assert refusal(path, on_bad_row="drop") == (
        f"{path}:41: chosen and rejected are identical; in all 5 of 45 rows give no pair (4 chosen and rejected are "
        "identical, 1 empty reply), and data.max_bad_rows is 0.1"
    )
    assert len(read_all(path, on_bad_row="drop", max_bad_rows=0.2)[0]) == 40


def test_a_cell_that_is_no_utf8_is_a_bad_row_and_one_that_is_not_read_is_none(tmp_path: Path) -> None:
    rows = make_rows(50)
    bad = pa.array([row["chosen"].encode() if number else b"\xff" for number, row in enumerate(rows)])
    table = pa.table(
        {
            "prompt": [row["prompt"] for row in rows],
            "chosen": pa.Array.from_buffers(pa.string(), 50, bad.buffers()),
            "rejected": [row["rejected"] for row in rows],
            "day": pa.array([10**8] * 50, pa.date32()),
        }
    )
    path = tmp_path / "pairs.parquet"
    pq.write_table(table, path)
    assert refusal(path).startswith(f"{path}:1: key 'chosen' must be text or a list of role/content messages, got Unre")
    pairs, splits = read_all(path, on_bad_row="drop")
    assert len(pairs) == 49 and splits.notes == {"columns that are not read: day": 49}


def test_a_table_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    columns = ["prompt", "chosen", "rejected", "chosen"]
    pq.write_table(pa.table([pa.array([f"{name} {n}" for n in range(50)]) for name in columns], names=columns), path)
    assert refusal(path, on_bad_row="drop") == f"{path}: column 'chosen' is there twice; accepted: each column once"


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    whole = write_rows(tmp_path / "pairs.parquet", make_rows(50)).read_bytes()
    damaged = [whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :] for place in range(4, len(whole), 17)]
    for number, content in enumerate(damaged):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(content)
        try:
            read_all(path)
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error)


def test_a_cut_off_file_is_refused_though_bad_rows_are_dropped(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.parquet", make_rows(50))
    path.write_bytes(path.read_bytes()[:-30])
    assert "not a whole Parquet file" in refusal(path, on_bad_row="drop")


def test_bad_rows_of_a_copy_of_a_published_data_set_are_counted_too(tmp_path: Path) -> None:
    good = [{"prompt": f"p{n // 2}", "response": f"r{n}", "helpfulness": n % 2} for n in range(80)]
    path = write_rows(tmp_path / "pairs.jsonl", [*good, {**good[0], "helpfulness": "high"}])
    assert f"{path}:81: key 'helpfulness' must be a finite number, got 'high'" in refusal(path)
    pairs, splits = read_all(path, on_bad_row="drop")
    assert len(pairs) == 40 and splits.dropped == {"key 'helpfulness' must be a finite number": 1}


def test_commands_that_look_at_texts_leave_bad_rows_out(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "pairs.jsonl", [TIE, *make_rows(30)])
    assert len(read_pairs(str(path))) == 30
    assert read_pair_at(f"{path}:3").chosen == "Good 1."


def hh_rows(name: str) -> list[dict[str, Any]]:
    start = f"\n\nHuman: Joke {name}"
    rows = [
        {"chosen": f"{start} {n}?\n\nAssistant: Knock {n}.", "rejected": f"{start} {n}?\n\nAssistant: No {n}."}
        for n in range(60)
    ]
    rows[7]["rejected"] = rows[7]["chosen"]
    rows[9]["rejected"] = f"{start} 9?\n\nAssistant:"
    return rows


def test_a_copy_of_hh_rlhf_drops_what_the_hub_id_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for base in ("harmless-base", "helpful-base"):
        for split in ("train", "test"):
            write_rows(tmp_path / "hh" / base / f"{split}.jsonl.gz", hh_rows(f"{base} {split}"))
    _, splits = read_all(tmp_path / "hh")
    of_hub: dict[str, int] = {}
    for rows in read_hub_rows(str(tmp_path / "hh"), []).values():
        for item in SOURCE_FORMATS["Anthropic/hh-rlhf"].convert(rows):
            if isinstance(item, Dropped):
                of_hub[item.reason] = of_hub.get(item.reason, 0) + 1
    assert splits.dropped == of_hub == {"chosen and rejected are identical": 4, "empty reply": 4}


def test_the_case_of_ties_is_dropped_and_counted(shared: Path) -> None:
    source = shared / "cases" / "A02_tie_identical" / "train.parquet"
    assert "train.parquet:31: chosen and rejected are identical; data.on_bad_row=drop" in refusal(source)
    pairs, splits = read_all(source, on_bad_row="drop")
    assert len(pairs) == 48 and splits.dropped == {"chosen and rejected are identical": 2}


def test_the_case_of_a_snapshot_of_hh_rlhf_is_read(shared: Path) -> None:
    pairs, splits = read_all(shared / "cases" / "A12_hh_snapshot" / "hh-rlhf")
    assert len(pairs) == 308 and sum(splits.dropped.values()) == 12
