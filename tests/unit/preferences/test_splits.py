from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gazetune.config import DataConfig
from gazetune.errors import InputError
from gazetune.preferences.grouping import prompt_group
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import Splits, load_splits


def _rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"prompt": f"Question {i}?", "chosen": f"Good {i}.", "rejected": f"Bad {i}."}
        for i in range(start, start + count)
    ]


def _write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _prompts(pairs: tuple[PreferencePair, ...]) -> set[str]:
    return {pair.prompt[-1].content for pair in pairs}


def _parts(splits: Splits) -> list[tuple[PreferencePair, ...]]:
    return [splits.train, splits.validation, splits.test]


def _assert_disjoint(splits: Splits) -> None:
    for index, part in enumerate(_parts(splits)):
        for other in _parts(splits)[index + 1 :]:
            assert not {pair.group for pair in part} & {pair.group for pair in other}
            assert not {prompt_group(pair.prompt) for pair in part} & {prompt_group(pair.prompt) for pair in other}


def test_a_file_is_divided_70_15_15(tmp_path: Path) -> None:
    splits = load_splits(DataConfig(source=_write(tmp_path / "pairs.jsonl", _rows(4000))))
    assert [len(part) / 4000 for part in _parts(splits)] == pytest.approx([0.70, 0.15, 0.15], abs=0.025)
    assert sum(map(len, _parts(splits))) == 4000
    _assert_disjoint(splits)


def test_shares_of_the_config_replace_the_default(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows(2000))
    splits = load_splits(DataConfig(source=source, splits=(0.5, 0.2, 0.3)))
    assert [len(part) / 2000 for part in _parts(splits)] == pytest.approx([0.5, 0.2, 0.3], abs=0.04)


