"""Which arms of a study are compared, and why.

An arm is compared with its baseline. An arm with gaze is compared with each control too that differs from it in
`gaze.control` alone, and each of these with the arm's baseline without gaze, whatever its own baseline is, so that what
it gains is known. What a comparison is for decides about its test and its family::

    gaze       an arm with gaze against one without gaze, or against a control      is it better?      one-sided
    control    a control against an arm without gaze                                is it better?      one-sided
    setting    any other two                                                        is it different?   two-sided

Holm's correction is over all comparisons of one purpose.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from gazetune.ablation.study.study import Study, control_of, differ_in_control_alone, has_gaze
from gazetune.config import is_control
from gazetune.report.ablation_document import Purpose


@dataclass(frozen=True)
class Contrast:
    """Two arms that are to be compared."""

    arm: str
    baseline: str
    purpose: Purpose


def list_contrasts(study: Study) -> list[Contrast]:
    """Return what is to be compared: arms with gaze and their baselines and controls first, in the study's order."""
    configs = study.arm_configs
    pairs = [(arm.name, arm.baseline) for arm in study.arms if arm.baseline is not None]
    baselines = dict(pairs)
    controlled = [
        (arm, control)
        for arm, control in itertools.permutations(configs, 2)
        if has_gaze(configs[arm])
        and is_control(control_of(configs[control]))
        and differ_in_control_alone(configs[arm], configs[control])
    ]
    pairs += controlled
    pairs += [
        (control, baselines[arm])
        for arm, control in controlled
        if arm in baselines and configs[baselines[arm]].fusion.kind == "none"
    ]
    contrasts = [Contrast(arm, baseline, _purpose_of(study, arm, baseline)) for arm, baseline in dict.fromkeys(pairs)]
    return sorted(contrasts, key=lambda each: ("gaze", "control", "setting").index(each.purpose))


def _purpose_of(study: Study, arm: str, baseline: str) -> Purpose:
    tried, against = study.arm_configs[arm], study.arm_configs[baseline]
    if has_gaze(tried) and not has_gaze(against):
        return "gaze"
    if is_control(control_of(tried)) and against.fusion.kind == "none":
        return "control"
    return "setting"
