"""Study files: arms that are listed, factors that are combined, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gazetune.ablation.study.contrasts import list_contrasts
from gazetune.ablation.study.study import Study
from gazetune.ablation.study.study_file import read_study
from gazetune.errors import InputError

BASE = "name: mine\nbase: {gaze: {predictor: planted}, fusion: {kind: add}}\n"
ARMS = "arms:\n  none: {fusion.kind: none}\n  real: {}\n  noise: {gaze.control: noise}\n"
END = "baseline: none\nseeds: [0, 1]\n"
FACTORS = """
factors:
  data.seed: [0, 1]
  fusion.kind: [none, add]
  gaze.features: {choice: [[TRT], [FFD, TRT]], when: fusion.kind != none}
baseline: {fusion.kind: none}
seeds: [0]
"""

ReadText = Callable[..., Study]


@pytest.fixture
def read(tmp_path: Path) -> ReadText:
    def read_text(text: str, **given: object) -> Study:
        (tmp_path / "study.yaml").write_text(text)
        return read_study(tmp_path / "study.yaml", **given)  # type: ignore[arg-type]

    return read_text


def test_cells_are_arms_times_seeds_and_all_arms_have_the_first_seed_first(read: ReadText) -> None:
    study = read(BASE + ARMS + END)
    assert [(cell.id, cell.arm, cell.seed) for cell in study.cells] == [
        ("0000", "none", 0),
        ("0001", "real", 0),
        ("0002", "noise", 0),
        ("0003", "none", 1),
        ("0004", "real", 1),
        ("0005", "noise", 1),
    ]
    assert [cell.config.train.seed for cell in study.cells] == [0, 0, 0, 1, 1, 1]
    assert {cell.config.data.seed for cell in study.cells} == {0}, "the data have a seed of their own"


def test_a_study_reads_back_equal_as_it_is_kept_to_be_resumed(read: ReadText) -> None:
    for text in (BASE + ARMS + END, BASE + FACTORS):
        study = read(text)
        again = read(study.to_yaml())
        assert (again.arms, again.seeds, again.base) == (study.arms, study.seeds, study.base)


def test_factors_are_combined_and_each_arm_has_the_baseline_with_its_other_factors(read: ReadText) -> None:
    study = read(BASE + FACTORS)
    assert {arm.name: arm.baseline for arm in study.arms} == {
        "seed=0 none": None,
        "seed=0 add TRT": "seed=0 none",
        "seed=0 add FFD+TRT": "seed=0 none",
        "seed=1 none": None,
        "seed=1 add TRT": "seed=1 none",
        "seed=1 add FFD+TRT": "seed=1 none",
    }


def test_one_at_a_time_changes_one_factor_of_the_base(read: ReadText) -> None:
    text = BASE + "design: one_at_a_time\n" + FACTORS.replace("{fusion.kind: none}", "{data.seed: 0, fusion.kind: add}")
    text = text.replace("[TRT], [FFD, TRT]]", "[nFix, FFD, GPT, TRT, fixProp], [TRT]]")
    all_measures = "seed=0 add nFix+FFD+GPT+TRT+fixProp"
    assert [
        (arm.name, arm.baseline)
        for arm in read(
            text.replace(
                "fusion.kind: add}\nseeds", "fusion.kind: add, gaze.features: [nFix, FFD, GPT, TRT, fixProp]}\nseeds"
            )
        ).arms
    ] == [
        ("seed=0 none", all_measures),
        (all_measures, None),
        ("seed=0 add TRT", all_measures),
        ("seed=1 add nFix+FFD+GPT+TRT+fixProp", all_measures),
    ]


def test_an_arm_with_gaze_is_compared_with_its_baseline_and_with_its_own_controls(read: ReadText) -> None:
    text = BASE + ARMS + "  other: {gaze.control: noise, optim.learning_rate: 1.0e-2}\n" + END
    assert [(each.arm, each.baseline, each.purpose) for each in list_contrasts(read(text))] == [
        ("real", "none", "gaze"),
        ("real", "noise", "gaze"),
        ("noise", "none", "control"),
        ("other", "none", "control"),
    ]


def test_a_control_with_another_baseline_is_compared_with_the_arm_without_gaze_too(read: ReadText) -> None:
    text = BASE + ARMS + END.replace("baseline: none", "baseline: {real: none, noise: real}")
    assert [(each.arm, each.baseline, each.purpose) for each in list_contrasts(read(text))] == [
        ("real", "none", "gaze"),
        ("real", "noise", "gaze"),
        ("noise", "none", "control"),
        ("noise", "real", "setting"),
    ]


def test_set_gives_a_factor_one_value_and_arms_that_become_equal_are_run_once(read: ReadText) -> None:
    study = read(BASE + FACTORS, overrides=["data.seed=7", "gaze.features=[GPT]"])
    assert [(arm.name, arm.baseline) for arm in study.arms] == [("none", None), ("add", "none")]
    assert study.arm_configs["add"].data.seed == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + ARMS + "  real: {}\n" + END, r"study.yaml:7: .*real.* twice|study.yaml:7: key 'real' stands twice"),
        (BASE + ARMS + "  same: {gaze.control: noise}\n" + END, "study.yaml:7: arms 'noise' and 'same' are the same"),
        (BASE + ARMS + "seeds: [0]\n", "baseline: is missing; accepted: the name of an arm: none, real, noise"),
        (BASE + FACTORS.replace("baseline: {fusion.kind: none}", ""), "baseline: is missing; accepted: values of fact"),
        (BASE + ARMS + END.replace("[0, 1]", "[0, 1, 0]"), "study.yaml:8: seeds: 0 stands twice; accepted: each seed"),
        (BASE + ARMS + END.replace("[0, 1]", "[]"), "study.yaml:8: seeds: needs at least one seed"),
        (BASE + ARMS + END.replace("[0, 1]", "42"), "study.yaml:8: seeds: 42 is no list; accepted: a list such as"),
        (BASE + ARMS + END.replace("[0, 1]", "[-1]"), "study.yaml:8: seeds: -1 is no seed"),
        (BASE + ARMS + "baseline: nnoe\nseeds: [0]\n", "study.yaml:7: baseline: nnoe is no arm; did you mean 'none'"),
        (BASE + END, "a study needs `arms` or `factors`, got neither"),
        (BASE + ARMS + FACTORS, "a study needs `arms` or `factors`, got arms and factors"),
        (BASE + ARMS + END + "tune: {trials: 3}\n", "study.yaml:9: tune: arms with a search of their own are not"),
        (BASE + ARMS + END + "test_sets: [a.jsonl]\n", "study.yaml:9: test_sets: other test sets than the split are"),
        (BASE + ARMS + END + "seed: 3\n", "study.yaml:9: unknown key 'seed'; did you mean 'seeds'?"),
        (BASE + ARMS.replace("gaze.control: noise", "gaze.contrl: noise") + END, "study.yaml:6: arms: noise: unknown"),
        (
            BASE + ARMS.replace("gaze.control: noise", "train.seed: 3") + END,
            "study.yaml:6: arms: noise: train.seed: is",
        ),
        (BASE + ARMS.replace("noise}", "nois}") + END, r"study.yaml:6: arms: noise: gaze.control: \"nois\" is not acc"),
        (BASE + ARMS + END + "design: grid\n", "study.yaml:9: design: goes with `factors`"),
        (BASE + FACTORS + "design: all\n", "study.yaml:10: design: all is not accepted; accepted: grid, one_at_a_time"),
        (BASE + FACTORS.replace("[0, 1]", "{uniform: [0, 1]}"), "study.yaml:5: factors: data.seed: a range has no end"),
        (BASE + FACTORS.replace("data.seed", "train.seed"), "study.yaml:5: factors: train.seed: is what `seeds` lists"),
        (BASE + FACTORS.replace("kind: none}", "kind: gated}"), "study.yaml:8: baseline: fusion.kind: gated is no val"),
        (
            BASE + FACTORS.replace("{fusion.kind: none}", "{fusion.kind: add}"),
            "study.yaml:8: baseline: .* is 2 arms fo",
        ),
        (
            BASE + FACTORS.replace("{fusion.kind: none}", "none"),
            "study.yaml:8: baseline: none is not accepted; accepted",
        ),
        (BASE.replace("kind: add}", "kind: ad}") + ARMS + END, "fusion.kind"),
        (BASE + "search: {trials: 3}\n" + ARMS + END, "study.yaml:3: unknown key 'search'"),
        (
            BASE.replace("base: {", "base: {search: {max_hours: 1}, ") + ARMS + END,
            "base.search.max_hours|search.max_hours",
        ),
    ],
)
def test_what_is_wrong_with_a_study_is_one_line(read: ReadText, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(text)


def test_seeds_of_the_command_line_stand_in_place_of_the_files(read: ReadText) -> None:
    assert read(BASE + ARMS + END, seeds=(5, 6)).seeds == (5, 6)
    with pytest.raises(InputError, match="--seeds: 5 stands twice"):
        read(BASE + ARMS + END, seeds=(5, 5))


def test_set_of_what_arms_set_is_refused(read: ReadText) -> None:
    with pytest.raises(InputError, match=r"--set gaze.control: the arms of .* set it"):
        read(BASE + ARMS + END, overrides=["gaze.control=none"])


def test_a_search_space_names_the_command_for_it(read: ReadText) -> None:
    with pytest.raises(InputError, match=r"is a search space .* run it with: gazetune search"):
        read("name: mine\nspace: {optim.learning_rate: {choice: [1.0e-3]}}\n")


def test_files_that_arms_name_are_absolute_wherever_the_ablation_goes_on(
    read: ReadText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    study = read(BASE + ARMS + "  other: {data.source: other.jsonl}\n" + END)
    monkeypatch.chdir("/")
    assert read(study.to_yaml()).arm_configs["other"].data.source == str(tmp_path / "other.jsonl")
