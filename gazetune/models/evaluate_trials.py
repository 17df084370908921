"""Scoring more trials of a finished search on its test split than the search itself compared.

A search looks at the test pairs once, with its winner, baselines and controls. Whoever looks at more trials may not
choose among them by what they see: the more models are looked at, the higher the best of them stands by luck alone.
Trials that are scored here are therefore marked, in their folder and in MLflow, and the winner stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazetune.config import Config
from gazetune.config.config_file import load_config
from gazetune.errors import InputError
from gazetune.evaluate.comparison import compare_runs
from gazetune.evaluate.margins import Margins, margins_file, read_margins, write_margins
from gazetune.evaluate.statistics import accuracy_interval
from gazetune.files.atomic_write import write_atomically
from gazetune.files.paths import show_text
from gazetune.models.resolve import SearchResult, folder_of_rank, rank_candidates, read_search_document
from gazetune.search.folder import SearchFolder
from gazetune.tracking.mlflow_runs import MARGINS_FOLDER, Tracker
from gazetune.train.scoring.evaluate_saved_model import score_own_test_pairs

LOOKED_AT = "looked_at_test"
"""File in the folder of a trial that was scored on test after its search had ended."""
LOOKED_AT_TAG = "gazetune.looked_at_test"
"""The same in MLflow."""


@dataclass(frozen=True, slots=True)
class EvaluatedTrial:
    """One trial on the test pairs."""

    rank: int
    id: str
    val_accuracy: float | None
    accuracy: float
    ci95: tuple[float, float]
    n: int
    difference: float | None
    """The winner's accuracy less this one's, on the same pairs; None of the winner, and on other pairs."""
    difference_ci95: tuple[float, float] | None
    p_adjusted: float | None
    """Holm's, over all trials that were scored."""
    looked_at: bool
    """Whether the search itself had not scored it."""


def evaluate_best_trials(name: str, storage: Path, top: int, tell: Callable[[str], None]) -> list[EvaluatedTrial]:
    """Score the best trials of a finished search on its test split, in this process.

    Parameters
    ----------
    name
        Of the search.
    storage
        The folder of all results.
    top
        The trials of the ranks 1 to `top`. Those whose model was dropped are left out, and told.
    tell
        Takes a line for people before each trial is scored.

    Raises
    ------
    InputError
        When there is no such search, it has not ended, none of these trials has a model any more, or its pairs have
        changed.
    """
    search, _ = SearchFolder.find(storage, name)
    document = read_search_document(search)
    if document is None:
        raise InputError(f"search {show_text(name)} has not ended; accepted: a finished search")
    candidates = rank_candidates(search, document)
    # A confirmed winner's model is that of its best seed, which was trained beside the trials.
    folders = {
        str(trial["id"]): folder_of_rank(search, document, candidates, rank)
        for rank, trial in enumerate(candidates[:top], start=1)
    }
    kept = {trial: folder for trial, folder in folders.items() if (folder / "best" / "config.yaml").is_file()}
    if not kept:
        raise InputError(
            f"search {show_text(name)} keeps the model of none of its {top} best trials (search.keep_models)"
        )
    if len(kept) < len(folders):
        left = ", ".join(trial for trial in folders if trial not in kept)
        tell(f"left out, since their models were not kept (search.keep_models): trial {left}")
    runs = {str(trial["id"]): trial["mlflow_run"] for trial in document["trials"]}
    scored = {trial: _score_trial(folder, storage, trial, runs[trial], tell) for trial, folder in kept.items()}
    return _compare_with_first(document, list(folders), kept, scored)


def _score_trial(folder: Path, storage: Path, trial: str, run: str | None, tell: Callable[[str], None]) -> Margins:
    """Return the margins of a trial on test; those of one that was scored before are read."""
    if margins_file(folder, "test").exists():
        return read_margins(margins_file(folder, "test"))
    tell(f"scoring trial {trial} on the test pairs")
    margins = score_own_test_pairs(folder / "best", storage)
    write_atomically(folder / LOOKED_AT, "scored on test after the search had ended\n")
    write_margins(margins_file(folder, "test"), margins)
    if run is not None:
        _log_scores(load_config(folder / "config.yaml"), storage, run, folder, margins)
    return margins


def _log_scores(config: Config, storage: Path, run: str, folder: Path, margins: Margins) -> None:
    tracker = Tracker.open(config.tracking.uri, storage, "gazetune")
    right = margins.correctness
    tracker.log_test(run, float(right.mean()), len(right), accuracy_interval(right), 0)
    tracker.log_file(run, margins_file(folder, "test"), MARGINS_FOLDER)
    tracker.set_tags(run, {LOOKED_AT_TAG: "true"})


def _compare_with_first(
    document: SearchResult, ranked: Sequence[str], folders: Mapping[str, Path], scored: Mapping[str, Margins]
) -> list[EvaluatedTrial]:
    """Return what each trial scores, and what the winner scores more, on the pairs that both have."""
    winner = ranked[0]
    others = [trial for trial in scored if trial != winner and winner in scored and _same_pairs(scored, trial, winner)]
    pairs = {}
    if others:
        compared = compare_runs({winner: [scored[winner]], **{trial: [scored[trial]] for trial in others}})
        pairs = {pair.second: pair for pair in compared.pairs}
    accuracies = {str(trial["id"]): trial["val_accuracy"] for trial in document["trials"]}
    found = []
    for trial, margins in scored.items():
        right, pair = margins.correctness, pairs.get(trial)
        found.append(
            EvaluatedTrial(
                rank=ranked.index(trial) + 1,
                id=trial,
                val_accuracy=accuracies[trial],
                accuracy=float(right.mean()),
                ci95=accuracy_interval(right),
                n=len(right),
                difference=None if pair is None else pair.difference,
                difference_ci95=None if pair is None else pair.ci95,
                p_adjusted=None if pair is None else pair.p_adjusted,
                looked_at=(folders[trial] / LOOKED_AT).exists(),
            )
        )
    return found


def _same_pairs(scored: Mapping[str, Margins], trial: str, winner: str) -> bool:
    return set(scored[trial].items) == set(scored[winner].items)
