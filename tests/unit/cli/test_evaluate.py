"""`gazetune evaluate --on`: our models and those of transformers in one table, and what is refused in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gazetune.cli.main import main
from gazetune.config import Config
from gazetune.evaluate.margins import read_margins
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.saved.export import export_classifier
from tests.saved_models import save_perturbed_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a saved model without gaze, and the same one as transformers knows it."""
    folder = tmp_path_factory.mktemp("models")
    tree = {"data": {"source": "planted", "pairs": 40}, "gaze": {"predictor": "planted"}, "fusion": {"kind": "none"}}
    config = Config.model_validate(tree)
    save_perturbed_model(folder / "ours" / "best", config, prepare_data(config, folder / "cache"))
    export_classifier(folder / "ours" / "best", folder / "theirs", "")
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rows") / "judgebench.jsonl"
    sources = ("mmlu-pro-law", "livebench-math", "livecodebench", "livebench-reasoning")
    lines = [
        {
            **{"pair_id": f"{at}", "original_id": "1", "source": sources[at % 4], "response_model": "m"},
            **{
                "question": f"What is {at}?",
                "response_A": f"It is {at}.",
                "response_B": "I do not know " * (at % 3 + 1),
            },
            "label": "A>B" if at % 2 else "B>A",
        }
        for at in range(40)
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def test_our_model_and_its_export_have_the_same_scores(
    models: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(models / "ours"), str(models / "theirs")]
    command = ["evaluate", *names, "--on", "judgebench", "--data", str(rows), "--storage", str(tmp_path / "runs")]
    assert main([*command, "--json"]) == 0
    ours, theirs = json.loads(capsys.readouterr().out)
    assert set(ours) == {
        *("benchmark", "model", "accuracy", "n", "ci95", "subsets", "sections", "ties"),
        *("left_out", "skipped", "margins"),
    }
    assert [ours["model"], theirs["model"]] == names and ours["n"] == 40
    assert {key: ours[key] for key in ("accuracy", "ci95", "subsets")} == {
        key: theirs[key] for key in ("accuracy", "ci95", "subsets")
    }
    kept = [read_margins(Path(each["margins"])) for each in (ours, theirs)]
    assert kept[0].items.tolist() == kept[1].items.tolist()
    assert abs(kept[0].margins - kept[1].margins).max() < 1e-5

    assert main([*command, "--out", str(tmp_path / "tables")]) == 0
    printed = capsys.readouterr().out
    assert "Both are right equally often" in printed
    with (tmp_path / "tables" / "judgebench.csv").open() as stream:
        found = list(csv.DictReader(stream))
    assert [float(row["accuracy"]) for row in found if row["of"] == "score"] == [ours["accuracy"]] * 2
    assert r"\toprule" in (tmp_path / "tables" / "judgebench.tex").read_text()
    assert main(["compare", *(each["margins"] for each in (ours, theirs))]) == 0


def test_every_row_of_a_file_of_pairs_is_scored(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pairs.jsonl"
    pairs = [{"prompt": "Why?", "chosen": f"So {at}.", "rejected": "No."} for at in range(10)]
    file.write_text("".join(f"{json.dumps(pair)}\n" for pair in [*pairs, {"prompt": "Why?", "chosen": 7}]))
    command = ["evaluate", str(models / "ours"), "--on", str(file), "--storage", str(tmp_path / "runs"), "--json"]
    assert main(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["n"] == 10 and sum(document["skipped"].values()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["MODEL", "--on", "rewardbench", "--data", "ROWS"], "these are the columns of --on judgebench"),
        (["MODEL", "--on", "judgebanch", "--data", "ROWS"], "is no benchmark and no file; did you mean 'judgebench'"),
        (["MODEL", "MODEL", "--on", "judgebench", "--data", "ROWS"], "is named twice"),
        (["nobody", "--on", "judgebench", "--data", "ROWS"], "'nobody' is no saved model"),
        (["MODEL", "--on", "judgebench", "--data", "ROWS", "--top", "3"], "--top: says which trials"),
        (["MODEL", "--data", "ROWS"], "--data: goes with --on"),
        (["MODEL", "--out", "x"], "--out: goes with --on"),
        (["one", "two"], "two: one search at a time without --on"),
        (["one", "--top", "0"], "--top: 0 is not accepted"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(
    arguments: list[str], told: str, models: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.replace("MODEL", str(models / "ours")).replace("ROWS", str(rows)) for each in arguments]
    assert main(["evaluate", *given, "--storage", str(tmp_path / "runs")]) == 2
    printed, error = capsys.readouterr()
    assert printed == "" and told in error.strip().splitlines()[-1]
    assert not (tmp_path / "runs").exists()
