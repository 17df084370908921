"""The flags of the GazeReward reference, and the config key that each one decides.

    python -m gazetune.train.reference_flags      # the table of the README

Flags, both spellings and defaults are those of github.com/Telefonica-Scientific-Research/gaze_reward at e7e7ec8, so
that a command line written for it works unchanged after `gazetune train`. Only here do they meet the config tree.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from gazetune.reward.model.quantization import has_bitsandbytes


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of the reference."""

    names: tuple[str, ...]
    """Every spelling; the last one names the value in the parsed arguments."""
    default: str
    """The reference's default, as one would type it."""
    parse: Callable[[str], object]
    """Text to value; raises `ArgumentTypeError` or ValueError."""
    keys: tuple[str, ...]
    """The config keys that the flag decides, alone or with others."""
    help: str

    @property
    def dest(self) -> str:
        """The attribute of the parsed arguments, None when the flag was not given."""
        return self.names[-1].lstrip("-")


def _parse_bool(text: str) -> bool:
    """Return the boolean that a word names: True, False (in any case), 1 or 0."""
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise ArgumentTypeError(f"'{text}' is no truth value; accepted: True, False, 1, 0")
    return words[text.lower()]


def _parse_dropouts(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 2:
        raise ArgumentTypeError(f"'{text}' is not accepted; accepted: two dropouts p1,p2 such as 0.1,0.3")
    return values


def _parse_mask(text: str) -> list[str]:
    from gazetune.config import parse_feature_mask  # pydantic is slow to import, and --help does not need it

    flags = text.split(",")
    if any(flag.strip() not in ("0", "1") for flag in flags):
        raise ArgumentTypeError(f"'{text}' is not accepted; accepted: five 0/1 flags such as 0,1,0,1,0")
    try:
        return list(parse_feature_mask(flags if len(flags) > 1 else [text.strip()]))
    except ValueError as error:
        raise ArgumentTypeError(f"'{text}' is not accepted: {error}") from None


def _parse_predictor_version(text: str) -> int:
    if text not in ("1", "2"):
        raise ArgumentTypeError(f"'{text}' is no published gaze predictor; accepted: 1, 2")
    return int(text)


def _parse_mode(text: str) -> str:
    if text not in ("train", "evaluate"):
        raise ArgumentTypeError(f"'{text}' is not accepted; accepted: train, evaluate")
    return text


def _parse_quantization(text: str) -> str:
    return "nf4" if _parse_bool(text) else "none"


def _parse_lora(text: str) -> str:
    return "lora" if _parse_bool(text) else "full"


def _parse_count(text: str) -> int | None:
    try:
        return int(text) or None
    except ValueError:
        raise ArgumentTypeError(f"invalid int value: '{text}'") from None


def _parse_name(text: str) -> str | None:
    return text or None


FLAGS: tuple[Flag, ...] = (
    Flag(
        ("-d", "--dataset", "--dataset_name"),
        "OpenAssistant/oasst1",
        str,
        ("data.source",),
        "preference pairs: a hub id or a local file",
    ),
    Flag(
        ("-m", "--model", "--model_name"),
        "mistralai/Mistral-7B-v0.1",
        str,
        ("backbone",),
        "backbone: a hub id, a local folder or tiny; with --mode evaluate the saved folder",
    ),
    Flag(("--dataset_split",), "", _parse_name, ("data.split",), "load this published split alone"),
    Flag(("--subsample_percentage",), "1", float, ("data.subsample",), "share of the train split that is kept"),
    Flag(("--concat",), "True", _parse_bool, ("fusion.kind",), "True: GazeConcat or the baseline; False: GazeAdd"),
    Flag(("--use_softprompt",), "True", _parse_bool, ("fusion.kind",), "with --concat True; False is the baseline"),
    Flag(("--use_lora",), "True", _parse_lora, ("adapter.kind",), "LoRA on the backbone; False trains all of it"),
    Flag(
        ("--use_quantization",),
        "True",
        _parse_quantization,
        ("adapter.quantization",),
        "NF4 weights of the backbone, but of tiny; needs bitsandbytes (extra quant)",
    ),
    Flag(("--seed",), "42", int, ("train.seed", "data.seed"), "seed of the run and of the splits"),
    Flag(("--batch_size",), "16", int, ("train.batch_size",), "pairs of one forward pass"),
    Flag(("--fold",), "0", int, ("data.fold",), "fold k of 5 over train and test is the test split; 0: off"),
    Flag(("--train_epochs",), "2", float, ("train.epochs",), "epochs"),
    Flag(("--max_length",), "10000", int, ("data.max_chars",), "characters of both chats together, longer pairs drop"),
    Flag(("--learning_rate",), "5e-5", float, ("optim.learning_rate",), "learning rate of AdamW"),
    Flag(("--weight_decay",), "0.1", float, ("optim.weight_decay",), "weight decay of AdamW"),
    Flag(("--min_lr_ratio",), "0.7", float, ("optim.min_lr_ratio",), "last over first rate, cosine_with_min_lr"),
    Flag(("--noise_factor",), "0.0", float, ("gaze.noise",), "standard deviation of noise on the measures"),
    Flag(("--lr_scheduler_type",), "constant_with_warmup", str, ("optim.schedule",), "learning-rate schedule"),
    Flag(("--gradient_acum_steps",), "1", int, ("train.accumulate",), "forward passes to one optimiser step"),
    Flag(
        ("--gradient_checkpointing",),
        "True",
        _parse_bool,
        ("train.gradient_checkpointing",),
        "trade time for memory",
    ),
    Flag(("--logging_steps",), "0", int, ("train.eval_every",), "steps between evaluations; 0: 256 over batch size"),
    Flag(("--train_samples",), "0", _parse_count, ("data.pairs",), "first n pairs; 0: all"),
    Flag(("--mode",), "train", _parse_mode, (), "train, or evaluate a saved folder"),
    Flag(("--fp_dropout",), "0.1,0.3", _parse_dropouts, ("projector.dropout",), "dropouts p1,p2 of the gaze projector"),
    Flag(
        ("-fmv", "--fmv", "--fixations_model_version"),
        "1",
        _parse_predictor_version,
        ("gaze.predictor", "gaze.features"),
        "published gaze predictor 1 or 2, with its file in gaze.path; without, the lexical one stands in",
    ),
    Flag(
        ("--features_used",),
        "1,1,1,1,1",
        _parse_mask,
        ("gaze.features",),
        "with -fmv 2: flags nFix,FFD,GPT,TRT,fixProp",
    ),
)

PUBLISHED = {1: "bilstm", 2: "roberta"}
"""The gaze predictor of each version that -fmv names."""

IGNORED = ("--input_layer", "--freeze_layer", "--freeze", "--grid_search")
"""Flags that the reference parses and never reads."""


def given_flags(arguments: Mapping[str, object]) -> dict[str, str]:
    """Return, by dest, the name for error lines of each reference flag that the command line gave."""
    return {flag.dest: flag.names[-1] for flag in FLAGS if arguments.get(flag.dest) is not None}


def reference_params(
    arguments: Mapping[str, object], defaults: bool = True, has_weights: bool = False
) -> dict[str, object]:
    """Return the value of each config key that the reference's flags decide.

    Parameters
    ----------
    arguments : mapping
        Parsed values by `Flag.dest`; absent or None where a flag was not given.
    defaults : bool
        Whether flags that were not given count with the reference's defaults. Where they do not, only the keys that a
        given flag decides are returned.
    has_weights : bool
        Whether `gaze.path` is set, so that the published predictor itself can be used.

    Returns
    -------
    dict
        By dotted config key; empty when no reference flag was given.
    """
    given = given_flags(arguments)
    if not given:
        return {}
    value = {flag.dest: arguments[flag.dest] if flag.dest in given else flag.parse(flag.default) for flag in FLAGS}
    params = {key: value[flag.dest] for flag in FLAGS for key in flag.keys}
    # Where several flags decide one key.
    baseline_or_concat = "concat" if value["use_softprompt"] else "none"
    params["fusion.kind"] = baseline_or_concat if value["concat"] else "add"
    version = cast(int, value["fixations_model_version"])
    params["gaze.features"] = ["TRT"] if version == 1 else value["features_used"]
    if has_weights:
        params["gaze.predictor"] = PUBLISHED[version]
    else:
        params["gaze.predictor"] = "planted" if value["dataset_name"] == "planted" else "lexical"
    if _why_unquantized(value["model_name"], value["use_lora"]):
        params["adapter.quantization"] = "none"
    decided = {key for flag in FLAGS if flag.dest in given for key in flag.keys}
    return params if defaults else {key: params[key] for key in params if key in decided}


def reference_notes(arguments: Mapping[str, object], params: Mapping[str, object]) -> list[str]:
    """Return a warning, one line each, for every flag that does not do here what it says."""
    notes = [
        f"{flag} has no effect (nor has it in the reference)"
        for flag in IGNORED
        if arguments.get(flag.lstrip("-")) is not None
    ]
    version = 1 if arguments.get("fixations_model_version") is None else arguments["fixations_model_version"]
    if params.get("gaze.predictor") == "lexical" and params.get("fusion.kind") != "none":
        notes.append(
            f"-fmv {version}: the published predictor {version} file is not configured "
            "(--set gaze.path=FILE); the embedded lexical predictor stands in"
        )
    asked = "backbone" in params or arguments.get("use_quantization") == "nf4"
    reason = _why_unquantized(params.get("backbone", ""), params.get("adapter.kind", "lora"))
    if asked and arguments.get("use_quantization") != "none" and reason:
        notes.append(f"--use_quantization: {reason}; the backbone stays unquantized")
    if version == 1 and arguments.get("features_used") is not None:
        notes.append("--features_used has no effect with -fmv 1, which predicts TRT alone")
    return notes


def _why_unquantized(backbone: object, adapter: object) -> str | None:
    """Return why a backbone is not quantised though the reference would, or None when it is."""
    if backbone == "tiny":
        return "tiny is not quantized"
    if adapter == "full":
        return "4-bit weights cannot train (--use_lora False)"
    return None if has_bitsandbytes() else "NF4 needs bitsandbytes (pip install 'gazetune[quant]')"


def reference_table() -> str:
    """Return the Markdown table of flag, default and config key."""
    rows = ["| reference flag | default | config key |", "| --- | --- | --- |"]
    for flag in FLAGS:
        names = " ".join(f"`{name}`" for name in flag.names)
        keys = ", ".join(f"`{key}`" for key in flag.keys) or "-"
        rows.append(f"| {names} | {flag.default or '(empty)'} | {keys} |")
    rows += [f"| `{name}` | | no effect, as in the reference |" for name in IGNORED]
    return "\n".join(rows)


if __name__ == "__main__":
    print(reference_table())
