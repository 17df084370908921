from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gazetune.report.document import (
    ArmRecord,
    BaselineRecord,
    BestRecord,
    CandidateRecord,
    ConfirmationRecord,
    ControlRecord,
    EndedRecord,
    MeansRecord,
    ParetoRecord,
    SearchDocument,
    TestRecord,
    TrialRecord,
    ValueMean,
)
from gazetune.report.wording import trials_with_ranks

Maker = Callable[..., SearchDocument]


def test_the_document_has_the_keys_it_promises(document: Maker) -> None:
    made = json.loads(document().to_json_text())
    assert list(made) == [
        "name",
        "storage",
        "tracking_uri",
        "mlflow_parent_run",
        "trials",
        "best",
        "baselines",
        "controls",
        "diagnostics",
        "pareto",
        "importance",
        "importance_by_measure",
        "means_by_value",
        "ended_by",
        "confirmation",
        "data",
        "report",
    ]
    trial = {"id", "state", "params", "examples", "val_accuracy", "seconds", "mlflow_run", "reason", "control"}
    assert set(made["trials"][0]) == trial
    assert set(made["best"]) == {"id", "params", "val_accuracy", "test"}
    assert set(made["best"]["test"]) == {"accuracy", "n", "ci95"}
    assert set(made["baselines"]) == {"no_gaze", "shorter"}
    of_pairs = {"p", "detectable", "pairs_needed"}
    assert set(made["baselines"]["shorter"]) == {"accuracy", "n", "ci95", "difference", "difference_ci95"} | of_pairs


def test_a_pareto_front_keeps_its_order_and_values(document: Maker) -> None:
    front = (ParetoRecord("0001", {"val/accuracy": 0.8, "train_seconds": 2.0}), ParetoRecord("0003", {"a": 1.0}))
    made = json.loads(document(pareto=front).to_json_text())["pareto"]
    assert made[0] == {"id": "0001", "values": {"val/accuracy": 0.8, "train_seconds": 2.0}}
    assert json.loads(document().to_json_text())["pareto"] == []


def test_means_by_value_are_objects_or_null(document: Maker) -> None:
    means = MeansRecord("val/loss", 256, 8, (ValueMean("fusion.kind", "add", 7, 0.6, (0.5, 0.7)),))
    made = json.loads(document(means=means).to_json_text())["means_by_value"]
    row = {"key": "fusion.kind", "value": "add", "trials": 7, "mean": 0.6, "ci95": [0.5, 0.7]}
    assert made == {"objective": "val/loss", "examples": 256, "trials": 8, "means": [row]}
    assert json.loads(document().to_json_text())["means_by_value"] is None


def test_a_cap_that_ended_the_search_is_told(document: Maker) -> None:
    ended = EndedRecord("search.max_hours", 0.5, trials=4, planned=30)
    made = json.loads(document(ended_by=ended).to_json_text())["ended_by"]
    assert made == {"cap": "search.max_hours", "limit": 0.5, "trials": 4, "planned": 30}
    assert json.loads(document().to_json_text())["ended_by"] is None


def test_values_survive_the_way_to_json(document: Maker) -> None:
    made = json.loads(document().to_json_text())
    assert made["best"]["test"] == {"accuracy": 0.853, "n": 450, "ci95": [0.817, 0.883]}
    assert made["trials"][3]["params"]["gaze.features"] == ["FFD", "TRT"]
    assert made["baselines"]["no_gaze"]["difference_ci95"] == [0.162, 0.264]


def test_nan_and_infinity_become_null_wherever_they_stand(document: Maker) -> None:
    trial = TrialRecord("0000", "FAIL", {"a": math.inf, "b": [math.nan]}, 1, np.float64("nan"), 1.0, None)
    made = json.loads(document(trials=(trial,)).to_json_text())
    assert made["trials"][0]["val_accuracy"] is None
    assert made["trials"][0]["params"] == {"a": None, "b": [None]}


def test_numpy_scalars_become_numbers(document: Maker) -> None:
    trial = TrialRecord("0007", "COMPLETE", {"flag": np.bool_(True)}, np.int32(5), np.float32(0.5), 1.0, None)
    made = json.loads(document(trials=(trial,)).to_json_text())["trials"][0]
    assert (made["id"], made["examples"], made["val_accuracy"], made["params"]) == ("0007", 5, 0.5, {"flag": True})


def test_without_a_winner_best_and_baselines_are_null(document: Maker) -> None:
    made = document(best=None, baselines={"no_gaze": None, "shorter": None}).to_json()
    assert made["best"] is None and made["baselines"] == {"no_gaze": None, "shorter": None}


def test_a_best_trial_without_test_has_null_there(document: Maker) -> None:
    best = document().best
    assert best is not None
    assert document(best=replace(best, test=None)).to_json()["best"]["test"] is None


def test_trials_rank_by_state_then_accuracy_with_nan_last(document: Maker) -> None:
    unmeasured = TrialRecord("0004", "PRUNED", {}, 1, math.nan, 1.0, None)
    made = document(trials=(unmeasured, *document().trials))
    assert [trial.id for trial in made.rank_trials()] == ["0003", "0000", "0002", "0004", "0001"]


def test_controls_have_no_rank_and_come_last(document: Maker) -> None:
    control = TrialRecord("0004", "COMPLETE", {}, 1, 0.99, 1.0, None, control="noise")
    made = document(trials=(control, *document().trials))
    assert [trial.id for trial in made.rank_trials()] == ["0003", "0000", "0002", "0001"]
    assert [(rank, trial.id) for rank, trial in trials_with_ranks(made)][0::4] == [("1", "0003"), ("control", "0004")]
    assert json.loads(made.to_json_text())["trials"][0]["control"] == "noise"


def test_what_controls_reached_is_in_the_document(document: Maker) -> None:
    test = BaselineRecord(0.7, 450, (0.65, 0.75), 0.15, (0.1, 0.2))
    controls = {"noise": ControlRecord("0004", {"fusion.kind": "add"}, 0.7, 3, test)}
    made = json.loads(document(controls=controls).to_json_text())["controls"]["noise"]
    assert (made["id"], made["val_accuracy"], made["trials"], made["test"]["difference"]) == ("0004", 0.7, 3, 0.15)


def test_a_confirmation_is_an_object_or_null_and_its_winner_ranks_first(document: Maker) -> None:
    best = document().best
    assert best is not None
    confirmed = replace(best, id="0002", val_accuracy=0.7)
    test = TestRecord(0.8, 450, (0.76, 0.84))
    confirmation = ConfirmationRecord(
        searched=BestRecord("0003", {}, 0.9, test),
        folds=2,
        candidates=(CandidateRecord("0003", {}, 0.9, math.nan, 0), CandidateRecord("0002", {}, 0.8, 0.81, 900)),
        arms={"winner": ArmRecord((7,), (0.7,), (0.8,), ("baselines/winner-1",), test, None)},
        model="baselines/winner-1",
    )
    made = document(best=confirmed, confirmation=confirmation)
    assert [trial.id for trial in made.rank_trials()][:2] == ["0002", "0003"]
    read = json.loads(made.to_json_text())["confirmation"]
    assert read["searched"]["test"]["n"] == read["arms"]["winner"]["test"]["n"] == 450
    assert [each["accuracy"] for each in read["candidates"]] == [None, 0.81]
    assert json.loads(document().to_json_text())["confirmation"] is None
    alone = document(best=confirmed, confirmation=replace(confirmation, missing="a cap was reached"))
    assert alone.rank_trials()[0].id == "0003"
