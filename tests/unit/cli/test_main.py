"""The command line as a whole: its flags, its exit codes, its one-line errors, its quick start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gazetune import __version__
from gazetune.cli.main import build_parser, leaf_parsers, main

COMMON = {"-h", "--help", "--verbose", "--quiet", "--debug"}
FROZEN = {
    "search": {
        "--name",
        "--resume",
        "--trials",
        "--max-failures",
        "--max-hours",
        "--max-gpu-hours",
        "--max-disk",
        "--set",
        "--warm-start",
        "--storage",
        "--tracking-uri",
        "--address",
        "--json",
    },
    "status": {"--storage", "--json"},
    "stop": {"--trial", "--storage"},
    "explain": {"--pair", "--text", "--prompt", "--out", "--steps", "--shuffles", "--storage", "--json"},
    "space show": {"--set", "--json"},
    "train": {
        "--set",
        "--preset",
        "--name",
        "--storage",
        "--out",
        "--tracking-uri",
        "--json",
        "-d",
        "--dataset",
        "--dataset_name",
        "-m",
        "--model",
        "--model_name",
        "--dataset_split",
        "--subsample_percentage",
        "--concat",
        "--use_softprompt",
        "--use_lora",
        "--use_quantization",
        "--seed",
        "--batch_size",
        "--fold",
        "--train_epochs",
        "--max_length",
        "--learning_rate",
        "--weight_decay",
        "--min_lr_ratio",
        "--noise_factor",
        "--lr_scheduler_type",
        "--gradient_acum_steps",
        "--gradient_checkpointing",
        "--logging_steps",
        "--train_samples",
        "--mode",
        "--fp_dropout",
        "-fmv",
        "--fmv",
        "--fixations_model_version",
        "--features_used",
        "--input_layer",
        "--freeze_layer",
        "--freeze",
        "--grid_search",
    },
    "gaze predict": {"--text", "--predictor", "--path", "--json"},
    "gaze evaluate": {"--predictor", "--path", "--data", "--json"},
    "gaze fit": {
        "--data",
        "--valid",
        "--kind",
        "--out",
        "--seed",
        "--base",
        "--epochs",
        "--learning-rate",
        "--json",
    },
    "gaze import": {
        "--data",
        "--out",
        "--screen",
        "--assign",
        "--cross",
        "--reader-from",
        "--repeats",
        "--max-distance",
        "--min-fixations",
        "--min-assigned",
        "--units",
        "--first-pass-only",
        "--skip-unmatched",
        "--json",
        "--words",
        "--trial-message",
        "--dataset",
        "--content",
        "--columns",
        "--detect",
        "--threshold",
        "--min-duration",
        "--viewing",
        "--format",
        "--min-samples",
        "--min-seen",
        "--min-pairs",
    },
    "gaze stimuli": {"--data", "--out", "--screen", "--font", "--font-size", "--readers", "--seed", "--json"},
    "gaze plot": {"--text", "--pair", "--compare", "--scanpath", "--out", "--measure", "--predictor", "--path"},
    "gaze store": {"--data", "--predictor", "--path", "--storage", "--store", "--workers", "--address", "--json"},
    "gaze probe": {"--data", "--group", "--predictor", "--path", "--pairs", "--set", "--json"},
    "ablate": {
        "--show",
        "--seeds",
        "--name",
        "--resume",
        "--set",
        "--storage",
        "--tracking-uri",
        "--address",
        "--json",
    },
    "report": {"--out", "--storage", "--json"},
    "evaluate": {"--on", "--data", "--out", "--top", "--storage", "--json"},
    "reproduce": {"--name", "--storage", "--json"},
    "ui": {"--port", "--optuna", "--no-browser", "--storage"},
    "compare": {"--split", "--shared", "--storage", "--json"},
    "export": {"--out", "--trial", "--format", "--storage", "--json"},
    "plan": {
        "--set",
        "--nodes",
        "--cpus",
        "--gpus",
        "--calibrate",
        "--examples-per-second",
        "--price",
        "--prices",
        "--json",
    },
    "doctor": {"--json", "--storage", "--tracking-uri", "--build-ops"},
}


def test_the_list_of_commands_and_flags_is_frozen() -> None:
    found = {name: set(parser._option_string_actions) for name, parser in leaf_parsers(build_parser()).items()}
    assert found == {name: flags | COMMON for name, flags in FROZEN.items()}


def test_version_and_help_end_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in ((["--version"], __version__), (["train", "--help"], "--features_used")):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "required: COMMAND"),
        (["serch"], "invalid choice: 'serch'"),
        (["gaze"], "required: COMMAND (see gazetune gaze --help)"),
        (["gaze", "predict"], "required: --text (see gazetune gaze predict --help)"),
        (["train", "--concat", "maybe"], "'maybe' is no truth value; accepted: True, False, 1, 0"),
        (["train", "--concat", "yes"], "'yes' is no truth value"),
        (["train", "-fmv", "3"], "'3' is no published gaze predictor; accepted: 1, 2"),
        (["train", "--features_used", "0,1,0,1"], "a feature mask has 5 flags"),
        (["train", "--features_used", "TRT"], "accepted: five 0/1 flags"),
        (["train", "--features_used", "0,0,0,0,0"], "at least one of"),
        (["train", "--fp_dropout", "0.1"], "two dropouts p1,p2"),
        (["train", "--mode", "test"], "accepted: train, evaluate"),
        (["train", "--learn", "1"], "unrecognized arguments: --learn"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_two(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("gazetune: error: ") and expected in error
    assert error.count("\n") == 1


def test_bad_input_is_one_line_and_exit_two(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("optim:\n  learning_rate: fast\n")
    assert main(["train", str(config)]) == 2
    out, error = capfd.readouterr()
    assert out == ""
    assert error == (
        f'gazetune: error: {config}:2: optim.learning_rate: "fast" is not accepted; accepted: a number > 0\n'
    )


def run_program(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_the_parser_imports_nothing_heavy() -> None:
    done = run_program(
        "import sys; from gazetune.cli.main import build_parser; build_parser()\n"
        "print([name for name in ('torch', 'ray', 'pydantic', 'numpy', 'mlflow', 'rich') if name in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("raised", "code", "expected"),
    [
        ("RunError('every trial\\nFAILed')", 1, "gazetune: error: every trial FAILed\n"),
        ("Interrupted('stopped; run it again to resume')", 130, "gazetune: error: stopped; run it again to resume\n"),
        ("KeyboardInterrupt()", 130, "gazetune: error: interrupted; run the same command again\n"),
        (
            "OSError(28, 'No space left on device', '/runs/a')",
            1,
            "gazetune: error: the disk is full (/runs/a); free some space, or choose another --storage, and run it "
            "again\n",
        ),
        (
            "OSError('55920 requested and 3040 written')",  # numpy's
            1,
            "gazetune: error: the disk is full; free some space, or choose another --storage, and run it again\n",
        ),
    ],
)
def test_each_error_has_its_exit_code(raised: str, code: int, expected: str) -> None:
    done = run_program(_program_that_raises(raised))
    assert (done.returncode, done.stderr) == (code, expected)


def test_an_unexpected_error_is_one_line_and_its_traceback_is_in_the_log() -> None:
    done = run_program(_program_that_raises("ZeroDivisionError('by zero')"))
    assert done.returncode == 1
    assert done.stderr.startswith("gazetune: error: unexpected ZeroDivisionError: by zero (traceback in ")
    log = Path(done.stderr.rpartition("(traceback in ")[2].rstrip(")\n"))
    assert "Traceback (most recent call last)" in log.read_text()
    log.unlink()


def test_debug_shows_the_traceback() -> None:
    done = run_program(_program_that_raises("ZeroDivisionError('by zero')", "--debug"))
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


def _program_that_raises(raised: str, *flags: str) -> str:
    """Return a program whose `gazetune doctor` raises: the real `main` with one command's `run` exchanged."""
    return (
        "import sys; from gazetune.cli import doctor, main; from gazetune.errors import *\n"
        f"def run(args): raise {raised}\n"
        f"doctor.run = run; sys.exit(main.main(['doctor', *{list(flags)}]))"
    )
