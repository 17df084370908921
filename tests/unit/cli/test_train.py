"""From a command line of `gazetune train` to its config: README lines of the reference, and what wins over what."""

from __future__ import annotations

import argparse
import logging
import shlex
from pathlib import Path

import pytest

from gazetune.cli.main import build_parser
from gazetune.cli.train import find_evaluated_folder, find_run_folder, read_config
from gazetune.config import Config
from gazetune.config.config_file import write_config
from gazetune.config.keys import get_key
from gazetune.errors import InputError
from gazetune.reward.model.quantization import has_bitsandbytes
from gazetune.train.reference_flags import FLAGS

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
    return read_config(parsed(line))


def test_both_readme_lines_of_the_reference_give_their_config() -> None:
    first, second = (config(f"{line} --use_quantization False") for line in README_LINES)
    assert (first.data.source, first.backbone) == ("nvidia/HelpSteer2", "mistralai/Mistral-7B-v0.3")
    assert (second.data.source, second.backbone) == ("OpenAssistant/oasst1", "meta-llama/Meta-Llama-3-8B")
    assert first.gaze.features == ("TRT",) and second.gaze.features == ("FFD", "TRT")
    for each in (first, second):
        assert (each.fusion.kind, each.adapter.kind, each.projector.dropout) == ("concat", "lora", (0.1, 0.3))
        assert (each.train.seed, each.data.seed, each.train.batch_size, each.train.epochs) == (44, 44, 8, 2)
        assert (each.optim.schedule, each.optim.learning_rate, each.optim.min_lr_ratio) == (
            "cosine_with_min_lr",
            5e-5,
            0.7,
        )
        assert (each.train.eval_every, each.train.gradient_checkpointing, each.data.max_chars) == (64, True, 10000)


def test_both_spellings_of_a_flag_mean_the_same() -> None:
    short = "-d a.jsonl -m tiny -fmv 2"
    for long in (
        "--dataset a.jsonl --model tiny --fmv 2",
        "--dataset_name a.jsonl --model_name tiny --fixations_model_version 2",
    ):
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
    assert (
        "--features_used has no effect with -fmv 1"
        in warnings_of(f"-d planted {quiet} --features_used 1,0,0,0,0", caplog)[0]
    )


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
    told = "--use_quantization: {}; the backbone stays unquantized"
    assert warnings_of("-d planted -m some/model --use_quantization False", caplog) == []
    assert warnings_of("-d planted -m tiny", caplog) == [told.format("tiny is not quantized")]
    full = told.format("4-bit weights cannot train (--use_lora False)")
    assert warnings_of("-d planted -m some/model --use_lora False", caplog) == [full]
    missing = told.format("NF4 needs bitsandbytes (pip install 'gazetune[quant]')")
    assert warnings_of("-d planted -m some/model", caplog) == ([] if has_bitsandbytes() else [missing])


def test_the_reference_quantizes_a_frozen_backbone_where_that_can_be_done() -> None:
    def quantization(line: str) -> str:
        return config(f"-d planted {line}").adapter.quantization

    assert quantization("-m some/model") == ("nf4" if has_bitsandbytes() else "none")
    assert quantization("-m some/model --use_quantization False") == "none"
    assert quantization("-m some/model --use_lora False") == quantization("-m tiny") == "none"


def test_out_is_storage_and_name_in_one(tmp_path: Path) -> None:
    assert find_run_folder(parsed(f"--out {tmp_path}/runs/first")) == ("first", tmp_path / "runs")
    assert find_run_folder(parsed("")) == (None, Path("gazetune_runs"))
    assert find_run_folder(parsed("--storage a --name b")) == ("b", Path("a"))
    with pytest.raises(InputError, match="cannot stand beside --name"):
        find_run_folder(parsed("--out x --name y"))


def test_the_tracking_uri_becomes_its_key() -> None:
    assert config("--tracking-uri http://localhost:1").tracking.uri == "http://localhost:1"


def test_evaluate_keeps_the_saved_config_and_takes_other_data(tmp_path: Path) -> None:
    saved = Config(train={"batch_size": 4}, fusion={"kind": "concat"}, data={"seed": 5})
    write_config(saved, tmp_path / "config.yaml")
    (tmp_path / "weights.safetensors").touch()
    args = parsed(f"--mode evaluate -m {tmp_path} -d other.jsonl --batch_size 32")
    folder = find_evaluated_folder(args)
    assert folder == tmp_path
    data = saved.data.model_copy(update={"source": "other.jsonl"})
    assert read_config(args, folder) == saved.model_copy(update={"data": data})
    with pytest.raises(InputError, match=r"--set fusion\.kind: --mode evaluate keeps"):
        read_config(parsed(f"--mode evaluate -m {tmp_path} --set fusion.kind=add"), folder)


def test_evaluate_needs_a_saved_model(tmp_path: Path) -> None:
    assert find_evaluated_folder(parsed("--mode train -m tiny")) is None
    with pytest.raises(InputError, match="needs the folder of a saved reward model"):
        find_evaluated_folder(parsed("--mode evaluate"))
    with pytest.raises(InputError, match="is no saved model"):
        find_evaluated_folder(parsed(f"--mode evaluate --out {tmp_path}"))


@pytest.mark.parametrize("line", README_LINES)
def test_both_readme_lines_take_either_preset(line: str) -> None:
    plain = config(f"{line} --use_quantization False")
    assert config(f"{line} --use_quantization False --preset corrected") == plain
    reference = config(f"{line} --use_quantization False --preset reference")
    assert (reference.train.pool, reference.gaze.context, reference.data.invert_oasst1) == ("last_padded", "chat", True)
    assert (reference.fusion.freeze, reference.fusion.scale, reference.gaze.normalise) == (True, 1.0, False)
    # All that a flag decides stays as it was.
    decided = {key for flag in FLAGS for key in flag.keys}
    assert {key: get_key(reference, key) for key in decided} == {key: get_key(plain, key) for key in decided}


def test_the_preset_is_a_default_below_flags_file_and_overrides(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("preset: corrected\nfusion: {kind: add}\ngaze: {context: message}")
    found = config(f"{file} --preset reference --train_epochs 3 --set fusion.freeze=false")
    assert (found.preset, found.fusion.kind, found.gaze.context, found.train.epochs) == (
        "reference",
        "add",
        "message",
        3,
    )
    assert (found.fusion.freeze, found.train.pool) == (False, "last_padded")
    assert config("--preset reference").backbone == "tiny"
    with pytest.raises(
        InputError, match=r'^--preset: preset: "refrence" is not accepted: did you mean \'reference\'\?$'
    ):
        config("--preset refrence")


def test_a_saved_model_keeps_its_preset_when_it_is_evaluated(tmp_path: Path) -> None:
    saved = Config(preset="reference", data={"pairs": 5})
    write_config(saved, tmp_path / "config.yaml")
    (tmp_path / "weights.safetensors").touch()
    args = parsed(f"--mode evaluate -m {tmp_path} --preset corrected")
    assert read_config(args, find_evaluated_folder(args)) == saved
