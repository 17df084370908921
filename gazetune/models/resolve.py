"""Which saved model is meant: by a folder, a name, a rank in the table of a search, or an MLflow run id.

    gazetune_runs/mine/best      a folder with a saved model, or one that has it in `best`
    mine                         a run of `gazetune train`: its best model
    demo                         a finished search: the model of its best trial, the one that its confirmation kept
    demo:2                       a finished search: the model of the trial of rank 2 in its table; rank 1 is the winner,
                                 and controls have no rank
    demo:0003                    a finished search: the model of the trial with this id
    3f2b...                      the MLflow run of a training run, a search, a trial or a baseline
    models:/demo@champion        the model that MLflow's registry has under this name and alias, or models:/demo/1

A folder is looked for first, as it is given and below the storage folder, then the other forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from gazetune.config import is_control
from gazetune.errors import InputError
from gazetune.files.paths import find_path_fault, resolve_path, show_text
from gazetune.files.replaced_folder import recover_folder
from gazetune.report.document import TrialState, rank_key
from gazetune.reward.saved.saved_files import OLD_MARGINS, REWARDS, WEIGHTS
from gazetune.search.folder import SearchFolder
from gazetune.tracking.mlflow_runs import PARENT_TAG, TRIAL_TAG

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>.+)|/(?P<version>[0-9]+))")
_NAME_AND_RANK = re.compile(r"(?P<name>.+):(?P<rank>[0-9]{1,9})")
_TRIAL_ID = re.compile(r"[0-9]{4,}")


class TrialResult(TypedDict):
    """What is read of a trial in `search.json`."""

    id: int | str
    state: TrialState
    val_accuracy: float | None
    mlflow_run: str | None
    params: Mapping[str, object]
    control: NotRequired[str]
    """Missing in what an older version wrote."""


class ConfirmationResult(TypedDict):
    """What is read of a search's confirmation."""

    model: str | None
    """The folder of the run whose model was kept as the best, below that of the search."""


class SearchResult(TypedDict):
    """What is read of `search.json`."""

    best: TrialResult | None
    trials: list[TrialResult]
    confirmation: NotRequired[ConfirmationResult | None]
    """Missing in what an older version wrote."""


def resolve_saved_model(name: str | Path, storage: Path) -> Path:
    """Return the folder of the saved model that `name` means.

    Parameters
    ----------
    name
        A folder, or a name, NAME:RANK or MLflow run id below `storage` (see the top of this file).
    storage
        The folder of all results.

    Raises
    ------
    InputError
        When there is no such model; one line says what there is.
    """
    text = str(name)
    storage = resolve_path(storage, "--storage")
    for folder in places_of(text, storage):
        found = _model_in(folder)
        if found is not None:
            return found
    ranked = _NAME_AND_RANK.fullmatch(text)
    if ranked is not None:
        for folder in places_of(ranked["name"], storage):
            search = SearchFolder(folder)
            document = read_search_document(search)
            if document is not None and is_trial_of(search, ranked["rank"]):
                return _saved_or_refuse(search.trial_folder(ranked["rank"]), f"trial {text}")
            if document is not None:
                return _model_of_rank(search, document, int(ranked["rank"]))
    registered = _REGISTERED.fullmatch(text)
    if registered is not None:
        return _registered_model(text, registered["name"], registered["alias"] or registered["version"], storage)
    if is_run_id(text):
        run = find_run_folder(text, storage)
        if run is not None:
            return _saved_or_refuse(run, f"MLflow run '{text}'")
    there = ", ".join(names_in(storage)) or "none"
    raise InputError(
        f"{show_text(text)} is no saved model; accepted: a folder with one (best), or the name of a run or of a "
        f"finished search in {storage} ({there}), NAME:RANK of such a search, or an MLflow run id"
    )


