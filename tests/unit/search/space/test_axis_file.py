from __future__ import annotations

from typing import Any

import optuna
import pytest

from gazetune.errors import InputError
from gazetune.search.space.axes import ChoiceAxis, IntAxis, SubsetsAxis
from gazetune.search.space.axis_file import parse_axis

FEATURES = ["nFix", "FFD", "GPT", "TRT", "fixProp"]


def drawn(entry: dict[str, Any], count: int = 200) -> list[Any]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    axis = parse_axis("k", entry, "f:1")
    return [axis.suggest_value(study.ask()) for _ in range(count)]


def test_an_int_in_steps_takes_only_what_lies_on_them() -> None:
    assert set(drawn({"int": [4, 16], "step": 4})) == {4, 8, 12, 16}


def test_an_int_on_a_log_scale_prefers_small_values() -> None:
    values = drawn({"int": [1, 1000], "log": True}, 400)
    assert sum(value <= 32 for value in values) > 150  # about half; linear would have 3 %
    assert min(values) >= 1 and max(values) <= 1000


def test_subsets_of_given_sizes_are_drawn_evenly() -> None:
    drawn_masks = [tuple(mask) for mask in drawn({"subsets": FEATURES, "sizes": [2, 1]}, 1500)]
    counts = {mask: drawn_masks.count(mask) for mask in drawn_masks}
    assert len(counts) == 15 and {len(mask) for mask in counts} == {1, 2}
    assert min(counts.values()) > 60 and max(counts.values()) < 150  # 100 each


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        ({"uniform": [0, 1]}, None),
        ({"int": [4, 16], "step": 4}, 4),
        ({"int": [1, 9], "log": True}, 9),
        ({"choice": [1, 2]}, 2),
        ({"subsets": FEATURES}, 31),
        ({"subsets": FEATURES, "sizes": [5]}, 1),
    ],
)
def test_size_of_an_axis(entry: dict[str, Any], size: int | None) -> None:
    assert parse_axis("k", entry, "f:1").count_values() == size


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"int": [4, 15], "step": 4}, r"k: int: step: 4 does not divide 4 to 15; .* upper bound can be 12 or 16"),
        ({"int": [4, 6], "step": 4}, r"upper bound can be 8$"),
        ({"int": [4, 16], "step": 0}, r"step: 0 is not accepted; accepted: an integer >= 1"),
        ({"int": [4, 16], "step": 4, "log": True}, r"step: 4 does not go with log: true"),
        ({"int": [0, 16], "log": True}, r"a logarithmic range needs bounds above 0, got \[0, 16\]"),
        ({"int": [1, 16], "log": "yes"}, r"log: \"yes\" is not accepted; accepted: true or false"),
        ({"int": [1.5, 4]}, r"needs \[low, high\] as whole numbers with low < high, got \[1.5, 4\]"),
        ({"subsets": FEATURES, "sizes": [0, 1]}, r"sizes: \[0, 1\] is not accepted; .* different integers from 1 to 5"),
        ({"subsets": FEATURES, "sizes": [6]}, r"sizes: \[6\] is not accepted"),
        ({"subsets": FEATURES, "sizes": [1, 1]}, r"sizes: \[1, 1\] is not accepted"),
        ({"subsets": FEATURES, "sizes": 2}, r"sizes: 2 is not accepted"),
        ({"subsets": [f"m{n}" for n in range(20)], "sizes": [10]}, r"are 184756 subsets; accepted: at most 1000"),
        ({"choice": [1, 2], "sizes": [1]}, r"'sizes' does not go with choice; accepted: when"),
        ({"uniform": [0, 1], "wehn": "a == b"}, r"'wehn' does not go with uniform; did you mean 'when'\?"),
        ({"uniform": [0, 1], "choice": [1]}, r"is no axis; accepted: uniform, log_uniform"),
        ([1, 2], r"f:1: k: \[1, 2\] is no axis"),
    ],
)
def test_mistakes_name_key_value_and_what_is_accepted(entry: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_axis("k", entry, "f:1")
    assert str(caught.value).startswith("f:1: k: ")


def test_values_are_accepted_in_any_order_and_become_optunas_parameters() -> None:
    subsets = parse_axis("k", {"subsets": FEATURES}, "f")
    assert isinstance(subsets, SubsetsAxis) and subsets.accept_value(["TRT", "FFD"]) == ["FFD", "TRT"]
    last = subsets.optuna_parameters(["fixProp"])  # the last is not asked for when no other was taken
    assert last == {f"k.{name}": False for name in FEATURES[:-1]}
    sized = parse_axis("k", {"subsets": FEATURES, "sizes": [2]}, "f")
    assert isinstance(sized, ChoiceAxis) and sized.accept_value(["TRT", "FFD"]) == ["FFD", "TRT"]
    steps = parse_axis("k", {"int": [4, 16], "step": 4}, "f")
    assert isinstance(steps, IntAxis) and steps.accept_value(8) == 8
    for axis, value in ((steps, 6), (steps, 8.5), (sized, ["FFD"]), (subsets, []), (subsets, ["FFD", "FFD"])):
        with pytest.raises(ValueError):
            axis.accept_value(value)


@pytest.mark.parametrize("entry", [{"subsets": FEATURES}, {"choice": [[1, 2], None, 3]}, {"int": [1, 9]}])
def test_a_trial_with_the_parameters_of_a_value_has_that_value(entry: dict[str, Any]) -> None:
    axis = parse_axis("k", entry, "f")
    for value in axis.example_values():
        assert axis.suggest_value(optuna.trial.FixedTrial(axis.optuna_parameters(value))) == value


def test_a_whole_number_may_be_any_seed_and_no_larger_one() -> None:
    axis = parse_axis("data.seed", {"int": [0, 2**63 - 1]}, "s.yaml:1")
    assert axis.count_values() == 2**63
    with pytest.raises(InputError, match=r"^s.yaml:1: data.seed: int: a bound is beyond \+-9223372036854775807"):
        parse_axis("data.seed", {"int": [0, 2**63]}, "s.yaml:1")
    with pytest.raises(InputError, match=r"needs \[low, high\] with low < high"):
        parse_axis("optim.learning_rate", {"uniform": [1, 10**400]}, "s.yaml:1")
