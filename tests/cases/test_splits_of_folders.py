"""Files and splits are not guessed: joined, refused with the question which, or counted and told."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.cases.pair_files import make_rows, read_all, refusal, write_rows


def prompts(pairs: Any) -> set[str]:
    return {pair.prompt[-1].content for pair in pairs}


def h4_folder(folder: Path) -> Path:
    for kind in ("prefs", "sft", "gen"):
        write_rows(folder / "data" / f"train_{kind}-00000-of-00001.parquet", make_rows(60))
        write_rows(folder / "data" / f"test_{kind}-00000-of-00001.parquet", make_rows(20, start=1000))
    return folder


def test_several_names_of_one_split_are_asked_about(tmp_path: Path) -> None:
    assert refusal(h4_folder(tmp_path)) == (
        f"data.source: '{tmp_path}' has several test splits by name: test_gen, test_prefs, test_sft; accepted: "
        "data.split with one name, which is read alone and divided, or with one of each, such as "
        "data.split=train_prefs,test_prefs"
    )


def test_one_of_them_is_divided_and_one_of_each_is_what_it_says(tmp_path: Path) -> None:
    pairs, splits = read_all(h4_folder(tmp_path), split="train_prefs")
    assert len(pairs) == 60 and splits.dropped == {}
    pairs, splits = read_all(tmp_path, split="train_prefs, test_prefs")
    assert len(pairs) == 80 and prompts(splits.test) == {row["prompt"] for row in make_rows(20, start=1000)}
    assert "data.split: 'train_prfs' is no split of" in refusal(tmp_path, split="train_prfs")
    assert "did you mean 'test_prefs'?" in refusal(tmp_path, split="train_prefs,test_pref")
    assert "must be one split, or a train split and others" in refusal(tmp_path, split="test_sft,test_prefs")


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002-b42a775f407cee40", "train-00001-of-00002-b42a775f407cee41"],
        ["data/train-00000-of-00002", "data/train-00001-of-00002"],
        ["default/train/0000", "default/train/0001"],
        ["train/data-00000-of-00002", "train/data-00001-of-00002"],
        ["train/harmless", "train/helpful"],
        ["default-train-00000-of-00002", "default-train-00001-of-00002"],
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl.gz", ".arrow"])
def test_the_files_of_a_split_are_one_split(names: list[str], suffix: str, tmp_path: Path) -> None:
    for number, name in enumerate(names):
        write_rows(tmp_path / f"{name}{suffix}", make_rows(30, start=100 * number))
        write_rows(tmp_path / f"{name.replace('train', 'test')}{suffix}", make_rows(10, start=1000 + 100 * number))
    pairs, splits = read_all(tmp_path)
    assert len(pairs) == 80 and len(splits.test) == 20
    assert prompts(splits.test) == {row["prompt"] for start in (1000, 1100) for row in make_rows(10, start=start)}


def test_rows_of_one_tree_over_several_files_are_joined(tmp_path: Path) -> None:
    rows = []
    for tree in range(60):
        common = {"message_tree_id": f"t{tree}", "lang": "en", "deleted": False}
        rows.append({**common, "message_id": f"q{tree}", "parent_id": None, "role": "prompter", "text": f"Ask {tree}"})
        for rank in (0, 1):
            reply = {"message_id": f"a{tree}.{rank}", "parent_id": f"q{tree}", "role": "assistant"}
            rows.append({**common, **reply, "text": f"{rank} of {tree}", "rank": rank})
    rows = [row for start in range(3) for row in rows[start::3]]  # questions first, then the replies
    whole = write_rows(tmp_path / "whole.jsonl", rows)
    write_rows(tmp_path / "shards" / "train-00000-of-00002.jsonl", rows[:90])
    write_rows(tmp_path / "shards" / "train-00001-of-00002.jsonl", rows[90:])
    (pairs, splits), (joined, of_shards) = read_all(whole), read_all(tmp_path / "shards")
    assert len(pairs) == 60 and splits.fingerprint == of_shards.fingerprint and len(joined) == 60


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train.jsonl", "train.parquet"),
        ("train.jsonl", "train.jsonl.gz"),
        ("data/train-00000-of-00001.parquet", "train.jsonl"),
        ("train/data-00000-of-00001.arrow", "train.parquet"),
    ],
)
def test_a_split_in_two_forms_is_asked_about(first: str, second: str, tmp_path: Path) -> None:
    for name in (first, second):
        write_rows(tmp_path / name, make_rows(40))
    line = refusal(tmp_path)
    assert f"{tmp_path / first}" in line and f"{tmp_path / second}" in line
    assert "are one split in two forms, which may hold the same rows; accepted: the path of one of them" in line


def test_a_copy_of_a_file_is_dropped_and_a_pair_twice_in_a_file_is_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "a" / "train.jsonl", [*make_rows(60), *make_rows(5)])
    write_rows(tmp_path / "b" / "train.jsonl", make_rows(60))
    pairs, splits = read_all(tmp_path)
    assert len(pairs) == 65 and splits.dropped == {"same as a pair of another file": 60}
    assert splits.notes == {"a pair is the same as an earlier one of its file": 5}


def test_a_pair_of_train_that_is_in_test_too_is_dropped_however_pairs_are_divided(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", make_rows(60))
    write_rows(tmp_path / "test.jsonl", [*make_rows(10), *make_rows(20, start=100)])
    pairs, splits = read_all(tmp_path)
    assert len(pairs) == 80 and splits.dropped == {"prompt in test": 10}
    pairs, splits = read_all(tmp_path, splits=(0.7, 0.15, 0.15))
    assert len(pairs) == 80 and splits.dropped == {"same as a pair of another file": 10}


def test_a_pair_that_is_there_the_other_way_round_is_told(tmp_path: Path) -> None:
    rows = make_rows(60)
    turned = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows[:3]]
    pairs, splits = read_all(write_rows(tmp_path / "pairs.jsonl", [*rows, *turned]))
    assert len(pairs) == 63 and splits.notes == {"a pair is there the other way round, too": 3}


@pytest.mark.parametrize("name", ["test.csv", "validation.tsv", "data/test-00000-of-00001.json", "test.jsonl.zst"])
def test_a_split_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", make_rows(60))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("prompt,chosen,rejected\n")
    line = refusal(tmp_path)
    assert line.startswith(
        f"data.source: {tmp_path / name} is named as a split and has an unknown file type; accepted: "
    )


def test_files_that_name_no_split_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_rows(tmp_path / "harmless.jsonl", make_rows(60))
    write_rows(tmp_path / "helpful.jsonl", make_rows(60, start=100))
    (tmp_path / "notes.csv").write_text("a,b\n")
    (tmp_path / "dataset_infos.json").write_text("{}")
    with caplog.at_level(logging.WARNING):
        pairs, _ = read_all(tmp_path)
    assert len(pairs) == 120
    assert [record.getMessage() for record in caplog.records] == [
        f"data.source: {tmp_path}: not read, unknown file type: notes.csv",
        f"data.source: {tmp_path}: no split by name, joined and divided: harmless, helpful",
    ]


def test_shards_that_are_not_there_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_rows(tmp_path / "train-00001-of-00003.parquet", make_rows(60))
    with caplog.at_level(logging.WARNING):
        read_all(tmp_path)
    assert caplog.records[0].getMessage().endswith("files are missing: train-*-of-00003: 1 of 3 files")


def test_splits_without_a_train_split_are_asked_about(tmp_path: Path) -> None:
    write_rows(tmp_path / "validation.jsonl", make_rows(60))
    write_rows(tmp_path / "test.jsonl", make_rows(60, start=100))
    assert "has no train split by name; found: test, validation; accepted: data.split with one of" in refusal(tmp_path)
    assert len(read_all(tmp_path, split="test")[0]) == 60


def test_a_folder_and_a_file_that_say_different_splits_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "train" / "test.jsonl", make_rows(60))
    assert refusal(tmp_path) == "data.source: 'train/test.jsonl' is test by its name and train by its folder"


def test_what_datasets_saves_to_disk_is_read_without_its_caches(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for name, count in (("train", 60), ("test", 20)):
        datasets.Dataset.from_list(make_rows(count, start=len(name) * 1000)).save_to_disk(str(tmp_path / name))
        write_rows(tmp_path / name / "cache-0123456789abcdef.arrow", make_rows(10, start=9000))
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    pairs, splits = read_all(tmp_path)
    assert len(pairs) == 80 and len(splits.test) == 20


def test_a_folder_of_the_hubs_cache_is_read_at_its_one_revision(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    write_rows(tmp_path / "snapshots" / "0a1b" / "train.jsonl", make_rows(60))
    assert len(read_all(tmp_path)[0]) == 60
    write_rows(tmp_path / "snapshots" / "2c3d" / "train.jsonl", make_rows(60))
    assert "has several revisions of a data set; accepted: one of the folders in" in refusal(tmp_path)


def test_the_case_of_hashed_shards_has_a_split_train(shared: Path) -> None:
    pairs, splits = read_all(shared / "cases" / "A26_hash_shards")
    assert len(pairs) == 100 and len(splits.test) == 20
    assert len(read_all(shared / "cases" / "A26_hash_shards", split="train")[0]) == 80


def test_the_case_of_trees_over_shards_is_as_the_whole_file(shared: Path) -> None:
    folder = shared / "cases" / "A27_tree_over_shards"
    (pairs, of_shards), (_, whole) = read_all(folder / "data"), read_all(folder / "whole.parquet")
    assert len(pairs) == 61 and of_shards.dropped == whole.dropped == {}
    assert {pair.chosen for pair in pairs} == {
        pair.chosen for part in (whole.train, whole.validation, whole.test) for pair in part
    }


def test_the_case_of_h4_splits_is_asked_about_or_read_once(shared: Path) -> None:
    folder = shared / "cases" / "A01_h4_splits" / "ufb"
    assert "has several test splits by name: test_gen, test_prefs, test_sft" in refusal(folder)
    pairs, splits = read_all(folder, split="train_prefs,test_prefs")
    assert len(pairs) == 80 and len(splits.test) == 20


def test_a_split_in_a_linked_folder_is_read_and_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_rows(tmp_path / "elsewhere" / "a.jsonl", make_rows(60))
    write_rows(folder / "test" / "a.jsonl", make_rows(20, start=1000))
    (folder / "train").symlink_to(tmp_path / "elsewhere")
    (folder / "test" / "loop").symlink_to(folder)
    (folder / ".#train.jsonl").symlink_to(tmp_path / "gone")
    pairs, splits = read_all(folder)
    assert len(pairs) == 80 and prompts(splits.test) == {row["prompt"] for row in make_rows(20, start=1000)}
    link = folder / "validation.jsonl"
    link.symlink_to(tmp_path / "gone")
    assert refusal(folder) == f"data.source: {link}: cannot be read (No such file or directory)"
