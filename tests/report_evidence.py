"""A made-up search with everything that a report can show, of any number of trials."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gazetune.config import MEASURES
from gazetune.report.ablation_document import AblationDocument, ArmRecord, CellRecord, ComparisonRecord
from gazetune.report.document import ArmRecord as ConfirmedArm
from gazetune.report.document import (
    BaselineRecord,
    BestRecord,
    CandidateRecord,
    ConfirmationRecord,
    ControlRecord,
    DiagnosticsRecord,
    ImportanceRecord,
    MeansRecord,
    SearchDocument,
    TestRecord,
    TrialRecord,
    ValueMean,
)
from gazetune.report.evidence import Curve, RunEvidence, ScoredRun, document_of_cells

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
    test = TestRecord(0.853, 450, (0.817, 0.883))
    compared = BaselineRecord(0.64, 450, (0.595, 0.683), 0.213, (0.162, 0.264), 1e-9)
    values = [("fusion.kind", "add"), ("fusion.kind", "none"), ("data.source", MARKUP), ("data.source", "<i>")]
    means = [ValueMean(key, value, 9, 0.7 - 0.02 * place, (0.6, 0.8)) for place, (key, value) in enumerate(values)]
    return SearchDocument(
        name=MARKUP,
        storage=str(Path("/tmp/runs") / MARKUP),
        tracking_uri="sqlite:////tmp/runs/mlflow.db",
        mlflow_parent_run="parent",
        trials=tuple(trials),
        best=BestRecord(best.id, best.params, best.val_accuracy or 0.0, test),
        baselines={"no_gaze": compared, "shorter": compared},
        report="/tmp/runs/report.md",
        controls={"shuffled": ControlRecord("0008", trials[8].params, 0.64, 3, compared)},
        diagnostics=DiagnosticsRecord(0.02, 0.5, 0.5),
        importance=ImportanceRecord({"fusion.kind": 0.7, "data.source": 0.3}, 40, by_measure={"FFD": 0.6, "TRT": 0.4}),
        means=MeansRecord("val/accuracy", RUNGS[0], 40, tuple(means)),
        confirmation=ConfirmationRecord(
            searched=BestRecord("0002", trials[2].params, 0.9, None),
            folds=4,
            candidates=(
                CandidateRecord(best.id, best.params, 0.86, 0.85, 1800),
                CandidateRecord("0002", trials[2].params, 0.9, 0.82, 1800, 0.03, (0.01, 0.05)),
            ),
            arms={
                "winner": ConfirmedArm((1, 2), (0.8, 0.9), (0.84, 0.86), ("a", "b"), test, None),
                "control-noise": ConfirmedArm((1, 2), (0.6, 0.6), (0.63, 0.65), ("c", "d"), test, compared),
            },
            model="a",
            seed=1,
            trainings=12,
            failed={"fold-2": MARKUP},
            notes=("trial 0002 has no gaze",),
        ),
        data=({"pairs": {"train": 800, "test": 450}, "dropped": {MARKUP: 2}, "notes": {}},),
        config=f"name: {MARKUP}",
        fingerprints={"data": "d1a2"},
    )


def make_ablation() -> RunEvidence:
    """Return an ablation of an arm with gaze, one without and two controls, of three seeds each; one cell failed."""
    arms, cells, curves = {}, [], []
    means = {"none": 0.64, "real": 0.84, "shuffled": 0.65, MARKUP: 0.63}
    for place, (name, mean) in enumerate(means.items()):
        for seed in range(3):
            cell, failed = f"{3 * place + seed:04d}", name == "shuffled" and seed == 2
            accuracy = mean + 0.01 * (seed - 1)
            told = MARKUP if failed else None
            cells.append(
                CellRecord(cell, name, seed, "FAIL" if failed else "COMPLETE", None if failed else accuracy,
                           None if failed else accuracy, 0 if failed else BUDGET, 9.0 + place, f"run{cell}", told)
            )  # fmt: skip
            if not failed:
                curves.append(
                    Curve(cell, tuple((step, accuracy - 0.0001 * (BUDGET - step)) for step in (*RUNGS, BUDGET)))
                )
        control = {"none": "none", "real": "none"}.get(name, "shuffled")
        features = {} if name == "none" else {"gaze.features": ["FFD", "TRT"][: 1 + place % 2]}
        baseline = None if name == "none" else "none"
        arms[name] = ArmRecord(
            features, control, name == "real", baseline, (0, 1, 2), mean, 0.01, (mean - 0.04, mean + 0.04), mean, 450
        )
    compared = [("real", name, "gaze", 0.2) for name in means if name != "real"]
    compared += [(name, "none", "control", 0.01) for name in ("shuffled", MARKUP)]
    ablation = AblationDocument(
        name=MARKUP,
        storage="/tmp/runs/study",
        tracking_uri="sqlite:////tmp/runs/mlflow.db",
        mlflow_parent_run="parent",
        arms=arms,
        comparisons=tuple(
            ComparisonRecord(arm, baseline, purpose, gain, (gain - 0.05, gain + 0.05), 1e-4, 4e-4, "greater", 450, 3,  # type: ignore[arg-type]
                             (gain - 0.01, gain, gain + 0.01), (gain - 0.08, gain + 0.08), None, 0.05, 99)
            for arm, baseline, purpose, gain in compared
        ),
        cells=tuple(cells),
        answer="supported",
        verdict="Supported: gaze helps.",
        report="/tmp/runs/study/report.md",
        importance_by_measure={"FFD": 0.6, "TRT": 0.4},
        config=f"name: {MARKUP}",
    )  # fmt: skip
    search = make_evidence()
    return RunEvidence(
        document_of_cells(ablation),
        ablation=ablation,
        curves=tuple(curves),
        scored=search.scored,
        trial_commands={cell.id: f"gazetune train trials/{cell.id}/config.yaml" for cell in cells},
    )
