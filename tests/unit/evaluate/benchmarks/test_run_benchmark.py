"""Rows from files to a result: what is read, skipped, counted, and how sure the score is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.evaluate.benchmarks.read_items import read_benchmark
from gazetune.evaluate.benchmarks.registry import ItemResult, PublishedScore, find_benchmark
from gazetune.evaluate.benchmarks.rewardbench2 import RewardBench2
from gazetune.evaluate.benchmarks.run_benchmark import BenchmarkResult, run_benchmark
from gazetune.preferences.pair import Message
from gazetune.reward.saved.reward_scorer import OverLongChat

RB = {"chosen_model": "a", "rejected_model": "b", "id": 1}


def write(file: Path, rows: Sequence[dict[str, object]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def rb_rows(count: int, subset: str = "math-prm") -> list[dict[str, object]]:
    rows = [{"prompt": f"p {at}", "chosen": "good " * (at % 7 + 1), "rejected": f"bad {at}"} for at in range(count)]
    return [{**row, **RB, "subset": subset} for row in rows]


def by_words(chats: Sequence[Sequence[Message]]) -> list[float]:
    """Return as reward the number of words `good`; a reply with `long` is too long, one with `nan` has no reward."""
    for chat in chats:
        if "long" in chat[-1].content:
            raise OverLongChat(f"chat: {len(chat[-1].content)} positions")
    return [float("nan") if "nan" in chat[-1].content else chat[-1].content.count("good") for chat in chats]


def run(name: str, data: str) -> BenchmarkResult:
    benchmark = find_benchmark(name)
    return run_benchmark(name, benchmark.rule, read_benchmark(benchmark, data), "m", by_words)


def test_rows_that_cannot_be_used_are_counted_by_their_reason(tmp_path: Path) -> None:
    rows = rb_rows(40)
    rows[3]["subset"] = "unknown"
    rows[5]["chosen"] = 7
    rows[6]["rejected"] = "long"
    rows[7]["chosen"] = "long long"
    rows[8]["rejected"] = "nan"
    file = tmp_path / "rb.jsonl"
    write(file, rows)
    with file.open("a") as stream:
        stream.write("{not json\n")
    found = run("rewardbench", str(file))
    assert found.n == 35 and found.score.accuracy == 1.0 and len(found.margins) == 35
    assert found.skipped.pop("more positions than the backbone takes") == 2
    assert found.skipped.pop("the reward is no finite number") == 1
    assert found.skipped.pop("subset 'unknown' is none of RewardBench") == 1
    assert found.skipped.pop("key 'chosen' must be text") == 1
    assert sum(found.skipped.values()) == 1  # the line that is no JSON


def test_ties_are_counted_and_the_margins_are_those_of_all_pairs(tmp_path: Path) -> None:
    row = {"id": "1", "prompt": "p", "chosen": ["good", "good good", "bad"], "rejected": ["bad", "good good", "x"]}
    found = run("rm-bench", write(tmp_path / "rm.jsonl", [{**row, "domain": "chat"}]))
    assert found.ties == 1 and found.n == 1
    assert len(found.margins) == 9 and len(set(found.margins.groups)) == 1
    assert sorted(found.margins.margins.tolist()) == [-2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]


def test_a_json_list_and_a_folder_of_files_are_read(tmp_path: Path) -> None:
    row = {"id": "1", "prompt": "p", "chosen": ["good", "good", "good"], "rejected": ["bad", "bad", "bad"]}
    (tmp_path / "chat_filtered.json").write_text(json.dumps([row]))
    (tmp_path / "math_filtered.json").write_text(json.dumps([row, row]))
    found = run("rm-bench", str(tmp_path))
    assert found.n == 3 and found.score.subsets == {"chat": 1.0, "math": 1.0}


def test_rows_of_another_benchmark_are_refused_by_name(tmp_path: Path) -> None:
    file = write(tmp_path / "rb.jsonl", rb_rows(2))
    with pytest.raises(InputError, match=r"rb.jsonl:1: has no pair_id.*these are the columns of --on rewardbench$"):
        run("judgebench", file)
    with pytest.raises(InputError, match="has no data files"):
        run("judgebench", str(tmp_path.joinpath("empty").mkdir() or tmp_path / "empty"))
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="is no list of objects"):
        run("judgebench", str(tmp_path / "x.json"))
    with pytest.raises(InputError, match=r"has no rows of rewardbench that can be scored; the first: .*subset 'x'"):
        run("rewardbench", write(tmp_path / "none.jsonl", rb_rows(1, "x")))
    with pytest.raises(InputError, match="'rewardbanch' is no benchmark and no file; did you mean 'rewardbench'"):
        find_benchmark("rewardbanch")


def test_the_interval_covers_what_is_known(tmp_path: Path) -> None:
    rows = rb_rows(400)
    for at in range(0, 400, 4):
        rows[at]["chosen"] = "bad"  # and so a tie, which is wrong
        rows[at]["rejected"] = "bad too"
    found = run("rewardbench", write(tmp_path / "rb.jsonl", rows))
    assert found.score.accuracy == 0.75 and found.ties == 100
    low, high = found.ci95
    # The standard error of 300 of 400 is 0.0217.
    assert low == pytest.approx(0.75 - 1.96 * 0.0217, abs=0.006)
    assert high == pytest.approx(0.75 + 1.96 * 0.0217, abs=0.006)
    assert found.length is not None and found.to_json()["sections"]["Safety"] is None


def test_rows_that_belong_together_are_drawn_together(tmp_path: Path) -> None:
    rows = []
    for number in range(30):
        spread = ["good good", "good good good"] if number % 2 else ["good", "good good good"]
        shared = {"prompt": f"p {number}", "num_correct": 1, "subset": "Ties"}
        rows.append({**shared, "id": f"ref:{number}", "chosen": ["good good"], "rejected": ["bad"]})
        rows.append({**shared, "id": f"tied:{number}", "chosen": spread, "rejected": ["bad"]})
    read = read_benchmark(find_benchmark("rewardbench2"), write(tmp_path / "rb2.jsonl", rows))
    drawn: list[list[str]] = []

    class NotingRule(RewardBench2):
        def score(self, results: Sequence[ItemResult]) -> PublishedScore:
            drawn.append([each.item.id for each in results])
            return super().score(results)

    found = run_benchmark("rewardbench2", NotingRule(), read, "m", by_words)
    assert len(drawn) > 100
    for ids in drawn:
        assert len(ids) == len(set(ids)) == 60  # rows that are drawn twice count twice
        numbers = [{each.partition(":")[2] for each in ids if each.startswith(kind)} for kind in ("ref", "tied")]
        assert numbers[0] == numbers[1]
    assert found.ci95[0] < found.score.accuracy < found.ci95[1]


def test_what_is_no_file_is_asked_of_the_hub(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded from the hub"):
        read_benchmark(find_benchmark("ppe"), str(tmp_path / "none"))


def test_rewards_that_are_all_nan_end_in_one_line(tmp_path: Path) -> None:
    rows = [{**row, "chosen": "nan"} for row in rb_rows(3)]
    with pytest.raises(InputError, match="none of 3 rows can be scored; the first: the reward is no finite number"):
        run("rewardbench", write(tmp_path / "rb.jsonl", rows))
    assert np.isnan(by_words([[Message("assistant", "nan")]])[0])
