"""What is known of how good a saved model is, for its card: its test pairs, and the verdict of its search."""

from __future__ import annotations

from pathlib import Path

from gazetune.errors import InputError
from gazetune.evaluate.margins import margins_file, read_margins
from gazetune.evaluate.statistics import accuracy_interval
from gazetune.models.resolve import read_search_document, winner_folder
from gazetune.report.read_document import read_document
from gazetune.report.wording import format_interval, format_percent, state_verdict
from gazetune.reward.saved.saved_files import WEIGHTS
from gazetune.search.folder import SearchFolder


def describe_measured(model: Path) -> list[str]:
    """Return sentences on the saved model in folder `model`: its accuracy on test, and what its search came to.

    None of what it cannot know: a model that was never scored on test has no sentence about it.
    """
    run, sentences = model.resolve().parent, []
    if (file := margins_file(run, "test")).is_file():
        right = read_margins(file).correctness
        ends = format_interval(accuracy_interval(right))
        sentences.append(
            f"Pairwise accuracy on the test split, which training and choice never saw: "
            f"{format_percent(float(right.mean()))} % (95 % interval {ends}, n = {len(right)})."
        )
    search = find_search(model)
    if search is not None and (verdict := _verdict_on(search, run)) is not None:
        sentences.append(f"What the search {search.path.name} came to: {verdict}")
    return sentences


def list_exportable_trials(search: SearchFolder) -> list[str]:
    """Return the ids of a search's trials without gaze whose models were kept, which transformers can load."""
    from gazetune.reward.saved.saved_model import read_saved_config

    kept = sorted(file.parent for file in search.path.glob(f"trials/*/best/{WEIGHTS}"))
    return [model.parent.name for model in kept if read_saved_config(model).fusion.kind == "none"]


def find_search(model: Path) -> SearchFolder | None:
    """Return the finished search in whose folder a saved model lies: `NAME/trials/ID/best` and the like; else None."""
    folders = (SearchFolder(folder) for folder in model.resolve().parents[1:3])
    return next((search for search in folders if read_search_document(search) is not None), None)


def _verdict_on(search: SearchFolder, run: Path) -> str | None:
    """Return the verdict of a search where the run is its winner."""
    document, stored = read_search_document(search), search.read_document()
    assert document is not None and stored is not None
    try:
        if winner_folder(search, document).resolve() != run:
            return None
        return state_verdict(read_document(stored))
    except (InputError, ValueError):  # no winner; a document of an older version that does not say enough
        return None
