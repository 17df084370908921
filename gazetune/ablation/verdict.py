"""Whether gaze helps, as the comparisons of an ablation answer it. `report/ablation_wording.py` says it in words.

For each arm with gaze there is one answer:

- `supported`: it is better than its arm without gaze and than each of its controls, and no control gains more than a
  third of what it gains. A gain that a control shows too is no gain of gaze.
- `not supported`: it is not better than its arm without gaze although the pairs would show a gain of
  `SMALLEST_GAIN`, or a control gains as much.
- `cannot tell`: the rest. The pairs that it would take are said.

The study's answer is that of its arms: supported when one of them is (Holm's correction is over all of them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gazetune.report.ablation_document import Answer, AnswerRecord, ComparisonRecord

LEVEL = 0.05
"""Of p after Holm's correction."""
CONTROL_SHARE = 1 / 3
"""The most of a gain that a control may show, for the gain to be one of gaze."""
SMALLEST_GAIN = 0.01
"""A gain of a point is the least that is asked about: where the interval ends below it, there is none to speak of."""


def judge_arms(comparisons: Sequence[ComparisonRecord], controls: Mapping[str, str]) -> list[AnswerRecord]:
    """Return the answer of each arm with gaze that was compared with an arm without gaze.

    Parameters
    ----------
    comparisons
        Of `compare_arms`.
    controls
        Arm -> its `gaze.control`, of the arms that are controls.
    """
    gains = [each for each in comparisons if each.purpose == "gaze" and each.baseline not in controls]
    of_controls = {(each.arm, each.baseline): each for each in comparisons if each.purpose == "control"}
    answers = []
    for gain in gains:
        against = tuple(
            each
            for each in comparisons
            if each.purpose == "gaze" and each.arm == gain.arm and each.baseline in controls
        )
        pairs = {each.baseline: (each.baseline, gain.baseline) for each in against}
        own = {control: of_controls[pair] for control, pair in pairs.items() if pair in of_controls}
        answers.append(_judge(gain, against, own))
    return answers


def _judge(
    gain: ComparisonRecord, against: tuple[ComparisonRecord, ...], own: Mapping[str, ComparisonRecord]
) -> AnswerRecord:
    """`own` are the gains of the arm's controls over the same arm without gaze, by control."""

    def _answer(answer: Answer, control: str | None) -> AnswerRecord:
        return AnswerRecord(gain.arm, answer, gain.baseline, tuple(each.baseline for each in against), control)

    if gain.p_adjusted > LEVEL or gain.difference <= 0:
        answer: Answer = "not supported" if gain.ci95[1] < SMALLEST_GAIN else "cannot tell"
        return _answer(answer, None)
    too_much = [name for name, each in own.items() if each.difference > CONTROL_SHARE * gain.difference]
    unbeaten = [each.baseline for each in against if each.p_adjusted > LEVEL or each.difference <= 0]
    if not too_much and not unbeaten:
        return _answer("supported", None)
    closest = min(
        (each for each in against if each.baseline in (*too_much, *unbeaten)), key=lambda each: each.difference
    )
    # A control that gains nothing by itself and is merely not beaten leaves the question open.
    shows_it = closest.baseline in own and own[closest.baseline].ci95[0] > 0 and closest.baseline in too_much
    return _answer("not supported" if shows_it else "cannot tell", closest.baseline)


def answer_study(answers: Sequence[AnswerRecord]) -> Answer | None:
    """Return the study's answer; None where no arm with gaze was compared with one without.

    Examples
    --------
    >>> answer_study([]) is None
    True
    """
    if not answers:
        return None
    given = {each.answer for each in answers}
    return next(answer for answer in ("supported", "cannot tell", "not supported") if answer in given)