def places_of(text: str, storage: Path) -> list[Path]:
    """Return the folders that a text may mean: as a path, and as a name below the storage folder."""
    if find_path_fault(text) is not None:
        return []
    path = Path(text).expanduser()
    return [path, storage / path]


def _model_in(folder: Path) -> Path | None:
    """Return the saved model of a folder: itself, the one in its `best`, or that of the search in it; None if none."""
    for saved in (folder, folder / "best"):
        if saved.parent.is_dir() and recover_folder(saved) and _holds_model(saved):
            return saved
    search = SearchFolder(folder)
    document = read_search_document(search)
    return None if document is None else winner_folder(search, document) / "best"


def winner_folder(search: SearchFolder, document: SearchResult) -> Path:
    """Return the folder of the best trial of a finished search.

    Raises
    ------
    InputError
        When it has none.
    """
    # Not `best` itself: an older version may have named a control.
    ranked = rank_candidates(search, document)
    if document["best"] is None or not ranked or ranked[0]["state"] != "COMPLETE":
        raise InputError(
            f"{search.path}: this search has no best trial{'' if ranked else '; all its trials are controls'}"
        )
    return folder_of_rank(search, document, ranked, 1)


def _holds_model(folder: Path) -> bool:
    """Tell whether a folder is a saved model; one with a missing file is, and loading it names the file."""
    others = (REWARDS, OLD_MARGINS, WEIGHTS)
    return (folder / "config.yaml").is_file() and any((folder / name).is_file() for name in others)


def read_search_document(search: SearchFolder) -> SearchResult | None:
    """Return the document of a finished search; None where the folder holds none."""
    return cast("SearchResult | None", search.read_document()) if search.path.is_dir() else None


def _model_of_rank(search: SearchFolder, document: SearchResult, rank: int) -> Path:
    """Return the model of the trial of this rank in the table of the search, which counts from 1."""
    trials = rank_candidates(search, document)
    folders = [folder_of_rank(search, document, trials, number) / "best" for number in range(1, len(trials) + 1)]
    if 1 <= rank <= len(folders) and recover_folder(folders[rank - 1]):
        return folders[rank - 1]
    kept = [str(number) for number, folder in enumerate(folders, start=1) if folder.is_dir()]
    beside = "" if len(trials) == len(document["trials"]) else " beside its controls"
    reason = "keeps no model of that rank" if 1 <= rank <= len(folders) else f"has {len(folders)} trials{beside}"
    raise InputError(
        f"{search.path.name}:{rank}: this search {reason}; accepted: rank {', '.join(kept) or '(none has a model)'}"
    )


def folder_of_rank(search: SearchFolder, document: SearchResult, ranked: list[TrialResult], rank: int) -> Path:
    """Return the folder of the run that a rank means: of a confirmed winner that of its best seed."""
    confirmed = _confirmed(document)
    if rank == 1 and confirmed is not None:
        return search.path / str(confirmed["model"])
    return search.trial_folder(str(ranked[rank - 1]["id"]))


def _confirmed(document: SearchResult) -> ConfirmationResult | None:
    """Return the confirmation of a search; None where its own choice stands."""
    confirmation = document.get("confirmation")
    return None if confirmation is None or confirmation["model"] is None else confirmation


def rank_candidates(search: SearchFolder, document: SearchResult) -> list[TrialResult]:
    """Return the trials that may win, best first, as the table of the search has them."""
    # A document of an older version does not say which trials are controls; the space and their parameters do.
    is_old = any("control" not in trial for trial in document["trials"])
    space = SearchFolder.find(search.path.parent, search.path.name)[1] if is_old else None
    candidates = [
        trial
        for trial in document["trials"]
        if not is_control(trial["control"] if space is None else space.control_of(trial["params"]))
    ]
    ranked = sorted(candidates, key=lambda trial: rank_key(trial["state"], trial["val_accuracy"]))
    best = document["best"]
    if best is None or _confirmed(document) is None:
        return ranked
    return sorted(ranked, key=lambda trial: trial["id"] != best["id"])


