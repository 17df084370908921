"""The document of an ablation as JSON."""

from __future__ import annotations

import json
import math

from gazetune.report.ablation_document import AblationDocument, AnswerRecord, ArmRecord, CellRecord, ComparisonRecord


def example_document() -> AblationDocument:
    none = ArmRecord({"fusion.kind": "none"}, "none", False, None, (0, 1), 0.6, 0.01, (0.55, 0.65), 0.61, 400)
    real = ArmRecord({"fusion.kind": "add"}, "none", True, "none", (0, 1), 0.8, 0.02, (0.76, 0.84), 0.79, 400)
    gain = ComparisonRecord(
        arm="real",
        baseline="none",
        purpose="gaze",
        difference=0.2,
        ci95=(0.15, 0.25),
        p=1e-4,
        p_adjusted=1e-4,
        alternative="greater",
        n=400,
        seeds=2,
        by_seed=(0.19, 0.21),
        seeds_interval=None,
        seeds_p=None,
        detectable=0.05,
        pairs_needed=40,
    )
    cell = CellRecord("0000", "none", 0, "FAIL", None, math.nan, 32, 1.5, "3f2a", "loss is nan")
    return AblationDocument(
        name="mine",
        storage="/runs/mine",
        tracking_uri="sqlite:////runs/mlflow.db",
        mlflow_parent_run="91bc",
        arms={"none": none, "real": real},
        comparisons=(gain,),
        cells=(cell,),
        answer="supported",
        answers=(AnswerRecord("real", "supported", "none", (), None),),
        verdict="Gaze helps.",
        report="/runs/mine/report.md",
    )


def test_the_document_names_arms_comparisons_and_the_verdict() -> None:
    document = json.loads(example_document().to_json_text())
    assert list(document["arms"]) == ["none", "real"]
    (gain,) = document["comparisons"]
    assert {"arm", "baseline", "difference", "ci95", "p", "p_adjusted", "n"} <= gain.keys()
    assert document["verdict"] == "Gaze helps."


def test_a_cell_without_a_number_has_null() -> None:
    (cell,) = json.loads(example_document().to_json_text())["cells"]
    assert cell["val_accuracy"] is None and cell["reason"] == "loss is nan"