def test_division_is_the_same_in_another_process_and_does_not_depend_on_other_rows(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows(300))
    splits = load_splits(DataConfig(source=source))
    program = (
        "import sys; from gazetune.config import DataConfig; from gazetune.preferences.splits import load_splits; "
        "print(load_splits(DataConfig(source=sys.argv[1])).fingerprint)"
    )
    run = subprocess.run([sys.executable, "-c", program, source], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == splits.fingerprint
    more = load_splits(DataConfig(source=_write(tmp_path / "more.jsonl", _rows(600))))
    for part, larger in zip(_parts(splits), _parts(more), strict=True):
        assert _prompts(part) <= _prompts(larger)


def test_another_seed_divides_otherwise(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows(300))
    first, second = (load_splits(DataConfig(source=source, seed=seed)) for seed in (0, 1))
    assert _prompts(first.test) != _prompts(second.test)
    assert first.fingerprint != second.fingerprint


def test_pairs_of_one_prompt_stay_together_whatever_its_case_and_spaces(tmp_path: Path) -> None:
    rows = _rows(200)
    again = [{**row, "prompt": f" {row['prompt'].upper()}  ", "chosen": "Other."} for row in rows]
    splits = load_splits(DataConfig(source=_write(tmp_path / "pairs.jsonl", rows + again)))
    assert sum(map(len, _parts(splits))) == 400
    _assert_disjoint(splits)


@pytest.mark.parametrize("published", ["validation", "test"])
def test_a_published_split_becomes_test_and_train_is_divided_85_15(tmp_path: Path, published: str) -> None:
    _write(tmp_path / "train.jsonl", _rows(2000))
    _write(tmp_path / f"{published}.jsonl", _rows(100, start=5000))
    splits = load_splits(DataConfig(source=str(tmp_path)))
    assert _prompts(splits.test) == {row["prompt"] for row in _rows(100, start=5000)}
    assert len(splits.train) / 2000 == pytest.approx(0.85, abs=0.025)
    assert len(splits.train) + len(splits.validation) == 2000


def test_three_published_splits_are_kept(tmp_path: Path) -> None:
    for index, name in enumerate(("train", "validation", "test")):
        _write(tmp_path / f"{name}.jsonl", _rows(20, start=100 * index))
    splits = load_splits(DataConfig(source=str(tmp_path)))
    assert [_prompts(part) for part in _parts(splits)] == [
        {row["prompt"] for row in _rows(20, start=100 * index)} for index in range(3)
    ]


def test_prompts_of_the_published_test_split_are_removed_from_train(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", _rows(200))
    _write(tmp_path / "test.jsonl", [{**row, "chosen": "Another."} for row in _rows(30)])
    splits = load_splits(DataConfig(source=str(tmp_path)))
    assert len(splits.test) == 30
    assert len(splits.train) + len(splits.validation) == 170
    assert splits.dropped == {"prompt in test": 30}
    _assert_disjoint(splits)


def _tree(index: int, question: str) -> list[dict[str, Any]]:
    common = {"lang": "en", "deleted": False, "message_tree_id": f"tree{index}"}
    root = {"message_id": f"q{index}", "parent_id": None, "role": "prompter", "text": question, "rank": None}
    replies = [
        {
            "message_id": f"a{index}{rank}",
            "parent_id": f"q{index}",
            "role": "assistant",
            "text": f"{rank}",
            "rank": rank,
        }
        for rank in (0, 1)
    ]
    return [{**common, **row} for row in (root, *replies)]


def test_equal_prompts_of_different_trees_never_stand_in_two_splits(tmp_path: Path) -> None:
    rows = [row for index in range(120) for row in _tree(index, f"Question {index % 60}?")]
    splits = load_splits(DataConfig(source=_write(tmp_path / "trees.jsonl", rows)))
    assert sum(map(len, _parts(splits))) == 120
    assert len({pair.group for part in _parts(splits) for pair in part}) == 120
    _assert_disjoint(splits)
    _write(tmp_path / "folder" / "train.jsonl", rows)
    _write(
        tmp_path / "folder" / "validation.jsonl",
        [row for i in range(200, 210) for row in _tree(i, f"Question {i - 200}?")],
    )
    splits = load_splits(DataConfig(source=str(tmp_path / "folder")))
    assert splits.dropped == {"prompt in test": 20}
    _assert_disjoint(splits)


def test_pairs_takes_the_first_pairs_of_each_published_split(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", _rows(300))
    _write(tmp_path / "test.jsonl", _rows(300, start=1000))
    splits = load_splits(DataConfig(source=str(tmp_path), pairs=80))
    assert _prompts(splits.test) == {row["prompt"] for row in _rows(80, start=1000)}
    assert _prompts(splits.train) | _prompts(splits.validation) == {row["prompt"] for row in _rows(80)}


def test_rows_after_the_first_pairs_are_not_read(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", [*_rows(50), {"prompt": "p"}])
    assert sum(map(len, _parts(load_splits(DataConfig(source=source, pairs=50))))) == 50
    with pytest.raises(InputError, match=r"pairs\.jsonl:51: "):
        load_splits(DataConfig(source=source))


def test_max_chars_counts_both_chats_and_drops_the_longer_pairs(tmp_path: Path) -> None:
    # 2 x 10 + 6 + 4 = 30 characters.
    rows = [{"prompt": f"{i:010d}", "chosen": "abcdef", "rejected": "abcd"} for i in range(100)]
    rows += [{"prompt": f"{i:010d}", "chosen": "abcdef", "rejected": "abcde"} for i in range(100, 107)]
    splits = load_splits(DataConfig(source=_write(tmp_path / "pairs.jsonl", rows), max_chars=30))
    assert sum(map(len, _parts(splits))) == 100
    assert splits.dropped == {"longer than max_chars": 7}


def test_subsample_keeps_a_share_of_train_alone(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows(2000))
    whole, half, tenth = (load_splits(DataConfig(source=source, subsample=share)) for share in (1.0, 0.5, 0.1))
    assert len(half.train) / len(whole.train) == pytest.approx(0.5, abs=0.05)
    assert len(tenth.train) / len(whole.train) == pytest.approx(0.1, abs=0.03)
    assert _prompts(tenth.train) < _prompts(half.train) < _prompts(whole.train)
    assert half.validation == whole.validation
    assert half.test == whole.test
    assert half.dropped == {"subsample": len(whole.train) - len(half.train)}


def test_folds_divide_train_and_test_together_into_five_tests(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", _rows(800))
    _write(tmp_path / "test.jsonl", _rows(200, start=1000))
    folds = [load_splits(DataConfig(source=str(tmp_path), fold=fold)) for fold in range(1, 6)]
    tests = [_prompts(splits.test) for splits in folds]
    assert set.union(*tests) == {row["prompt"] for row in _rows(800) + _rows(200, start=1000)}
    assert sum(map(len, tests)) == 1000
    for splits in folds:
        assert len(splits.test) == pytest.approx(200, abs=45)
        assert len(splits.train) / (len(splits.train) + len(splits.validation)) == pytest.approx(0.85, abs=0.05)
        _assert_disjoint(splits)


def test_a_published_split_can_be_loaded_alone(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", _rows(300))
    _write(tmp_path / "test.jsonl", _rows(200, start=1000))
    splits = load_splits(DataConfig(source=str(tmp_path), split="test"))
    assert set.union(*map(_prompts, _parts(splits))) == {row["prompt"] for row in _rows(200, start=1000)}


def test_an_unknown_published_split_is_refused_with_the_nearest(tmp_path: Path) -> None:
    _write(tmp_path / "train.jsonl", _rows(30))
    _write(tmp_path / "validation.jsonl", _rows(30, start=100))
    with pytest.raises(InputError, match=r"data\.split: 'validaton' .* did you mean 'validation'\?"):
        load_splits(DataConfig(source=str(tmp_path), split="validaton"))


def test_files_of_a_folder_that_are_no_split_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(tmp_path / "train.jsonl", _rows(100))
    _write(tmp_path / "extra" / "disagreements.jsonl", [{"other": 1}])
    assert sum(map(len, _parts(load_splits(DataConfig(source=str(tmp_path)))))) == 100
    assert "disagreements" in caplog.text


def test_an_empty_split_is_refused_with_the_number_of_pairs(tmp_path: Path) -> None:
    source = _write(tmp_path / "pairs.jsonl", _rows(2))
    with pytest.raises(InputError, match=r"gave 2 pairs \(left out: none\) and none of them is in the \w+ split"):
        load_splits(DataConfig(source=source))
    with pytest.raises(InputError, match=r"gave 0 pairs \(left out: 2 longer than max_chars\)"):
        load_splits(DataConfig(source=source, max_chars=5))


def test_the_fingerprint_knows_the_pairs_and_not_where_they_lie(tmp_path: Path) -> None:
    rows = _rows(200)
    here = load_splits(DataConfig(source=_write(tmp_path / "here.jsonl", rows)))
    there = load_splits(DataConfig(source=_write(tmp_path / "there.jsonl", rows)))
    changed = load_splits(
        DataConfig(source=_write(tmp_path / "c.jsonl", [{**rows[0], "chosen": "Changed."}, *rows[1:]]))
    )
    scored = load_splits(
        DataConfig(source=_write(tmp_path / "s.jsonl", [{**r, "score_chosen": 2, "score_rejected": 1} for r in rows]))
    )
    assert here.fingerprint == there.fingerprint
    assert len({here.fingerprint, changed.fingerprint, scored.fingerprint}) == 3


def test_planted_pairs_are_the_default_and_bring_their_bayes_accuracies() -> None:
    splits = load_splits(DataConfig(pairs=400))
    assert sum(map(len, _parts(splits))) == 400
    assert splits.bayes is not None and splits.bayes["text"] < splits.bayes["text+FFD+TRT"]
    assert splits.train[0].origin.startswith("planted:")
    assert sum(map(len, _parts(load_splits(DataConfig())))) == 3000


def test_real_pairs_load_whole_and_divide(shared: Path) -> None:
    source = str(shared / "data" / "hh_harmless_pairs.jsonl.gz")
    splits = load_splits(DataConfig(source=source, max_chars=None))
    assert sum(map(len, _parts(splits))) == 1800
    assert splits.bayes is None and splits.dropped == {}
    assert min(map(len, _parts(splits))) > 200
    assert {pair.prompt[-1].role for part in _parts(splits) for pair in part} == {"user"}
    groups = {pair.group for part in _parts(splits) for pair in part}
    assert len(groups) == 1798
    _assert_disjoint(splits)


def test_the_fingerprint_knows_the_split_of_each_pair(tmp_path: Path) -> None:
    fingerprints = set()
    for bounds in ((10, 20), (11, 20), (10, 21)):
        folder = tmp_path / str(bounds)
        _write(folder / "train.jsonl", _rows(30)[: bounds[0]])
        _write(folder / "validation.jsonl", _rows(30)[bounds[0] : bounds[1]])
        _write(folder / "test.jsonl", _rows(30)[bounds[1] :])
        fingerprints.add(load_splits(DataConfig(source=str(folder))).fingerprint)
    assert len(fingerprints) == 3
