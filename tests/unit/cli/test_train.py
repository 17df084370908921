"""From a command line of `gazetune train` to its config: README lines of the reference, and what wins over what."""

from __future__ import annotations

import argparse
import logging
import shlex
from pathlib import Path

import pytest

from gazetune.cli.main import build_parser
from gazetune.cli.train import config_of, place_of, saved_folder
from gazetune.config import Config
from gazetune.config_file import write_config
from gazetune.errors import InputError

SHARED_PART = (
    "--concat True --use_softprompt True --learning_rate 5e-5 --logging_steps 64 "
    "--lr_scheduler_type cosine_with_min_lr --min_lr_ratio 0.7 --batch_size 8 --fp_dropout 0.1,0.3"
)
README_LINES = (
    f"-d nvidia/HelpSteer2 -m mistralai/Mistral-7B-v0.3 {SHARED_PART} -fmv 1 --seed 44",
    f"-d OpenAssistant/oasst1 -m meta-llama/Meta-Llama-3-8B {SHARED_PART} -fmv 2 --features_used 0,1,0,1,0 --seed 44",
)


def parsed(line: str) -> argparse.Namespace:
    return build_parser().parse_args(["train", *shlex.split(line)])


def config(line: str) -> Config:
    return config_of(parsed(line))


def test_both_readme_lines_of_the_reference_give_their_config() -> None:
    first, second = (config(f"{line} --use_quantization False") for line in README_LINES)
    assert (first.data.source, first.backbone) == ("nvidia/HelpSteer2", "mistralai/Mistral-7B-v0.3")
    assert (second.data.source, second.backbone) == ("OpenAssistant/oasst1", "meta-llama/Meta-Llama-3-8B")
    assert first.gaze.features == ("TRT",) and second.gaze.features == ("FFD", "TRT")
    for each in (first, second):
        assert (each.fusion.kind, each.adapter.kind, each.projector.dropout) == ("concat", "lora", (0.1, 0.3))
        assert (each.train.seed, each.data.seed, each.train.batch_size, each.train.epochs) == (44, 44, 8, 2)
        assert (each.optim.schedule, each.optim.learning_rate, each.optim.min_lr_ratio) == (
            "cosine_with_min_lr", 5e-5, 0.7,
        )  # fmt: skip
        assert (each.train.eval_every, each.train.gradient_checkpointing, each.data.max_chars) == (64, True, 10000)


def test_both_spellings_of_a_flag_mean_the_same() -> None:
    short = "-d a.jsonl -m tiny -fmv 2"
    for long in ("--dataset a.jsonl --model tiny --fmv 2",
                 "--dataset_name a.jsonl --model_name tiny --fixations_model_version 2"):  # fmt: skip
        assert config(long) == config(short)


def test_without_arguments_the_config_is_the_default() -> None:
    assert config("") == Config()


def test_set_wins_over_flags_and_flags_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("optim: {learning_rate: 1e-3, weight_decay: 0.3, min_lr_ratio: 0.5}\ntrain: {epochs: 5}")
    found = config(f"{file} --learning_rate 1e-4 --weight_decay 0.2 --set optim.learning_rate=1e-5")
    assert (found.optim.learning_rate, found.optim.weight_decay, found.optim.min_lr_ratio) == (1e-5, 0.2, 0.5)
    # Beside a file the reference's own defaults do not count.
    assert (found.train.epochs, found.backbone, found.data.source) == (5, "tiny", "planted")


