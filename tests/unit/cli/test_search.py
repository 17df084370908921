"""What `gazetune search` takes together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["search"], "needs SPACE or --resume NAME"),
        (["search", "demo", "--resume", "a"], "--resume a: SPACE cannot be changed"),
        (["search", "--resume", "a", "--set", "train.seed=1"], "--resume a: --set cannot be changed"),
        (["search", "--resume", "a", "--trials", "9"], "--resume a: --trials cannot be changed"),
        (["search", "--resume", "a", "--max-failures", "9"], "--resume a: --max-failures cannot be changed"),
        (["search", "smoke", "--max-failures", "-1"], "search.max_failures: -1 is not accepted"),
        (["search", "smoke", "--max-hours", "-1"], "search.max_hours: -1.0 is not accepted; accepted: a number > 0"),
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


def test_a_search_that_is_not_there_cannot_be_resumed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "space.yaml").write_text("")
    assert main(["search", "--resume", "mine", "--storage", str(tmp_path)]) == 2
    assert f"there is no search 'mine' in {tmp_path}; accepted: other" in capfd.readouterr().err
