from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gazetune.report.document import (
    BaselineRecord,
    ControlRecord,
    DiagnosticsRecord,
    EndedRecord,
    ImportanceRecord,
    MeansRecord,
    ParetoRecord,
    SearchDocument,
    ValueMean,
)
from gazetune.report.read_document import read_document

MakeDocument = Callable[..., SearchDocument]
NOT_WRITTEN = {"config": "", "fingerprints": {}}


def test_a_document_is_read_as_it_was_written(document: MakeDocument) -> None:
    compared = BaselineRecord(0.6, 450, (0.5, 0.7), 0.2, (0.1, 0.3), 0.01, None, 40)
    whole = document(
        **NOT_WRITTEN,
        trials=document().trials[2:],
        controls={"noise": ControlRecord("0002", {"gaze.features": ["FFD"]}, 0.6, 2, compared)},
        diagnostics=DiagnosticsRecord(0.1, 0.5, 0.6),
        pareto=(ParetoRecord("0003", {"val/accuracy": 0.8}),),
        importance=ImportanceRecord({"fusion.kind": 1.0}, 12, by_measure={"FFD": 1.0}),
        means=MeansRecord("val/accuracy", 233, 12, (ValueMean("fusion.kind", "add", 2, 0.5, (0.4, 0.6)),)),
        ended_by=EndedRecord("search.max_hours", 1.0, 4, 9),
        data=({"pairs": {"test": 450}, "dropped": {}, "notes": {}},),
    )
    read = read_document(json.loads(whole.to_json_text()))
    assert read.to_json() == whole.to_json()
    assert read.means == whole.means and read.baselines == whole.baselines and read.importance == whole.importance


def test_what_an_older_version_did_not_write_has_its_default(document: MakeDocument) -> None:
    stored: dict[str, Any] = json.loads(document().to_json_text())
    old = {name: stored[name] for name in ("name", "storage", "tracking_uri", "mlflow_parent_run", "best", "report")}
    old["trials"] = [{key: each[key] for key in each if key != "control"} for each in stored["trials"]]
    no_gaze = {key: stored["baselines"]["no_gaze"][key] for key in ("accuracy", "n", "ci95", "difference")}
    old["baselines"] = {"no_gaze": {**no_gaze, "difference_ci95": [0.1, 0.3]}, "shorter": None}
    read = read_document(old)
    assert read.means is None and read.controls == {} and not read.trials[0].is_control
    assert read.importance.missing and read.baselines["no_gaze"].p is None  # type: ignore[union-attr]


def test_what_a_newer_version_writes_beside_is_left_out(document: MakeDocument) -> None:
    stored = {**json.loads(document().to_json_text()), "of_the_future": {"a": 1}}
    assert read_document(stored).name == "demo"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 3}, "name is 3, not of type str"),
        ({"trials": {}}, "trials is no list"),
        ({"best": {"id": "0003"}}, "best.params is missing"),
        ({"baselines": {"no_gaze": {"accuracy": "high"}}}, "baselines.no_gaze.accuracy is 'high', which is no number"),
        ({"data": [3]}, "data[0] is no object"),
    ],
)
def test_what_no_document_can_have_is_named(change: dict[str, object], told: str, document: MakeDocument) -> None:
    with pytest.raises(ValueError) as refused:
        read_document({**json.loads(document().to_json_text()), **change})
    assert str(refused.value) == told
