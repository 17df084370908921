"""Study files: a YAML file with a base config and arms, or factors whose combinations are the arms.

::

    name: mine
    base: {data: {source: pairs.jsonl}, fusion: {kind: add}}
    arms:                                   or   factors:
      none: {fusion.kind: none}                    fusion.kind: [none, add, concat]
      real: {}                                     gaze.control: {choice: [none, noise], when: fusion.kind != none}
      noise: {gaze.control: noise}
    baseline: none                               baseline: {fusion.kind: none}
    seeds: [42, 43, 44]
    resources: {workers: 1}
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gazetune.ablation.study.factors import DESIGNS, list_arms, read_factors
from gazetune.ablation.study.study import Arm, Study
from gazetune.config import LARGEST_SEED
from gazetune.config.config_file import Lines, parse_overrides
from gazetune.config.keys import config_keys, get_key, key_hint
from gazetune.config.yaml_file import read_yaml_lines
from gazetune.errors import InputError, did_you_mean
from gazetune.files.names import check_name
from gazetune.search.space.conditions import shown_value
from gazetune.search.space.extras import Extras
from gazetune.search.space.groups import with_dotted_keys
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import PATH_KEYS, make_base_absolute, merge_base, refuse_secrets
from gazetune.train.checks import check_config

_LOG = logging.getLogger(__name__)

_TOP_LEVEL = (
    "name",
    "preset",
    "base",
    "factors",
    "design",
    "arms",
    "baseline",
    "seeds",
    "keep_models",
    "resources",
    "tracking",
)
_NOT_YET = {
    "tune": "arms with a search of their own are not supported yet; all arms have the setting of the base",
    "test_sets": "other test sets than the split are not supported yet; every cell is scored on its test split",
}
_SEARCH_KEYS = ("node_patience",)
_OF_THE_RUN = ("search.", "tracking.")
_LONGEST_NAME = 100
"""Characters of an arm's name: it stands in tables, in MLflow and in lines for people."""


