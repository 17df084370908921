"""The document of an ablation from the folders of its cells: arms, comparisons, the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gazetune.ablation.comparisons import ScoredArm, compare_arms, explain_missing
from gazetune.ablation.folder import AblationFolder
from gazetune.ablation.measure_shares import share_by_measure
from gazetune.ablation.study.contrasts import list_contrasts
from gazetune.ablation.study.study import Study, control_of, has_gaze
from gazetune.ablation.verdict import answer_study, judge_arms
from gazetune.config import is_control
from gazetune.evaluate.margins import margins_file, read_margins
from gazetune.evaluate.statistics.bootstrap import bca_interval, group_items
from gazetune.report.ablation_document import AblationDocument, ArmRecord, CellRecord
from gazetune.report.ablation_wording import word_verdict
from gazetune.reward.data.dataset import PreparedData
from gazetune.tracking.lineage import code_version

_LEVEL = 0.95


def describe_outcome(
    study: Study, folder: AblationFolder, tracking_uri: str, parent_run: str, data: Sequence[PreparedData]
) -> AblationDocument:
    """Return the document of an ablation all of whose cells have ended.

    Raises
    ------
    InputError
        For a file of margins that cannot be read.
    """
    records = {cell.id: folder.read_cell(cell) for cell in study.cells}
    cells = [record for record in records.values() if record is not None]
    scored = _read_arms(study, folder, cells)
    contrasts = list_contrasts(study)
    comparisons = compare_arms(contrasts, scored)
    controls = {
        name: control_of(config) for name, config in study.arm_configs.items() if is_control(control_of(config))
    }
    answers = judge_arms(comparisons, controls)
    reasons = {each: explain_missing(each, scored) for each in contrasts}
    notes = [f"cell {cell.id} ({cell.arm}, seed {cell.seed}) failed: {cell.reason}" for cell in cells if cell.reason]
    notes += [f"{each.arm} and {each.baseline} are not compared: {why}" for each, why in reasons.items() if why]
    arms = {arm.name: _describe_arm(study, arm.name, arm.baseline, scored.get(arm.name), cells) for arm in study.arms}
    return AblationDocument(
        name=study.name,
        storage=str(folder.path),
        tracking_uri=tracking_uri,
        mlflow_parent_run=parent_run,
        arms=arms,
        comparisons=comparisons,
        cells=tuple(cells),
        answer=answer_study(answers),
        answers=tuple(answers),
        verdict=word_verdict(answers, comparisons),
        report=str(folder.report),
        importance_by_measure=_share_by_measure(study, arms),
        notes=tuple(notes),
        data=tuple(_list_counts(data)),
        config=study.to_yaml(),
        fingerprints={
            "data": ", ".join(dict.fromkeys(each.facts.data_fingerprint for each in data)),
            "gaze": ", ".join(dict.fromkeys(each.facts.gaze_fingerprint for each in data)),
            "code": code_version(),
        },
    )


def _read_arms(study: Study, folder: AblationFolder, cells: Sequence[CellRecord]) -> dict[str, ScoredArm]:
    """Return the arms that have a COMPLETE cell."""
    complete: dict[str, dict[int, CellRecord]] = {}
    for cell in cells:
        if cell.state == "COMPLETE":
            complete.setdefault(cell.arm, {})[cell.seed] = cell
    return {
        arm.name: ScoredArm.from_margins(
            {
                seed: read_margins(margins_file(folder.trial_folder(cell.id), "test"))
                for seed, cell in complete[arm.name].items()
            }
        )
        for arm in study.arms
        if arm.name in complete
    }


def _describe_arm(
    study: Study, name: str, baseline: str | None, scored: ScoredArm | None, cells: Sequence[CellRecord]
) -> ArmRecord:
    config = study.arm_configs[name]
    known = (study.params_of(name), control_of(config), has_gaze(config), baseline)
    if scored is None:
        return ArmRecord(*known, (), None, None, None, None, 0)
    seeds = tuple(scored.correct)
    by_seed = scored.stack(seeds)
    accuracies = by_seed.mean(axis=1)
    validation = [cell.val_accuracy for cell in cells if cell.arm == name and cell.state == "COMPLETE"]
    return ArmRecord(
        *known,
        seeds=seeds,
        accuracy=float(accuracies.mean()),
        sd=float(accuracies.std(ddof=1)) if len(seeds) > 1 else None,
        ci95=bca_interval(group_items(by_seed.mean(axis=0), scored.groups), _LEVEL, np.random.default_rng(0)),
        val_accuracy=float(np.mean([value for value in validation if value is not None])),
        n=by_seed.shape[1],
    )


def _share_by_measure(study: Study, arms: Mapping[str, ArmRecord]) -> Mapping[str, float]:
    """Return the share of each measure among arms with gaze that differ in their masks."""
    found = [
        (study.arm_configs[name].gaze.features, arm.accuracy)
        for name, arm in arms.items()
        if arm.has_gaze and arm.accuracy is not None
    ]
    if len({mask for mask, _ in found}) < 2:
        return {}
    return share_by_measure([mask for mask, _ in found], [accuracy for _, accuracy in found])


def _list_counts(data: Sequence[PreparedData]) -> list[Mapping[str, Mapping[str, int]]]:
    counts = [each.facts.list_counts() for each in data]
    return [each for place, each in enumerate(counts) if each not in counts[:place]]
