"""A saved model in one folder that scores without anything beside it: with its backbone and its predictor's weights.

OUT/
  weights.safetensors, tokenizer/, facts.json, ...   as in any saved model
  config.yaml      backbone: "{folder}/backbone", gaze.path: "{folder}/gaze/NAME"
  backbone/        a copy of the backbone's folder; a hub id stays one, and `tiny` is made on the spot
  gaze/            the weights of the gaze predictor, and its tokenizer and config where they lie beside them

`{folder}` stands for the folder itself, wherever it is moved (`saved_model.read_saved_config`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from gazetune.config import Config
from gazetune.config.config_file import dump_config
from gazetune.errors import InputError
from gazetune.files.paths import path_exists
from gazetune.gaze.networks.weights import FILES_BESIDE_WEIGHTS, locate_weights
from gazetune.reward.saved.reward_scorer import load_scoring_predictor
from gazetune.reward.saved.saved_files import CARD, CONFIG, IN_FOLDER
from gazetune.reward.saved.saved_model import read_facts, read_saved_config, replace_saved_folder

BACKBONE, GAZE = "backbone", "gaze"


def export_portable(folder: Path, out: Path, make_card: Callable[[list[str]], str]) -> list[str]:
    """Write the model saved in `folder` to `out`, with all that scoring takes; return what had to stay outside.

    Parameters
    ----------
    make_card
        Returns the model card, which says what stays outside.

    Raises
    ------
    InputError
        When `out` is taken, `folder` is no whole saved model, or its predictor is not the one of its training.
    SaveFailed
        When the disk is full.
    """
    refuse_taken_folder(out)
    config, facts = read_saved_config(folder), read_facts(folder)
    load_scoring_predictor(folder, config, facts.gaze_fingerprint)  # refused before gigabytes are copied
    with replace_saved_folder(out) as partial:
        for item in folder.iterdir():
            if item.name not in (CONFIG, CARD, BACKBONE, GAZE):
                (shutil.copytree if item.is_dir() else shutil.copy2)(item, partial / item.name)
        placed, outside = _place_backbone(config, partial)
        placed, missing = _place_predictor(placed, partial)
        (partial / CONFIG).write_text(dump_config(placed), encoding="utf-8")
        outside += missing
        (partial / CARD).write_text(make_card(outside), encoding="utf-8")
        load_scoring_predictor(partial, read_saved_config(partial), facts.gaze_fingerprint)
    return outside


def refuse_taken_folder(out: Path) -> None:
    """Refuse to write to anything but a new or an empty folder.

    Raises
    ------
    InputError
        When there is something already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: is there already; accepted: a new or an empty folder")


def _place_backbone(config: Config, out: Path) -> tuple[Config, list[str]]:
    """Copy a backbone that is a folder here; return the config that names it, and what stays outside."""
    source = Path(config.backbone)
    if not path_exists(source) or not source.is_dir():
        return config, [] if config.backbone == "tiny" else [f"backbone {config.backbone}: from the hub"]
    shutil.copytree(source, out / BACKBONE, ignore=shutil.ignore_patterns(".*"))
    return config.model_copy(update={"backbone": f"{IN_FOLDER}/{BACKBONE}"}), []


def _place_predictor(config: Config, out: Path) -> tuple[Config, list[str]]:
    """Copy the weights of the gaze predictor; return the config that names them, and what stays outside."""
    path = config.gaze.path
    if path is None or config.fusion.kind == "none":
        return config, []
    if config.gaze.predictor == "recorded":
        # What people read is not shared with a model unless somebody decides that.
        return config, [
            f"gaze.path {Path(path).name}: recorded measures of readers; gaze_path= names the file when it is loaded"
        ]
    weights = locate_weights(path, "gaze.path")
    (out / GAZE).mkdir()
    beside = [weights.with_name(name) for name in FILES_BESIDE_WEIGHTS]
    for file in (weights, *(file for file in beside if file.is_file())):
        shutil.copyfile(file, out / GAZE / file.name)
    gaze = config.gaze.model_copy(update={"path": f"{IN_FOLDER}/{GAZE}/{weights.name}"})
    return config.model_copy(update={"gaze": gaze}), []
