"""Whose margins are meant: by a file, a folder, a name, a part of a name, or an MLflow run id.

runs/mine/test.parquet       a file of margins
runs/mine                    a folder of a run, or that of its saved model
mine                         a run of `gazetune train`
demo                         a finished search: its best trial
demo:2                       the trial of rank 2 in its table; rank 1 is the winner
demo:0003                    the trial with this id
demo:winner-without-gaze     what was trained for the comparison, by the beginning of its folder's name, where that
                             means one run; of a confirmed search an arm (winner, control-shuffled, ...): one file
                             a seed
controls:real                an arm of an ablation: all of its cells, one a seed
controls:real/42             one of them
3f2b...                      the MLflow run of a training run, a search, a trial or a baseline
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from gazetune.errors import InputError
from gazetune.evaluate.margins import margins_file
from gazetune.files.paths import resolve_path, show_text
from gazetune.models.resolve import (
    find_run_folder,
    folder_of_rank,
    is_run_id,
    is_trial_of,
    names_in,
    places_of,
    rank_candidates,
    read_search_document,
    winner_folder,
)
from gazetune.search.folder import SearchFolder
from gazetune.trials.run_folder import RunFolder


class _AblationFolder(RunFolder):
    """The folder of an ablation, as far as its results are read here: the room `ablation` stands above this one."""

    kind = "ablation"


def resolve_margins(text: str, storage: Path, split: str) -> list[Path]:
    """Return the files of margins on a split that a text means.

    Parameters
    ----------
    text
        A file, a folder, or a name, a part of a name or an MLflow run id below `storage` (see the top of this file).
    storage
        The folder of all results.
    split
        `test` or `validation`.

    Returns
    -------
    One file; of an arm of an ablation one for each seed.

    Raises
    ------
    InputError
        When nothing is meant, or it was not scored on the split; one line says what there is.
    """
    storage = resolve_path(storage, "--storage")
    folders = _find_runs(text, storage)
    if folders is None:
        there = ", ".join(names_in(storage)) or "none"
        raise InputError(
            f"{show_text(text)} is no run with margins; accepted: a file of margins, the folder or the name of a run "
            f"in {storage} ({there}), NAME:RANK or NAME:ID of a search, NAME:ARM of an ablation, or an MLflow run id"
        )
    files = [folder if folder.is_file() else margins_file(folder, split) for folder in folders]
    missing = next((file for file in files if not file.exists()), None)
    if missing is not None:
        more = ", or let gazetune evaluate score more trials of a search on test" if split == "test" else ""
        raise InputError(
            f"{show_text(text)}: {missing.parent} has no margins on {split} ({missing.name}); accepted: a run that was "
            f"scored there{more}"
        )
    return files


def resolve_run(text: str, storage: Path) -> Path:
    """Return the folder of the one training that a text means; an arm means several.

    Raises
    ------
    InputError
        When no run is meant, or several are.
    """
    folders = _find_runs(text, storage)
    if folders is None or not folders[0].is_dir():
        raise InputError(f"{show_text(text)} is no run of {storage}; accepted: what names one run, such as NAME:0003")
    if len(folders) > 1:
        raise InputError(f"{show_text(text)} means {len(folders)} runs, one a seed; accepted: one of them, as ARM/SEED")
    return folders[0]


def _find_runs(text: str, storage: Path) -> list[Path] | None:
    """Return the folders of the runs that a text means, or the file that it is; None where it means nothing."""
    for place in places_of(text, storage):
        if place.is_file():
            return [place]
        if place.name == "best" and (place / "config.yaml").is_file():
            return [place.parent]
        if _AblationFolder(place).document.is_file():
            arms = ", ".join(_cells_of_arms(_AblationFolder(place)))
            raise InputError(f"{show_text(text)} is an ablation; accepted: one of its arms, {place.name}:ARM ({arms})")
        search = SearchFolder(place)
        document = read_search_document(search)
        if document is not None:
            return [winner_folder(search, document)]
        if any((place / file).is_file() for file in ("config.yaml", "validation.parquet", "test.parquet")):
            return [place]
    for at in (place for place, character in enumerate(text) if character == ":"):  # an arm's name may have one, too
        name, part = text[:at], text[at + 1 :]
        for place in places_of(name, storage) if name and part else ():
            if place.is_dir():
                return _find_part(place, part)
    if is_run_id(text):
        run = find_run_folder(text, storage)
        return None if run is None else [run]
    return None


def _find_part(folder: Path, part: str) -> list[Path]:
    """Return the runs that `NAME:part` means, the folder of NAME being given."""
    ablation = _AblationFolder(folder)
    if ablation.document.is_file():
        arms = _cells_of_arms(ablation)
        if part in arms:
            return list(arms[part].values())
        arm, _, seed = part.rpartition("/")
        if seed not in arms.get(arm, {}):
            raise InputError(f"{folder.name}:{part}: there is no such arm; accepted: {', '.join(arms)}, or ARM/SEED")
        return [arms[arm][seed]]
    search = SearchFolder(folder)
    document = read_search_document(search)
    confirmed = _arms_of_confirmation(search)
    if part in confirmed:
        return confirmed[part]
    if is_trial_of(search, part):
        return [search.trial_folder(part)]
    trained = sorted(_trained_beside(folder, part))
    if folder / "baselines" / part in trained:
        return [folder / "baselines" / part]
    if len(trained) > 1:
        several = ", ".join(each.name for each in trained)
        raise InputError(f"{folder.name}:{part}: means {len(trained)} runs; accepted: one of {several}")
    if trained:
        return trained
    ranked = [] if document is None else rank_candidates(search, document)
    if document is not None and part.isdecimal() and 1 <= int(part) <= len(ranked):
        return [folder_of_rank(search, document, ranked, int(part))]
    ids = sorted(trial.name for trial in folder.glob("trials/[0-9]*"))
    parts = [f"rank 1 to {len(ranked)}"] if ranked else []
    parts += [f"trial {ids[0]} to {ids[-1]}"] if ids else []
    parts += [*confirmed]
    parts += sorted(trained.name for trained in _trained_beside(folder, ""))
    raise InputError(f"{folder.name}:{part}: there is no such run; accepted: {', '.join(parts) or 'none'}")


def _trained_beside(folder: Path, start: str) -> Iterator[Path]:
    """Yield what a search has trained beside its trials, by the beginning of the folder's name."""
    return (each for each in folder.glob("baselines/*") if each.is_dir() and each.name.startswith(start))


def _arms_of_confirmation(search: SearchFolder) -> dict[str, list[Path]]:
    """Return the folders of the trainings that confirmed the winner of a search, by arm, one a seed."""
    document = search.read_document() or {}
    confirmation = cast("dict[str, dict[str, dict[str, list[str]]]] | None", document.get("confirmation"))
    arms = {} if confirmation is None else confirmation["arms"]
    return {name: [search.path / folder for folder in arm["folders"]] for name, arm in arms.items()}


def _cells_of_arms(ablation: RunFolder) -> dict[str, dict[str, Path]]:
    """Return the folders of the COMPLETE cells of an ablation, by arm and seed."""
    document = cast("dict[str, list[dict[str, object]]]", ablation.read_document())
    arms: dict[str, dict[str, Path]] = {}
    for cell in document["cells"]:
        if cell["state"] == "COMPLETE":
            arms.setdefault(str(cell["arm"]), {})[str(cell["seed"])] = ablation.trial_folder(str(cell["id"]))
    return arms
