"""The config tree itself: masks, resolved values, refusals."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gazetune.config import Config, parse_feature_mask


def test_adapter_auto_is_full_for_tiny_and_lora_for_others() -> None:
    assert Config().adapter.kind == "full"
    assert Config(backbone="org/model").adapter.kind == "lora"
    assert Config(backbone="org/model", adapter={"kind": "none"}).adapter.kind == "none"


@pytest.mark.parametrize("mask", ["0,1,0,1,0", [0, 1, 0, 1, 0], ["TRT", "FFD"], [False, True, False, True, False]])
def test_a_mask_in_any_form_becomes_names_in_canonical_order(mask: object) -> None:
    assert parse_feature_mask(mask) == ("FFD", "TRT")


@pytest.mark.parametrize("mask", [[0, 1, 0, 1], [0, 0, 0, 0, 0], ["XYZ"], [], 5, None, {"TRT": 1}])
def test_a_wrong_mask_is_a_validation_error_and_no_crash(mask: object) -> None:
    with pytest.raises(ValidationError):
        Config(gaze={"features": mask})


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ("20GB", 20 * 10**9),
        ("20G", 20 * 10**9),
        ("20gb", 20 * 10**9),
        ("3 mib", 3 * 2**20),
        ("1.5 TiB", 3 * 2**39),
        ("500", 500),
        (500, 500),
        ("7KB", 7000),
    ],
)
def test_a_size_on_disk_may_have_a_unit(size: object, count: int) -> None:
    assert Config(search={"max_disk": size}).search.max_disk == count


@pytest.mark.parametrize("size", ["20XB", "GB", "-5GB", "1e9", "0.1", -1, 0, "", "20 G B"])
def test_a_wrong_size_is_a_validation_error(size: object) -> None:
    with pytest.raises(ValidationError):
        Config(search={"max_disk": size})


@pytest.mark.parametrize(
    ("duration", "hours"),
    [("30min", 0.5), ("2h", 2), ("90s", 0.025), ("1h30m", 1.5), ("1 h 30 min", 1.5), ("1.5", 1.5), ("2d", 48), (3, 3)],
)
def test_a_cap_on_hours_may_have_units(duration: object, hours: float) -> None:
    assert Config(search={"max_hours": duration}).search.max_hours == pytest.approx(hours)
    assert Config(search={"max_gpu_hours": duration}).search.max_gpu_hours == pytest.approx(hours)


@pytest.mark.parametrize(("duration", "seconds"), [("10min", 600), ("90", 90), ("1h", 3600), (5, 5)])
def test_patience_is_in_seconds_unless_a_unit_says_otherwise(duration: object, seconds: float) -> None:
    assert Config(search={"node_patience": duration}).search.node_patience == seconds


@pytest.mark.parametrize("duration", ["-1", "nan", "inf", "0", "h", "30 parsecs", "1h30", "1:30", "", "-30min", "0min"])
def test_a_wrong_duration_is_a_validation_error(duration: str) -> None:
    with pytest.raises(ValidationError):
        Config(search={"max_hours": duration})


def test_a_section_that_is_no_mapping_is_a_validation_error_and_no_crash() -> None:
    for value in ("lora", 3, ["lora"]):
        with pytest.raises(ValidationError):
            Config(adapter=value)


def test_shares_of_splits_must_sum_to_one() -> None:
    assert Config(data={"splits": [0.7, 0.15, 0.15]}).data.splits == (0.7, 0.15, 0.15)
    with pytest.raises(ValidationError, match="sum to 1"):
        Config(data={"splits": [0.7, 0.15, 0.1]})


def test_early_stop_is_off_or_a_mapping_with_defaults() -> None:
    assert Config().train.early_stop is None
    stop = Config(train={"early_stop": {"min_delta": 0.01}}).train.early_stop
    assert stop is not None and (stop.patience, stop.min_delta, stop.metric) == (3, 0.01, "val/accuracy")


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "scores", None, [1]])
def test_a_margin_is_none_the_score_or_a_finite_number_from_0(value: object) -> None:
    assert [Config(loss={"margin": good}).loss.margin for good in ("none", "score", 0, 1.5)] == [
        "none",
        "score",
        0,
        1.5,
    ]
    with pytest.raises(ValidationError):
        Config(loss={"margin": value})


def test_confirm_is_off_quick_full_or_a_mapping_with_defaults() -> None:
    for value in ("off", False, None):  # YAML takes off for false
        assert Config(search={"confirm": value}).search.confirm is None
    full = Config().search.confirm
    assert full == Config(search={"confirm": "full"}).search.confirm == Config(search={"confirm": {}}).search.confirm
    assert full is not None and (full.top, full.folds, full.seeds, len(full.controls)) == (3, 4, 2, 3)
    quick = Config(search={"confirm": "quick"}).search.confirm
    assert quick is not None and (quick.top, quick.folds, quick.seeds, len(quick.controls)) == (2, 2, 1, 3)
    assert Config.model_validate(Config(search={"confirm": "quick"}).model_dump(mode="json")).search.confirm == quick