def read_study(
    path: Path, name: str | None = None, seeds: Sequence[int] | None = None, overrides: Sequence[str] = ()
) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path
        The file.
    name
        Name of the ablation, in the place of the file's.
    seeds
        Training seeds, in the place of the file's.
    overrides
        `dotted.key=value` each. A factor that is set has that value alone; a key that listed arms set is refused.

    Raises
    ------
    InputError
        For anything that could fail later because of the file.
    """
    tree, lines = read_yaml_lines(path)
    reader = _StudyReader(tree, lines, str(path))
    reader.check_keys()
    fixed = parse_overrides(overrides)
    base, base_lines = merge_base(tree, lines, str(path), fixed)
    refuse_secrets([tree.get("factors"), tree.get("arms")], str(path))
    _refuse_search_keys(base, base_lines, str(path))
    make_base_absolute(base, str(path), base_lines)
    own = check_name(tree.get("name"), f"{path}: name") if name is None else check_name(name, "--name")
    arms = reader.list_arms(own, base, fixed) if "arms" in tree else reader.combine_factors(own, base, fixed)
    chosen = reader.read_seeds() if seeds is None else check_seeds(seeds, "--seeds")
    study = Study(own, str(path), base, tuple(arms), chosen, reader.read_flag("keep_models"))
    return _with_absolute_paths(_without_equal_arms(study, reader, fixed))


def _refuse_search_keys(base: Mapping[str, Any], lines: Lines, path: str) -> None:
    """Refuse what says how a search goes: an ablation would not heed it."""
    for key in base.get("search") or {}:
        if key not in _SEARCH_KEYS:
            at = lines.get(f"search.{key}", lines.get("search"))
            where = at if isinstance(at, str) else path if at is None else f"{path}:{at}"
            raise InputError(
                f"{where}: search.{key}: an ablation trains every cell to its full budget and heeds no such key; "
                f"accepted: {', '.join(f'search.{name}' for name in _SEARCH_KEYS)}"
            )


def check_seeds(seeds: Sequence[object], origin: str) -> tuple[int, ...]:
    """Return training seeds, if they can be.

    Raises
    ------
    InputError
        For none, what is no seed, and a seed that stands twice.

    Examples
    --------
    >>> check_seeds([42, 43, 42], "--seeds")
    Traceback (most recent call last):
    gazetune.errors.InputError: --seeds: 42 stands twice; accepted: each seed once
    """
    found: list[int] = []
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
            raise InputError(
                f"{origin}: {json.dumps(seed, default=str)} is no seed; accepted: whole numbers from 0 to "
                f"{LARGEST_SEED}, such as 42, 43, 44"
            )
        if seed in found:
            raise InputError(f"{origin}: {seed} stands twice; accepted: each seed once")
        found.append(seed)
    if not found:
        raise InputError(f"{origin}: needs at least one seed, such as 42, 43, 44")
    return tuple(found)


class _StudyReader:
    """The parts of one study file."""

    def __init__(self, tree: Mapping[str, Any], lines: Mapping[str, int], path: str) -> None:
        self._tree, self._lines, self._path = tree, lines, path

    def where(self, key: str) -> str:
        """Return `FILE:LINE` of a dotted key or of the nearest one above it."""
        while key and key not in self._lines:
            key = key.rpartition(".")[0]
        return f"{self._path}:{self._lines[key]}" if key else self._path

    def check_keys(self) -> None:
        """Refuse keys that a study does not have, and one with neither arms nor factors, or with both."""
        for key in self._tree:
            if key in _NOT_YET:
                raise InputError(f"{self.where(key)}: {key}: {_NOT_YET[key]}")
            if key == "space":
                raise InputError(
                    f"{self._path}: is a search space (it has `space`) and no study; run it with: gazetune search "
                    f"{self._path}"
                )
            if key not in _TOP_LEVEL:
                raise InputError(f"{self.where(key)}: unknown key '{key}'; {did_you_mean(str(key), _TOP_LEVEL)}")
        given = [key for key in ("arms", "factors") if key in self._tree]
        if len(given) != 1:
            raise InputError(f"{self._path}: a study needs `arms` or `factors`, got {' and '.join(given) or 'neither'}")
        for key in given:
            if not isinstance(self._tree[key], Mapping) or not self._tree[key]:
                raise InputError(f"{self.where(key)}: {key}: needs a mapping, got {shown_value(self._tree[key])}")
        if "design" in self._tree and "arms" in self._tree:
            raise InputError(f"{self.where('design')}: design: goes with `factors`; arms are those that are listed")
        if self._tree.get("baseline") is None:
            raise InputError(f"{self._path}: baseline: is missing; accepted: {self._accepted_baseline()}")

    def _accepted_baseline(self) -> str:
        if "arms" in self._tree:
            return f"the name of an arm: {', '.join(map(str, self._tree['arms']))}"
        return "values of factors, such as {fusion.kind: none}"

    def read_flag(self, key: str) -> bool:
        """Return a key that is true or false."""
        value = self._tree.get(key, False)
        if not isinstance(value, bool):
            raise InputError(f"{self.where(key)}: {key}: {shown_value(value)} is not accepted; accepted: true or false")
        return value

    def read_seeds(self) -> tuple[int, ...]:
        """Return the training seeds."""
        seeds = self._tree.get("seeds")
        if not isinstance(seeds, list):
            got = "is missing" if seeds is None else f"{shown_value(seeds)} is no list"
            raise InputError(f"{self.where('seeds')}: seeds: {got}; accepted: a list such as [42, 43, 44]")
        return check_seeds(seeds, f"{self.where('seeds')}: seeds")

    def list_arms(self, name: str, base: dict[str, Any], fixed: Mapping[str, object]) -> list[Arm]:
        """Return the arms of a study that lists them."""
        overrides = {}
        for arm, entry in self._tree["arms"].items():
            where = f"{self.where(f'arms.{arm}')}: arms: {arm}"
            overrides[_check_arm_name(arm, where)] = self._read_overrides(entry, where, fixed)
        baselines = self._read_baselines(list(overrides))
        study = Study(name, self._path, base, (), (0,))
        for arm, values in overrides.items():
            check_config(study.raw_config(values, f"{self.where(f'arms.{arm}')}: arms: {arm}"))
        return [Arm(arm, values, baselines.get(arm)) for arm, values in overrides.items()]

    def _read_overrides(self, entry: object, where: str, fixed: Mapping[str, object]) -> dict[str, object]:
        if not isinstance(entry, Mapping | None):
            raise InputError(f"{where}: needs a mapping of config keys to values, got {shown_value(entry)}")
        values = with_dotted_keys(entry or {})
        for key in values:
            if key not in config_keys():
                raise InputError(f"{where}: unknown key '{key}'; {key_hint(str(key))}")
            if key == "train.seed":
                raise InputError(f"{where}: train.seed: is what `seeds` lists; leave it out here")
            if key.startswith(_OF_THE_RUN):
                raise InputError(f"{where}: {key}: holds for the whole ablation; accepted: in `base` or beside it")
            if key in fixed:
                raise InputError(f"--set {key}: the arms of {self._path} set it, each its own; change the file")
        return values

    def _read_baselines(self, arms: Sequence[str]) -> dict[str, str]:
        """Return the baseline of each arm that has one: one name for all, or a mapping of arm to baseline."""
        given = self._tree["baseline"]
        where = f"{self.where('baseline')}: baseline"
        each = given if isinstance(given, Mapping) else {arm: given for arm in arms if arm != given}
        for arm, baseline in each.items():
            for name in (arm, baseline):
                if name not in arms:
                    raise InputError(f"{where}: {shown_value(name)} is no arm; {did_you_mean(str(name), arms)}")
            if arm == baseline:
                raise InputError(f"{where}: '{arm}' cannot be its own baseline")
        if not isinstance(given, Mapping) and given not in arms:
            raise InputError(f"{where}: {shown_value(given)} is no arm; {did_you_mean(str(given), arms)}")
        return {str(arm): str(baseline) for arm, baseline in each.items()}

    def combine_factors(self, name: str, base: dict[str, Any], fixed: Mapping[str, object]) -> list[Arm]:
        """Return the arms of a study with factors."""
        keys = tuple(key for key in fixed if not key.startswith(_OF_THE_RUN))
        space = SearchSpace(name, self._path, base, {}, (), Extras(fixed=keys))
        space, _ = read_factors(self._tree["factors"], self._lines, self._path, space)
        design, baseline = self._tree.get("design", "grid"), self._tree["baseline"]
        if design not in DESIGNS:
            raise InputError(
                f"{self.where('design')}: design: {shown_value(design)} is not accepted; accepted: {', '.join(DESIGNS)}"
            )
        if not isinstance(baseline, Mapping) or not baseline:
            raise InputError(
                f"{self.where('baseline')}: baseline: {shown_value(baseline)} is not accepted; accepted: "
                f"{self._accepted_baseline()}"
            )
        return list_arms(space, design, with_dotted_keys(baseline), self.where("baseline"))


def _check_arm_name(name: object, where: str) -> str:
    text = str(name)
    if not text.strip() or len(text) > _LONGEST_NAME or not text.isprintable():
        raise InputError(f"{where}: is no name of an arm; accepted: up to {_LONGEST_NAME} printable characters")
    return text


def _with_absolute_paths(study: Study) -> Study:
    """Make local files that arms name absolute: a resumed ablation may start in another folder."""
    arms = []
    for arm in study.arms:
        config = study.arm_configs[arm.name]
        own = {key: get_key(config, key) if key in PATH_KEYS else value for key, value in arm.overrides.items()}
        arms.append(replace(arm, overrides=own))
    return replace(study, arms=tuple(arms))


def _without_equal_arms(study: Study, reader: _StudyReader, fixed: Mapping[str, object]) -> Study:
    """Refuse arms that are the same run under two names; where `--set` made them the same, the first one stays."""
    first: dict[str, str] = {}
    same: dict[str, str] = {}
    for name, config in study.arm_configs.items():
        own = first.setdefault(config.model_dump_json(), name)
        if own != name:
            same[name] = own
    if not same:
        return study
    if not fixed:
        name, own = next(iter(same.items()))
        raise InputError(f"{reader.where(f'arms.{name}')}: arms '{own}' and '{name}' are the same config")
    _LOG.info("with --set, arms are the same and are run once: %s", ", ".join(f"{a} as {b}" for a, b in same.items()))
    kept = [arm for arm in study.arms if arm.name not in same]
    renamed = [Arm(arm.name, arm.overrides, same.get(arm.baseline or "", arm.baseline)) for arm in kept]
    arms = tuple(Arm(arm.name, arm.overrides, None if arm.baseline == arm.name else arm.baseline) for arm in renamed)
    return Study(study.name, study.origin, study.base, arms, study.seeds, study.keep_models)
