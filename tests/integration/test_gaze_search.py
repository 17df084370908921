"""One real search over every gaze predictor and every control by name, in all fusions."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.predictors.registry import predictor_names
from gazetune.gaze.words import text_key, word_spans
from gazetune.models.resolve import resolve_saved_model
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.prepared_data import preparation_key
from gazetune.search.space.space_file import read_space
from tests.commands import gazetune_json

DATA = {"source": "planted", "pairs": 40}
CONTROLS = ("none", "shuffled", "noise", "constant")
SPACE = """
name: gaze
base:
  data: {{source: planted, pairs: 40}}
  backbone: tiny
  gaze: {{features: [TRT], path: {{bilstm: {bilstm}, roberta: {roberta}, recorded: {recorded}}}}}
  train: {{batch_size: 16}}
space:
  gaze.predictor: {{choice: [bilstm, lexical, planted, recorded, roberta]}}
  gaze.control: {{choice: [none, shuffled, noise, constant]}}
  fusion.kind: {{choice: [none, concat, add]}}
try_first:
  - {{gaze.predictor: bilstm, gaze.control: none, fusion.kind: add}}
  - {{gaze.predictor: bilstm, gaze.control: shuffled, fusion.kind: concat}}
  - {{gaze.predictor: bilstm, gaze.control: noise, fusion.kind: none}}
  - {{gaze.predictor: lexical, gaze.control: constant, fusion.kind: concat}}
  - {{gaze.predictor: planted, gaze.control: noise, fusion.kind: add}}
  - {{gaze.predictor: recorded, gaze.control: none, fusion.kind: concat}}
  - {{gaze.predictor: roberta, gaze.control: shuffled, fusion.kind: add}}
search: {{confirm: off, trials: 8, sampler: random, scheduler: none, seed: 21}}
resources: {{cpus_per_worker: 2}}
"""


def record(path: Path) -> Path:
    """Write made-up measures of one reader for every message of the data."""
    splits = load_splits(Config.model_validate({"data": DATA}).data)
    pairs = [*splits.train, *splits.validation, *splits.test]
    chats = itertools.chain(*(pair.chat_with(reply) for pair in pairs for reply in (pair.chosen, pair.rejected)))
    texts = sorted({message.content for message in chats})
    random = np.random.default_rng(0)
    rows = [
        {
            "text_sha256": text_key(text).hex(),
            "reader": "r1",
            "word": text[start:end],
            "start": start,
            "end": end,
            **dict(zip(MEASURES, random.uniform(1.0, 20.0, len(MEASURES)).tolist(), strict=True)),
        }
        for text in texts
        for start, end in word_spans(text).tolist()
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, bilstm_folder: Path, roberta_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("search")
    recorded = record(folder / "recorded.parquet")
    text = SPACE.format(bilstm=bilstm_folder, roberta=roberta_folder, recorded=recorded)
    (folder / "space.yaml").write_text(text)
    return folder / "space.yaml"


@pytest.fixture(scope="module")
def document(space: Path) -> dict[str, Any]:
    return gazetune_json("search", space, "--storage", space.parent / "runs")


def test_every_predictor_and_control_by_name_trains_to_the_end(document: dict[str, Any]) -> None:
    assert {trial["state"] for trial in document["trials"]} == {"COMPLETE"}
    params = [trial["params"] for trial in document["trials"]]
    # No other name is registered: what is tried first holds them all.
    assert {each["gaze.predictor"] for each in params} == set(predictor_names())
    assert {each["gaze.control"] for each in params} == set(CONTROLS)
    assert {each["fusion.kind"] for each in params if each["gaze.predictor"] == "bilstm"} == {"none", "concat", "add"}


def test_every_run_names_its_predictor_and_control(document: dict[str, Any]) -> None:
    client = mlflow.MlflowClient(document["tracking_uri"])
    for trial in document["trials"]:
        run = client.get_run(trial["mlflow_run"])
        assert run.info.status == "FINISHED"
        for key in ("gaze.predictor", "gaze.control", "fusion.kind"):
            assert run.data.params[key] == trial["params"][key]
        assert run.data.tags["gazetune.gaze_fingerprint"].startswith(f"{trial['params']['gaze.predictor']}-")


def test_controls_have_no_rank_and_stand_beside_a_winner_that_is_none(document: dict[str, Any], space: Path) -> None:
    assert document["best"]["params"]["gaze.control"] == "none"
    of_control = {trial["id"]: trial["control"] for trial in document["trials"]}
    assert of_control == {trial["id"]: trial["params"]["gaze.control"] for trial in document["trials"]}
    assert set(document["controls"]) == set(CONTROLS) - {"none"}
    for control, reached in document["controls"].items():
        assert of_control[reached["id"]] == control
        test = reached["test"]
        assert test["difference"] == pytest.approx(document["best"]["test"]["accuracy"] - test["accuracy"])
    client = mlflow.MlflowClient(document["tracking_uri"])
    tags = {trial["id"]: client.get_run(trial["mlflow_run"]).data.tags for trial in document["trials"]}
    assert {each: tags[each].get("gazetune.control", "none") for each in tags} == of_control
    storage, name = space.parent / "runs", document["name"]
    best = resolve_saved_model(name, storage)
    assert best.parent.name == document["best"]["id"] and resolve_saved_model(f"{name}:1", storage) == best
    with pytest.raises(InputError, match=f"has {list(of_control.values()).count('none')} trials beside its controls"):
        resolve_saved_model(f"{name}:{len(of_control)}", storage)


def test_one_data_set_was_prepared_for_each_predictor_control_and_unit(document: dict[str, Any], space: Path) -> None:
    keys = {preparation_key(config) for config in read_space(space).data_configs()}
    # Only bilstm has units of its own, for concat alone.
    assert len(keys) == (len(predictor_names()) + 1) * len(CONTROLS)
    assert {path.parent.name for path in space.parent.glob("runs/cache/prepared/*/facts.json")} == keys
