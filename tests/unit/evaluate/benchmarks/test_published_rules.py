"""The published scores of the benchmarks on rows with their real columns, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from gazetune.evaluate.benchmarks.registry import (
    BenchmarkItem,
    ItemResult,
    benchmark_names,
    find_benchmark,
    recognise_benchmark,
)
from gazetune.evaluate.benchmarks.rewardbench2 import divide
from gazetune.preferences.sources.rows import Row, RowError


def result(item: BenchmarkItem, chosen: Sequence[float], rejected: Sequence[float]) -> ItemResult:
    assert len(item.chosen) == len(chosen) and len(item.rejected) == len(rejected)
    return ItemResult(item, np.array(chosen, dtype=float), np.array(rejected, dtype=float))


def read(name: str, values: dict[str, object], origin: str = "file.jsonl:1") -> BenchmarkItem:
    item = find_benchmark(name).rule.read_row(Row(origin, values))
    assert item is not None
    return item


def rewardbench(subset: str) -> BenchmarkItem:
    row = {"prompt": "p", "chosen": "c", "chosen_model": "a", "rejected": "r", "rejected_model": "b"}
    return read("rewardbench", {**row, "subset": subset, "id": 1})


def test_rewardbench_weights_subsets_as_published_and_a_tie_is_wrong() -> None:
    rule = find_benchmark("rewardbench").rule
    easy, hard = rewardbench("alpacaeval-easy"), rewardbench("alpacaeval-hard")
    math_prm, cpp = rewardbench("math-prm"), rewardbench("hep-cpp")
    score = rule.score(
        [
            result(easy, [1.0], [0.0]),
            result(easy, [0.5], [0.5]),  # a tie
            result(hard, [2.0], [1.0]),
            result(math_prm, [1.0], [3.0]),
            result(cpp, [3.0], [1.0]),
        ]
    )
    assert score.subsets == {"alpacaeval-easy": 0.5, "alpacaeval-hard": 1.0, "math-prm": 0.0, "hep-cpp": 1.0}
    # Chat: (100 * 0.5 + 95 * 1) / 195; Reasoning: (984 * 0 + 164 * 1) / 1148; the other sections have no rows.
    assert score.sections["Chat"] == pytest.approx(145 / 195)
    assert score.sections["Reasoning"] == pytest.approx(164 / 1148)
    assert math.isnan(score.sections["Safety"]) and math.isnan(score.sections["Chat Hard"])
    assert score.accuracy == pytest.approx((145 / 195 + 164 / 1148) / 2)


def test_rewardbench_has_the_published_counts() -> None:
    from gazetune.evaluate.benchmarks.rewardbench import SECTIONS

    assert [sum(its.values()) for its in SECTIONS.values()] == [358, 456, 740, 1968]


def rewardbench2(subset: str, identity: str, right: int = 1, wrong: int = 3) -> BenchmarkItem:
    row = {"id": identity, "prompt": "p", "chosen": ["c"] * right, "rejected": ["r"] * wrong}
    counts = {"num_correct": right, "num_incorrect": wrong, "total_completions": right + wrong}
    return read("rewardbench2", {**row, **counts, "models": [], "subset": subset, "additional_metadata": {}})


def test_rewardbench2_shares_a_row_among_equal_maxima() -> None:
    rule, item = find_benchmark("rewardbench2").rule, rewardbench2("Math", "7")
    rows = {
        1.0: ([4.0], [1.0, 2.0, 3.0]),
        0.5: ([4.0], [4.0, 2.0, 3.0]),
        1 / 3: ([4.0], [4.0, 4.0, 3.0]),
        0.25: ([4.0], [4.0, 4.0, 4.0]),
        0.0: ([3.0], [4.0, 4.0, 1.0]),
    }
    for expected, (chosen, rejected) in rows.items():
        assert rule.score([result(item, chosen, rejected)]).accuracy == pytest.approx(expected)


def test_rewardbench2_scores_ties_by_gap_and_spread() -> None:
    rule = find_benchmark("rewardbench2").rule
    ref, tied = rewardbench2("Ties", "ref:1"), rewardbench2("Ties", "tied:1", right=2, wrong=2)
    lone = rewardbench2("Ties", "tied:2", right=2, wrong=1)
    found = [
        result(ref, [5.0], [1.0, 2.0, 3.0]),  # gap 2
        result(tied, [4.0, 3.0], [1.0, 0.0]),  # gap 2, spread 1
        result(lone, [1.0, 0.0], [0.5]),  # gap -0.5, and no reference
    ]
    # accurate over tied 1/2, over ref 1; gap 2 > 1; least gap 2 > 1; tanh(2/1 - 1)
    expected = 0.30 * 0.5 + 0.30 * 1 + 0.20 * 1 + 0.20 * 1 + 0.01 * math.tanh(1.0)
    assert rule.score(found).subsets["Ties"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tied", "ref", "last"),
    [
        (([3.0, 3.0], [1.0]), ([2.0], [1.0]), math.tanh(1.0 - 1.0)),  # x/0 is 1
        (([3.0, 3.0], [3.0]), ([2.0], [1.0]), math.tanh(0.0 - 1.0)),  # 0/0 is 0
        (([3.0, 3.0], [4.0]), ([2.0], [1.0]), math.tanh(-1.0 - 1.0)),  # -x/0 is -1
    ],
)
def test_rewardbench2_divides_by_no_spread_as_published(tied: tuple, ref: tuple, last: float) -> None:
    rule = find_benchmark("rewardbench2").rule
    items = rewardbench2("Ties", "tied:1", right=2, wrong=1), rewardbench2("Ties", "ref:1", right=1, wrong=1)
    score = rule.score([result(items[0], *tied), result(items[1], *ref)]).accuracy
    gap = min(tied[0]) - max(tied[1])
    expected = 0.30 * (gap > 0) + 0.30 + 0.20 * (gap > 0) + 0.20 * (min(gap, 1.0) > 0) + 0.01 * last
    assert score == pytest.approx(expected)
    assert divide(0.0, 0.0) == 0.0


def test_rewardbench2_is_the_plain_mean_of_its_subsets() -> None:
    rule = find_benchmark("rewardbench2").rule
    right = [result(rewardbench2("Math", str(number)), [1.0], [0.0, 0.0, 0.0]) for number in range(3)]
    wrong = result(rewardbench2("Focus", "9"), [0.0], [1.0, 0.0, 0.0])
    assert rule.score([*right, wrong]).accuracy == 0.5


def rm_bench(domain: str | None, origin: str = "file.jsonl:1") -> BenchmarkItem:
    row: dict[str, object] = {"id": "1", "prompt": "p", "chosen": ["c1", "c2", "c3"], "rejected": ["r1", "r2", "r3"]}
    return read("rm-bench", row if domain is None else {**row, "domain": domain}, origin)


def test_rm_bench_takes_the_matrix_apart() -> None:
    rule = find_benchmark("rm-bench").rule
    # Right where chosen > rejected: row 1 never, row 2 against the first two, row 3 always.
    found = [result(rm_bench("chat"), [1.0, 3.0, 5.0], [2.0, 2.5, 4.0])]
    score = rule.score(found)
    assert score.sections["easy"] == pytest.approx(3 / 3)  # (2,1), (3,1), (3,2)
    assert score.sections["normal"] == pytest.approx(2 / 3)  # (1,1) is wrong
    assert score.sections["hard"] == pytest.approx(0 / 3)  # (1,2), (1,3), (2,3)
    assert score.accuracy == pytest.approx((1 + 2 / 3 + 0) / 3) == pytest.approx(score.sections["chat"])


def test_rm_bench_averages_the_two_parts_of_safety_first() -> None:
    rule = find_benchmark("rm-bench").rule
    right, wrong = ([2.0] * 3, [1.0] * 3), ([1.0] * 3, [1.0] * 3)  # a tie is wrong
    found = [
        result(rm_bench("safety-refuse"), *right),
        result(rm_bench("safety-refuse"), *right),
        result(rm_bench("safety-response"), *wrong),
        result(rm_bench("math"), *right),
    ]
    score = rule.score(found)
    assert score.sections["safety"] == pytest.approx(0.5) and score.sections["math"] == 1.0
    assert score.accuracy == pytest.approx(0.75)


def test_rm_bench_takes_the_domain_of_files_by_domain() -> None:
    assert rm_bench(None, "/data/safety-refuse_filtered.json:3").subset == "safety-refuse"
    with pytest.raises(RowError, match=r"domain 'total_dataset.json' is none of RM-Bench"):
        rm_bench(None, "total_dataset.json:3")


def judgebench(source: str, label: str) -> BenchmarkItem:
    row = {"pair_id": "x", "original_id": "1", "source": source, "question": "q", "response_model": "m"}
    return read("judgebench", {**row, "response_A": "a", "response_B": "b", "label": label})


def test_judgebench_groups_sources_and_takes_the_better_reply_from_the_label() -> None:
    first, second = judgebench("mmlu-pro-law", "A>B"), judgebench("livebench-math", "B>A")
    assert (first.chosen, first.rejected) == (("a",), ("b",)) and (second.chosen, second.rejected) == (("b",), ("a",))
    rule = find_benchmark("judgebench").rule
    coding = judgebench("livecodebench", "A>B")
    found = [result(first, [1.0], [0.0]), result(second, [1.0], [1.0]), result(coding, [2.0], [1.0])]
    score = rule.score(found)
    assert score.subsets == {"knowledge": 1.0, "math": 0.0, "coding": 1.0}
    assert score.accuracy == pytest.approx(2 / 3)
    with pytest.raises(RowError, match="key 'label' must be A>B or B>A"):
        judgebench("livecodebench", "A=B")


def ppe(winner: str) -> BenchmarkItem | None:
    row = {"question_id": "1", "model_a": "x", "model_b": "y", "winner": winner, "prompt": "p", "response_1": "one"}
    values = {**row, "response_2": "two", "language": "English", "conv_metadata": {}}
    return find_benchmark("ppe").rule.read_row(Row("file.jsonl:1", values))


def test_ppe_leaves_out_votes_for_neither() -> None:
    assert ppe("tie") is None and ppe("tie (bothbad)") is None
    first, second = ppe("model_a"), ppe("model_b")
    assert first is not None and first.chosen == ("one",) and second is not None and second.chosen == ("two",)
    score = find_benchmark("ppe").rule.score([result(first, [1.0], [0.0]), result(second, [0.0], [1.0])])
    assert score.accuracy == 0.5 and score.subsets == {"English": 0.5}
    with pytest.raises(RowError, match="key 'winner' must be model_a, model_b or tie"):
        ppe("model_c")


def test_columns_say_which_benchmark_is_meant() -> None:
    for name in benchmark_names():
        assert recognise_benchmark(find_benchmark(name).columns) == name
    assert recognise_benchmark(["prompt", "chosen", "rejected"]) is None
