"""A made-up search with everything that a report can show, of any number of trials."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gazetune.config import MEASURES
from gazetune.report.document import (
    BaselineRecord,
    BestRecord,
    ControlRecord,
    DiagnosticsRecord,
    ImportanceRecord,
    MeansRecord,
    SearchDocument,
    TestRecord,
    TrialRecord,
    ValueMean,
)
from gazetune.report.evidence import Curve, RunEvidence, ScoredRun

MARKUP = "<script>alert('$x_1$')</script>\x07 & \"quoted\""
RUNGS = (256, 768)
BUDGET = 2304


def make_evidence(trials: int = 40) -> RunEvidence:
    """Return a search with COMPLETE, PRUNED and FAIL trials and controls, whose user likes markup."""
    random = np.random.default_rng(0)
    records, curves = [], []
    for number in range(trials):
        mask = [name for name in MEASURES if random.random() < 0.6] or ["FFD"]
        control = "shuffled" if number % 9 == 8 else "none"
        state = "FAIL" if number % 7 == 6 else "PRUNED" if number % 3 == 1 else "COMPLETE"
        reached = {"FAIL": 0, "PRUNED": 1 + number % 2, "COMPLETE": 3}[state]
        top = 0.6 + 0.2 * (1 - math.exp(-number / 10)) + random.normal(0, 0.03)
        points = tuple(
            (examples, top - 0.08 * (2 - place) + random.normal(0, 0.01))
            for place, examples in enumerate((*RUNGS, BUDGET)[:reached])
        )
        params = {
            "optim.learning_rate": float(10 ** random.uniform(-4, -2)),
            "fusion.kind": ("none", "add", "concat")[number % 3],
            "gaze.features": mask,
            "data.source": MARKUP,
        }
        records.append(
            TrialRecord(
                f"{number:04d}",
                state,  # type: ignore[arg-type]
                params,
                points[-1][0] if points else 0,
                points[-1][1] if points else None,
                float(random.lognormal(2, 0.5)) * (reached + 0.2),
                f"run{number}",
                None if state == "COMPLETE" else f"stopped at {points[-1][0]} examples" if points else MARKUP,
                control,
            )
        )
        curves.append(Curve(f"{number:04d}", points))
    best = max(
        (trial for trial in records if trial.state == "COMPLETE" and not trial.is_control),
        key=lambda trial: trial.val_accuracy or 0.0,
    )
    rewards = random.normal([1.2, 0.0], 1.0, (400, 2))
    words = random.integers(3, 300, (400, 2)).astype(np.int32)
    return RunEvidence(
        _make_document(records, best),
        curves=tuple(curves),
        rungs=RUNGS,
        scored=(ScoredRun(f"the winner, trial {best.id}", "test", rewards[:, 0] - rewards[:, 1], rewards, words),),
        commands=(("the whole search", f"gazetune search '{MARKUP}'"),),
        trial_commands={trial.id: f"gazetune train trials/{trial.id}/config.yaml" for trial in records},
        learned_from={MARKUP: 12},
    )


def _make_document(trials: list[TrialRecord], best: TrialRecord) -> SearchDocument:
    compared = BaselineRecord(0.64, 450, (0.595, 0.683), 0.213, (0.162, 0.264), 1e-9)
    values = [("fusion.kind", "add"), ("fusion.kind", "none"), ("data.source", MARKUP), ("data.source", "planted")]
    means = [ValueMean(key, value, 9, 0.7 - 0.02 * place, (0.6, 0.8)) for place, (key, value) in enumerate(values)]
    return SearchDocument(
        name=MARKUP,
        storage=str(Path("/tmp/runs") / MARKUP),
        tracking_uri="sqlite:////tmp/runs/mlflow.db",
        mlflow_parent_run="parent",
        trials=tuple(trials),
        best=BestRecord(best.id, best.params, best.val_accuracy or 0.0, TestRecord(0.853, 450, (0.817, 0.883))),
        baselines={"no_gaze": compared, "shorter": compared},
        report="/tmp/runs/report.md",
        controls={"shuffled": ControlRecord("0008", trials[8].params, 0.64, 3, compared)},
        diagnostics=DiagnosticsRecord(0.02, 0.5, 0.5),
        importance=ImportanceRecord({"fusion.kind": 0.7, "data.source": 0.3}, 40, by_measure={"FFD": 0.6, "TRT": 0.4}),
        means=MeansRecord("val/accuracy", RUNGS[0], 40, tuple(means)),
        data=({"pairs": {"train": 800, "test": 450}, "dropped": {MARKUP: 2}, "notes": {}},),
        config=f"name: {MARKUP}",
        fingerprints={"data": "d1a2"},
    )
