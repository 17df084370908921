"""The report of a run as files: a page to look at, Markdown, LaTeX and the trials as CSV."""

from __future__ import annotations

from pathlib import Path

from gazetune.errors import InputError
from gazetune.files.atomic_write import write_atomically
from gazetune.report.ablation_document import AblationDocument
from gazetune.report.evidence import RunEvidence
from gazetune.report.html.ablation_parts import (
    arm_curves_section,
    arms_section,
    cells_section,
    comparisons_section,
    measures_section,
    rename_trials,
)
from gazetune.report.html.confirmation import confirmation_sections
from gazetune.report.html.intervals import compared_section
from gazetune.report.html.lists import (
    commands_section,
    controls_section,
    ended_section,
    facts_section,
    pareto_section,
    trials_section,
)
from gazetune.report.html.page import render_page
from gazetune.report.html.reward_plots import reward_sections
from gazetune.report.html.section import Section
from gazetune.report.html.texts import render_latex, render_markdown, render_trials_csv
from gazetune.report.html.trial_plots import cost_section, curves_section, history_section
from gazetune.report.html.value_plots import importance_section, masks_section, means_section
from gazetune.report.wording import best_line, diagnostics_line, ended_line, state_verdict

PAGE, MARKDOWN, LATEX, TRIALS = "report.html", "report.md", "report.tex", "trials.csv"
"""Names of the files."""


def write_report_files(evidence: RunEvidence, out: Path, keep_markdown: bool = False) -> dict[str, Path]:
    """Write the files into a folder, each whole or not at all, and return them by kind.

    Parameters
    ----------
    evidence
        What is shown.
    out
        The folder; it is made where it is missing.
    keep_markdown
        Leave a `report.md` as it is that a finished search has written itself: it knows more than what can be read
        again.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    title = f"{'Search' if evidence.ablation is None else 'Ablation'} {evidence.document.name}"
    verdict, sections = verdict_paragraphs(evidence), list_sections(evidence)
    texts = {
        "html": (PAGE, render_page(title, verdict, sections)),
        "markdown": (MARKDOWN, render_markdown(title, verdict, sections)),
        "latex": (LATEX, render_latex(title, verdict, sections)),
        "csv": (TRIALS, render_trials_csv(evidence)),
    }
    if keep_markdown and (out / MARKDOWN).is_file():
        texts["markdown"] = (MARKDOWN, "")
    for name, text in texts.values():
        if not text:
            continue
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_atomically(out / name, text)
        except OSError as error:
            raise InputError(f"--out: '{out / name}' cannot be written ({error.strerror or error})") from None
    return {kind: out / name for kind, (name, _) in texts.items()}


def verdict_paragraphs(evidence: RunEvidence) -> list[str]:
    """Return what stands first: whether gaze helps, or that the search is not over."""
    document = evidence.document
    if evidence.state != "finished":
        return list(evidence.notes)
    if evidence.ablation is not None:
        return [evidence.ablation.verdict, *evidence.notes]
    told = [state_verdict(document)]
    if document.ended_by is not None:
        told.append(ended_line(document.ended_by))
    if document.best is not None:
        told.append(best_line(document.best))
    if document.diagnostics is not None:
        told.append(diagnostics_line(document.diagnostics))
    return [*told, *evidence.notes]


def list_sections(evidence: RunEvidence) -> list[Section]:
    """Return the parts below the verdict, in their order."""
    document = evidence.document
    if evidence.ablation is not None:
        return _list_ablation_sections(evidence, evidence.ablation)
    sections = [
        compared_section(document),
        *confirmation_sections(document),
        controls_section(document),
        pareto_section(document),
        history_section(document),
        curves_section(evidence),
        importance_section(document.importance),
        means_section(document.means),
        masks_section(evidence),
        cost_section(evidence),
        *reward_sections(evidence.scored),
        ended_section(document),
        trials_section(document),
        commands_section(evidence),
        facts_section(evidence),
    ]
    return [section for section in sections if section is not None]


def _list_ablation_sections(evidence: RunEvidence, ablation: AblationDocument) -> list[Section]:
    own = [arms_section(ablation), comparisons_section(ablation), arm_curves_section(evidence)]
    as_trials = [
        masks_section(evidence),
        cost_section(evidence),
        *reward_sections(evidence.scored),
        ended_section(evidence.document),
        commands_section(evidence),
        facts_section(evidence),
    ]
    measures = measures_section(ablation)
    parts = [*own, *([] if measures is None else [measures]), *map(rename_trials, as_trials)]
    return [*parts[:-2], cells_section(ablation), *parts[-2:]]
