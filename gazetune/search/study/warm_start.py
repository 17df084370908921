"""`--warm-start`: what another search found, as history for the sampler of this one.

The COMPLETE trials of the other search become part of the new search's space file (`history`), and `seeding.seed_study`
puts them into its study. A trial is taken over when its whole config lies in the new space: what differs must be axes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from optuna import Study
from optuna.trial import TrialState

from gazetune.config.keys import config_keys, get_key
from gazetune.config.yaml_file import read_yaml
from gazetune.errors import InputError, did_you_mean
from gazetune.files.names import is_folder_name
from gazetune.files.paths import path_exists, resolve_path, show_text
from gazetune.search.folder import SearchFolder
from gazetune.search.space.extras import PastTrial
from gazetune.search.space.points import locate_point
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.objectives import objectives_of
from gazetune.search.study.own_trials import own_trials
from gazetune.search.study.samplers import SAMPLERS, sampler_names
from gazetune.search.study.storage import find_study, own_study_url
from gazetune.trials.messages import trial_id_of
from gazetune.trials.run_folder import RunFacts

_LOG = logging.getLogger(__name__)
_NOT_COMPARED = ("search.", "resources.", "tracking.", "gaze.store")
"""Keys that say how and where a trial runs, not what it is."""


def check_warm_start(space: SearchSpace, source: str, storage: Path) -> None:
    """Refuse what is wrong with another search's trials, as far as that is known before any data are prepared.

    Raises
    ------
    InputError
        When the sampler does not learn, there is no such search, it has no study, or it improved something else.
    """
    _open_history(space, source, storage)


def with_history(space: SearchSpace, source: str, storage: Path, facts: RunFacts) -> SearchSpace:
    """Return the space with the COMPLETE trials of another search that lie inside it.

    Parameters
    ----------
    space : SearchSpace
        The space of the new search.
    source : str
        Name of a search in `storage`, or its folder.
    storage : Path
        The storage folder.
    facts : RunFacts
        What the new search's values depend on.

    Raises
    ------
    InputError
        When there is no such search, its values do not compare with those of the new one, or no trial lies inside.
    """
    origin = f"--warm-start {source}"
    folder, old, study = _open_history(space, source, storage)
    _check_same_data(origin, folder.read_facts(), facts)
    past: list[PastTrial] = []
    outside: list[str] = []
    for trial in own_trials(study, (TrialState.COMPLETE,)):
        number = trial_id_of(trial.number)
        values = _read_values(read_yaml(folder.trial_folder(number) / "config.yaml"))
        if "adapter.targets" in values and "adapter.targets" not in {axis.key for axis in space.axes}:
            values["adapter.targets"] = _compared_targets(space, values)
        try:
            past.append(PastTrial(f"{old.name}:{number}", tuple(trial.values), locate_point(space, values, number)))
        except InputError as error:
            outside.append(str(error))
    if not past:
        why = f"the first one: trial {outside[0]}" if outside else "it has none"
        raise InputError(f"{origin}: none of its COMPLETE trials lies inside {space.origin}; {why}")
    _LOG.info("%s: %d COMPLETE trials taken over, %d lie outside this space", origin, len(past), len(outside))
    return replace(space, extras=replace(space.extras, history=tuple(past)))


def _find_folder(source: str, storage: Path) -> SearchFolder:
    places = [Path(os.path.expanduser(source))]
    if is_folder_name(source):
        places.insert(0, storage / source)
    for path in places:
        if source and path_exists(path / "space.yaml"):
            return SearchFolder(resolve_path(path, "--warm-start"))
    names = SearchFolder.list_names(storage)
    accepted = did_you_mean(source, names) if names else "none was started there"
    shown = show_text(source)
    raise InputError(f"--warm-start {shown}: neither a search in {storage} nor the folder of one; {accepted}")


def _open_history(space: SearchSpace, source: str, storage: Path) -> tuple[SearchFolder, SearchSpace, Study]:
    """Return folder, space and study of the search that is named."""
    origin = f"--warm-start {source}"
    sampler = space.config.search.sampler
    if not SAMPLERS[sampler].learns_from_others:
        accepted = sampler_names(lambda record: record.learns_from_others)
        raise InputError(
            f"{origin}: search.sampler: {sampler} does not learn from earlier trials; accepted: {accepted}"
        )
    folder = _find_folder(source, storage)
    old = read_space(folder.path / "space.yaml")
    theirs, ours = ([goal.name for goal in objectives_of(each.config.search)] for each in (old, space))
    if theirs != ours:
        raise InputError(
            f"{origin}: search.objective: it improved {', '.join(theirs)} and this search {', '.join(ours)}"
        )
    where = old.config.search.storage or own_study_url(folder.path)
    study = find_study(where, old.name)
    if study is None:
        raise InputError(f"{origin}: there is no study '{old.name}' in {where}")
    return folder, old, study


def _check_same_data(origin: str, before: RunFacts | None, facts: RunFacts) -> None:
    """Refuse values that were reached on other pairs, or with another budget, than those of the new search."""
    if before is None:
        raise InputError(f"{origin}: it says nowhere which data it saw, so its values cannot be compared")
    if before.data != facts.data:
        raise InputError(
            f"{origin}: data: its preference pairs have fingerprint {before.data} and those of this search {facts.data}"
        )
    if before.budget != facts.budget:
        raise InputError(
            f"{origin}: train.epochs: its trials saw {before.budget} training examples and those of this search "
            f"{facts.budget}"
        )


def _compared_targets(space: SearchSpace, values: Mapping[str, object]) -> object:
    """Return the adapter targets of a trial, in the words of the space: `auto` may have been written as names."""
    ours, theirs = space.config.adapter.targets, values.get("adapter.targets")
    if ours != "auto" or not isinstance(theirs, list):
        return theirs
    # Imports torch, for searches that were begun with `auto` and are warm-started by ones with names, or the reverse.
    from gazetune.reward.model.adapter import LOW_RANK_KINDS, choose_targets
    from gazetune.reward.model.backbone import empty_backbone

    if values.get("adapter.kind") not in LOW_RANK_KINDS:
        return ours  # no module gets matrices
    chosen = choose_targets(empty_backbone(str(values["backbone"])), space.config.adapter)
    return ours if list(chosen) == theirs else theirs


def _read_values(tree: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a resolved config by dotted key."""
    found: dict[str, object] = {}
    for key in config_keys():
        if not key.startswith(_NOT_COMPARED):
            try:
                found[key] = get_key(tree, key)
            except KeyError:
                continue  # written before this key was there: it has its default
    return found