def is_trial_of(search: SearchFolder, text: str) -> bool:
    """Tell whether a text is the id of a trial of a search, and no rank: ids have four digits at least."""
    return _TRIAL_ID.fullmatch(text) is not None and search.trial_folder(text).is_dir()


def is_run_id(text: str) -> bool:
    """Tell whether a text looks like the id of an MLflow run.

    Examples
    --------
    >>> is_run_id("demo:2"), is_run_id("0f" * 16)
    (False, True)
    """
    return _RUN_ID.fullmatch(text) is not None


def find_run_folder(run_id: str, storage: Path) -> Path | None:
    """Return the folder of the training that an MLflow run stands for, None if it is not known here.

    The run of a search stands for its best trial. What lies in the storage folder is asked first, whatever server the
    runs were tracked at. Trials of an unfinished search and baselines are known to MLflow alone; they are asked of the
    storage folder's own database.

    Raises
    ------
    InputError
        For the run of a search without a best trial.
    """
    for folder in _run_folders(storage):
        search = SearchFolder(folder)
        document = read_search_document(search)
        if search.read_parent_run() == run_id:
            if document is not None:
                return winner_folder(search, document)
            return folder if recover_folder(folder / "best") else None  # an unfinished search has none of its own
        for trial in document["trials"] if document is not None else ():
            if trial["mlflow_run"] == run_id:
                return search.trial_folder(str(trial["id"]))
    tags = _read_tags(run_id, storage)
    if TRIAL_TAG not in tags or PARENT_TAG not in tags:
        return None
    for folder in _run_folders(storage):
        search = SearchFolder(folder)
        if search.read_parent_run() == tags[PARENT_TAG]:
            is_baseline = tags.get("role") in ("baseline", "confirmation")
            return search.baseline_folder(tags[TRIAL_TAG]) if is_baseline else search.trial_folder(tags[TRIAL_TAG])
    return None


def _registered_model(text: str, name: str, version: str, storage: Path) -> Path:
    """Return the folder of a registered model, which the storage folder's own MLflow database knows."""
    if (storage / "mlflow.db").is_file():
        from gazetune.tracking.mlflow_runs import Tracker
        from gazetune.tracking.registry import find_registered_folder

        folder = find_registered_folder(Tracker.open(None, storage, "gazetune"), name, version)
        if folder is not None and recover_folder(folder) and _holds_model(folder):
            return folder
    raise InputError(
        f"{show_text(text)}: the MLflow database of {storage} has no such model, or its folder is gone; accepted: "
        "models:/NAME@champion or models:/NAME/VERSION of a search there"
    )


def _saved_or_refuse(folder: Path, run: str) -> Path:
    if not folder.is_dir() or not recover_folder(folder / "best"):
        raise InputError(f"{run}: {folder} has no saved model; accepted: a run whose model was kept")
    return folder / "best"


def _read_tags(run_id: str, storage: Path) -> dict[str, str]:
    """Return the tags of a run in the storage folder's own MLflow database; none where it is not there."""
    database = storage / "mlflow.db"
    if not database.is_file():
        return {}
    # Imported here: it takes seconds, and only a run id needs it.
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from gazetune.tracking.database_url import sqlite_url

    try:
        return dict(MlflowClient(tracking_uri=sqlite_url(database)).get_run(run_id).data.tags)
    except MlflowException:  # it has no such run
        return {}


def _run_folders(storage: Path) -> Iterator[Path]:
    """Yield the folders below `storage` that a training run or a search was tracked from, by name."""
    return (note.parent for note in sorted(storage.glob("[!.]*/mlflow_run")))


def names_in(storage: Path) -> list[str]:
    """Return the names below `storage` that mean a saved model, sorted."""
    models = {best.parent.name for best in storage.glob("[!.]*/best/config.yaml")}
    return sorted(models | {document.parent.name for document in storage.glob("[!.]*/search.json")})
