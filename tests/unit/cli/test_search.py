"""What `gazetune search` takes together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.cli.main import build_parser, main
from gazetune.cli.search import list_overrides
from gazetune.config.config_file import load_config


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["search"], "needs SPACE or --resume NAME"),
        (["search", "demo", "--resume", "a"], "--resume a: SPACE cannot be changed"),
        (["search", "--resume", "a", "--set", "train.seed=1"], "--resume a: --set cannot be changed"),
        (["search", "--resume", "a", "--trials", "9"], "--resume a: --trials cannot be changed"),
        (["search", "--resume", "a", "--max-failures", "9"], "--resume a: --max-failures cannot be changed"),
        (["search", "smoke", "--max-failures", "-1"], "search.max_failures: -1 is not accepted"),
        (["search", "smoke", "--max-hours", "-1"], "search.max_hours: -1 is not accepted; accepted: a number > 0"),
        (["search", "smoke", "--max-hours", "nan"], 'search.max_hours: "nan" is not accepted'),
        (["search", "smoke", "--max-disk", "20XB"], 'search.max_disk: "20XB" is not accepted: a size is a number'),
        (["search", "smoke", "--max-gpu-hours", "1"], "search.max_gpu_hours: 1 is never reached, as resources.gpus_"),
        (["search", "--resume", "a", "--max-disk", "0"], "search.max_disk: 0 is not accepted"),
    ],
)
def test_what_does_not_go_together_is_one_line_and_exit_two(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (
            "--max-hours",
            "30 parsecs",
            '"30 parsecs" is not accepted: a duration is a number of hours, or numbers with units such as 90s, 30min, '
            "2h, 1h30m, 1.5d",
        ),
        (
            "--max-disk",
            "20Q",
            '"20Q" is not accepted: a size is a number of bytes, or a number with one of KB, MB, GB, TB, KiB, MiB, '
            "GiB, TiB, K, M, G, T",
        ),
        ("--trials", "0", "0 is not accepted; accepted: an integer >= 1"),
    ],
)
def test_a_wrong_value_is_refused_under_the_name_of_its_option(
    option: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "smoke", option, value]) == 2
    key = option[2:].replace("-", "_")
    assert capsys.readouterr().err == f"gazetune: error: {option}: search.{key}: {told}\n"


@pytest.mark.parametrize(
    ("option", "value", "cap"),
    [("--max-hours", "30min", 0.5), ("--max-hours", "1h30m", 1.5), ("--max-disk", "20G", 2e10)],
)
def test_caps_may_have_units(option: str, value: str, cap: float) -> None:
    args = build_parser().parse_args(["search", "smoke", option, value])
    assert load_config(None, list_overrides(args)).search.model_dump()[option[2:].replace("-", "_")] == cap


def test_a_search_that_is_not_there_cannot_be_resumed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "space.yaml").write_text("")
    assert main(["search", "--resume", "mine", "--storage", str(tmp_path)]) == 2
    assert f"there is no search 'mine' in {tmp_path}; accepted: other" in capfd.readouterr().err
