from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gazetune.report.document import BaselineRecord, BestRecord, SearchDocument, TestRecord, TrialRecord

GAZE = {
    "optim.learning_rate": 0.00123456,
    "fusion.kind": "add",
    "gaze.features": ["FFD", "TRT"],
    "projector.dropout": [0.1, 0.3],
}
PLAIN = {"optim.learning_rate": 0.001, "fusion.kind": "none", "gaze.features": []}


@pytest.fixture
def document() -> Callable[..., SearchDocument]:
    """Return a maker of finished searches; keywords replace fields."""

    def make(**changes: Any) -> SearchDocument:
        trials = (
            TrialRecord("0000", "COMPLETE", PLAIN, 2100, 0.66, 4.2, "run0"),
            TrialRecord("0001", "FAIL", GAZE, 32, math.nan, 0.5, "run1", "NaN loss at step 2 [stage|2]\ntraceback"),
            TrialRecord("0002", "PRUNED", GAZE, 233, 0.91, 1.0, "run2", "stopped at rung 233"),
            TrialRecord("0003", "COMPLETE", GAZE, 2100, 0.87, 4.0, "run3"),
        )
        base = SearchDocument(
            name="demo",
            storage="/tmp/runs",
            tracking_uri="sqlite:////tmp/runs/mlflow.db",
            mlflow_parent_run="parent",
            trials=trials,
            best=BestRecord("0003", GAZE, 0.87, TestRecord(0.853, 450, (0.817, 0.883))),
            baselines={
                "no_gaze": BaselineRecord(0.64, 450, (0.595, 0.683), 0.213, (0.162, 0.264)),
                "shorter": BaselineRecord(0.5, 450, (0.454, 0.546), 0.353, (0.298, 0.405)),
            },
            report="/tmp/runs/demo/report.md",
            config="name: demo",
            fingerprints={"data": "d1a2", "gaze": "g3b4"},
        )
        return replace(base, **changes)

    return make
