from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from gazetune.cli.main import main
from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.gaze.evaluation import evaluate_predictor
from gazetune.gaze.fitting.fit import fit_predictor
from gazetune.gaze.fitting.roberta import RobertaRecipe
from gazetune.gaze.measured_sentences import read_measured_sentences
from gazetune.gaze.predictors.lexical import SHIPPED_WEIGHTS, LexicalPredictor
from gazetune.gaze.predictors.registry import create_named_predictor

HEADER = "sentence_id,word_id,word,nFix,FFD,GPT,TRT,fixProp"


@pytest.fixture
def data(made_up: Callable[..., Path]) -> Path:
    return made_up()


@pytest.mark.parametrize("kind", ["lexical", "roberta"])
def test_the_folder_of_a_fit_has_weights_and_card_and_is_a_gaze_path(
    kind: str, data: Path, tiny_roberta: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "fitted"
    recipe = RobertaRecipe(str(tiny_roberta), epochs=1, learning_rate=1e-3) if kind == "roberta" else None
    errors = fit_predictor(kind, data, data, out, recipe=recipe)
    beside = ["config.json", "tokenizer.json"] if kind == "roberta" else []
    assert sorted(path.name for path in out.iterdir()) == sorted([f"{kind}.md", f"{kind}.safetensors", *beside])
    assert [path.name for path in out.parent.iterdir()] == ["fitted"]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    card = (out / f"{kind}.md").read_text()
    sources = [tiny_roberta / "model.safetensors"] if kind == "roberta" else []
    for file in (data, out / f"{kind}.safetensors", *sources):
        assert f"{file.name} | {hashlib.sha256(file.read_bytes()).hexdigest()}" in card
    assert f"| {errors['measures']['nFix']['mae']:.3f} | " in card and f"| {errors['mean_mae']:.3f} |" in card
    results = ModelCard(card).data.eval_results
    assert [result.metric_value for result in results] == [
        round(errors["measures"][name]["mae"], 3) for name in MEASURES
    ]
    by_folder, by_file = (create_named_predictor(kind, str(path)) for path in (out, out / f"{kind}.safetensors"))
    assert by_folder.fingerprint == by_file.fingerprint != LexicalPredictor().fingerprint
    assert evaluate_predictor(by_folder, read_measured_sentences(data)) == errors


def test_a_fit_that_cannot_end_well_is_refused_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{HEADER}\n0,0,word,1,1,1,1,-1\n")
    with pytest.raises(InputError, match=r"kind 'robreta': cannot be fitted; did you mean 'roberta'\?"):
        fit_predictor("robreta", data, data, tmp_path / "out")
    with pytest.raises(InputError, match=r"kind 'lexical': takes no --base, --epochs or --learning-rate"):
        fit_predictor("lexical", data, data, tmp_path / "out", recipe=RobertaRecipe(epochs=3))
    for seed in (-1, 99999999999999999999):
        with pytest.raises(InputError, match=rf"seed: {seed}; accepted: 0 to 9223372036854775807"):
            fit_predictor("lexical", data, data, tmp_path / "out", seed)
    for train, valid in ((bad, data), (data, bad)):
        with pytest.raises(InputError, match=r"bad\.csv row 1: fixProp: -1; accepted: 0 to 100"):
            fit_predictor("lexical", train, valid, tmp_path / "out")
    with pytest.raises(InputError, match="exists already"):
        fit_predictor("lexical", data, data, tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        fit_predictor("lexical", data, data, bad / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_the_command_line_hands_the_recipe_on_and_tells_every_epoch(
    data: Path, tiny_roberta: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = ["--data", str(data), "--valid", str(data), "--kind", "roberta", "--base", str(tiny_roberta)]
    line = ["gaze", "fit", *files, "--epochs", "2", "--learning-rate", "0.002", "--seed", "7", "--json"]
    assert main([*line, "--out", str(tmp_path / "fitted")]) == 0
    out, error = capfd.readouterr()
    assert [epoch for epoch in range(4) if f"epoch {epoch} of 2: mean MAE on held-out sentences" in error] == [1, 2]
    card = " ".join((tmp_path / "fitted" / "roberta.md").read_text().split())
    assert f"`{tiny_roberta}` with seed 7: 2 epochs with a learning rate of up to 0.002." in card
    recipe = RobertaRecipe(str(tiny_roberta), epochs=2, learning_rate=0.002)
    errors = fit_predictor("roberta", data, data, tmp_path / "again", 7, recipe)
    assert json.loads(out) == errors
    evaluate = ["gaze", "evaluate", "--predictor", "roberta", "--path", str(tmp_path / "fitted")]
    assert main([*evaluate, "--data", str(data), "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == errors
    assert main([*line, "--out", str(tmp_path / "quiet"), "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_an_interrupted_fit_leaves_nothing(made_up: Callable[..., Path], tiny_roberta: Path, tmp_path: Path) -> None:
    data = made_up("few.csv", sentences=20)
    options = ["--kind", "roberta", "--base", str(tiny_roberta), "--epochs", "100000", "--out", "new/fitted"]
    line = [sys.executable, "-m", "gazetune.cli.main", "gaze", "fit", "--data", str(data), "--valid", str(data)]
    with subprocess.Popen([*line, *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = next(row for row in process.stderr if "mean MAE on held-out sentences" in row)
        assert any(path.name.startswith(".") and path.name.endswith(".fitted") for path in tmp_path.iterdir())
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert "epoch 1 of 100000" in seen
    assert process.returncode == 130 and rest.endswith("gazetune: error: interrupted; run the same command again\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.long("gaze")
def test_a_fit_to_the_shared_task_is_as_good_as_the_shipped_weights(shared: Path, tmp_path: Path) -> None:
    train, valid = (shared / "data" / "cmcl2021" / name for name in ("train.csv", "valid.csv"))
    found = fit_predictor("lexical", train, valid, tmp_path / "out")
    # Bit for bit only on the kind of machine that made them: processors differ in how they round.
    assert found["mean_mae"] == pytest.approx(
        evaluate_predictor(LexicalPredictor(), read_measured_sentences(valid))["mean_mae"], abs=0.03
    )


def test_the_shipped_card_is_that_of_the_shipped_weights() -> None:
    assert hashlib.sha256(SHIPPED_WEIGHTS.read_bytes()).hexdigest() in SHIPPED_WEIGHTS.with_suffix(".md").read_text()