def test_an_error_names_the_flag_the_override_or_the_line(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("train:\n  epochs: 0\n")
    for line, start in (
        ("-m tiny --learning_rate -1", "--learning_rate: optim.learning_rate: -1.0 is not"),
        ("-m tiny --lr_scheduler_type warm", '--lr_scheduler_type: optim.schedule: "warm" is not'),
        ("--set train.batch_size=0", "--set: train.batch_size: 0 is not"),
        (str(file), f"{file}:2: train.epochs: 0 is not"),
    ):
        with pytest.raises(InputError) as caught:
            config(line)
        assert str(caught.value).startswith(start)


def warnings_of(line: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="gazetune"):
        config(line)
    return [record.getMessage() for record in caplog.records]


def test_flags_without_effect_and_stand_ins_are_told_in_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    quiet = "-m tiny --use_quantization False"
    stand_in = "the embedded lexical predictor stands in"
    assert warnings_of(f"-d planted {quiet}", caplog) == []
    assert warnings_of(f"-d a.jsonl --use_softprompt False {quiet}", caplog) == []
    (told,) = warnings_of(f"-d a.jsonl -fmv 2 {quiet}", caplog)
    assert told.startswith("-fmv 2: the published predictor 2 file") and told.endswith(stand_in)
    ignored = warnings_of(f"-d planted {quiet} --freeze --grid_search True --freeze_layer 3 --input_layer 1", caplog)
    assert [line.split()[0] for line in ignored] == ["--input_layer", "--freeze_layer", "--freeze", "--grid_search"]
    assert "--features_used has no effect with -fmv 1" in warnings_of(f"-d planted {quiet} --features_used 1,0,0,0,0",
                                                                      caplog)[0]  # fmt: skip


def test_with_a_path_the_flag_takes_the_published_predictor(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    quiet = "-d a.jsonl -m tiny --use_quantization False"
    first = config(f"{quiet} --set gaze.path=weights -fmv 1")
    assert (first.gaze.predictor, first.gaze.features, first.gaze.path) == ("bilstm", ("TRT",), "weights")
    second = config(f"{quiet} --set gaze.path=some/weights@abc -fmv 2 --features_used 0,1,0,1,0")
    assert (second.gaze.predictor, second.gaze.features) == ("roberta", ("FFD", "TRT"))
    assert second.gaze.path == "some/weights@abc"
    assert warnings_of(f"{quiet} --set gaze.path=weights -fmv 2", caplog) == []
    assert config(f"{quiet} --set gaze.path=p --set gaze.predictor=recorded -fmv 1").gaze.predictor == "recorded"
    file = tmp_path / "run.yaml"
    file.write_text("gaze: {path: weights}")
    assert config(f"{file} -fmv 2").gaze.predictor == "roberta"
    assert config(f"{file}").gaze.predictor == "lexical"


def test_a_backbone_that_the_reference_would_quantize_is_told_to_stay_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = "--use_quantization: NF4 weights are not built in; the backbone stays unquantized"
    assert warnings_of("-d planted -m some/model", caplog) == [told]
    assert warnings_of("-d planted -m some/model --use_quantization False", caplog) == []
    assert warnings_of("-d planted -m tiny", caplog) == []


def test_out_is_storage_and_name_in_one(tmp_path: Path) -> None:
    assert place_of(parsed(f"--out {tmp_path}/runs/first")) == ("first", tmp_path / "runs")
    assert place_of(parsed("")) == (None, Path("gazetune_runs"))
    assert place_of(parsed("--storage a --name b")) == ("b", Path("a"))
    with pytest.raises(InputError, match="cannot stand beside --name"):
        place_of(parsed("--out x --name y"))


def test_the_tracking_uri_becomes_its_key() -> None:
    assert config("--tracking-uri http://localhost:1").tracking.uri == "http://localhost:1"


def test_evaluate_keeps_the_saved_config_and_takes_other_data(tmp_path: Path) -> None:
    saved = Config(train={"batch_size": 4}, fusion={"kind": "concat"}, data={"seed": 5})
    write_config(saved, tmp_path / "config.yaml")
    args = parsed(f"--mode evaluate -m {tmp_path} -d other.jsonl --batch_size 32")
    folder = saved_folder(args)
    assert folder == tmp_path
    data = saved.data.model_copy(update={"source": "other.jsonl"})
    assert config_of(args, folder) == saved.model_copy(update={"data": data})
    with pytest.raises(InputError, match=r"--set fusion\.kind: --mode evaluate keeps"):
        config_of(parsed(f"--mode evaluate -m {tmp_path} --set fusion.kind=add"), folder)


def test_evaluate_needs_a_saved_folder(tmp_path: Path) -> None:
    assert saved_folder(parsed("--mode train -m tiny")) is None
    with pytest.raises(InputError, match="needs the folder of a saved reward model"):
        saved_folder(parsed("--mode evaluate"))
    with pytest.raises(InputError, match="is no saved reward model"):
        saved_folder(parsed(f"--mode evaluate --out {tmp_path}"))
