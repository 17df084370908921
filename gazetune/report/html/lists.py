"""The parts of a report that are tables alone: trials, what failed, what took long, how to run it again."""

from __future__ import annotations

from collections.abc import Sequence

from gazetune.report.document import SearchDocument, TrialRecord
from gazetune.report.evidence import RunEvidence
from gazetune.report.html.section import MOST_ROWS, Section, Table
from gazetune.report.wording import (
    control_rows,
    pareto_rows,
    short_params,
    trial_cells,
    trials_with_ranks,
)

_SLOWEST = 10


def ended_section(document: SearchDocument) -> Section:
    """Return which trials failed and why, and which took longest."""
    title = "Failed and slowest trials"
    failed = [trial for trial in document.trials if trial.state == "FAIL"]
    reasons: dict[str, list[str]] = {}
    for trial in failed:
        reasons.setdefault(first_line(trial.reason) or "no reason was noted", []).append(trial.id)
    rows = [
        ["FAIL", _list_ids(ids), reason, ""] for reason, ids in sorted(reasons.items(), key=lambda item: -len(item[1]))
    ]
    slowest = sorted(document.trials, key=lambda trial: -trial.seconds)[:_SLOWEST]
    rows += [
        [trial.state, trial.id, _describe_end(trial), f"{trial.seconds:.1f}"] for trial in slowest if trial.seconds > 0
    ]
    told = f"{len(failed)} of {len(document.trials)} trials FAILed." if failed else "No trial FAILed."
    told += f" Below: the {len(rows) - len(reasons)} that trained longest, with their parameters." if rows else ""
    return Section(
        "ended", title, (told,), table=Table(["state", "trial", "reason, or parameters", "seconds"], rows[:MOST_ROWS])
    )


def first_line(text: str | None) -> str:
    """Return the first line of a reason; empty without one."""
    return next(iter((text or "").strip().splitlines()), "")


def _list_ids(ids: Sequence[str]) -> str:
    return ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")


def _describe_end(trial: TrialRecord) -> str:
    reason = first_line(trial.reason)
    return f"{short_params(trial.params)}{f'; {reason}' if reason else ''}"


def trials_section(document: SearchDocument) -> Section:
    """Return the table of the trials, best first."""
    trials = trials_with_ranks(document)
    rows = [[*trial_cells(rank, trial), first_line(trial.reason)] for rank, trial in trials[:MOST_ROWS]]
    text = (f"The first {MOST_ROWS} of {len(trials)}; trials.csv has all.",) if len(trials) > MOST_ROWS else ()
    head = ["rank", "trial", "state", "parameters", "examples", "validation accuracy %", "seconds", "reason"]
    return Section("trials", "Trials", text, table=Table(head, rows))


def controls_section(document: SearchDocument) -> Section | None:
    """Return what each control reached; None without any."""
    if not document.controls:
        return None
    head, *rows = control_rows(document)
    return Section("controls", "Controls, which cannot win", table=Table(head, rows))


def pareto_section(document: SearchDocument) -> Section | None:
    """Return the Pareto front; None with one objective."""
    if not document.pareto:
        return None
    head, *rows = pareto_rows(document.pareto)
    return Section("pareto", "Pareto front", table=Table(head, rows[:MOST_ROWS]))


def commands_section(evidence: RunEvidence) -> Section:
    """Return the command that runs each line of the report again."""
    trials = [
        (_name_line(evidence, rank, trial), command)
        for rank, trial in trials_with_ranks(evidence.document)
        if (command := evidence.trial_commands.get(trial.id)) is not None
    ]
    rows = [*evidence.commands, *trials]
    text = ["Each command trains what its line names again, from the config that was kept of it."]
    if len(rows) > MOST_ROWS:
        text.append(f"The first {MOST_ROWS} of {len(rows)} lines; trials.csv has the command of each trial.")
    return Section("commands", "How to run it again", tuple(text), table=Table(["line", "command"], rows[:MOST_ROWS]))


def _name_line(evidence: RunEvidence, rank: str, trial: TrialRecord) -> str:
    if evidence.ablation is not None:
        return f"cell {trial.id}: {trial.params.get('arm')}, seed {trial.params.get('train.seed')}"
    return f"control, trial {trial.id}" if rank == "control" else f"rank {rank}, trial {trial.id}"


def facts_section(evidence: RunEvidence) -> Section:
    """Return what was run, on which data, and what the sampler knew before."""
    document = evidence.document
    text = [
        f"The sampler knew {count} COMPLETE trials of the search '{name}' before its first trial."
        for name, count in evidence.learned_from.items()
    ]
    rows = [["storage", document.storage], ["tracking URI", document.tracking_uri]]
    rows.append(["MLflow run", document.mlflow_parent_run])
    for data in document.data:
        for name in ("pairs", "dropped", "notes"):
            counts = ", ".join(f"{each} {count}" for each, count in data.get(name, {}).items())
            rows.append([name, counts or "none"])
    rows += [
        [name, value] for name, value in document.fingerprints.items() if name not in ("pairs", "dropped", "notes")
    ]
    return Section("facts", "What was run", tuple(text), table=Table(["", ""], rows), code=document.config.rstrip())
