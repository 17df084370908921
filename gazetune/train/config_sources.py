"""The config of a run whose keys are given in several ways: in a file, by flags of the reference, one by one.

Whatever sets a key more directly wins:

    one key (--set, --preset, --tracking-uri)  >  a flag of the reference  >  the file  >  the default
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gazetune.config import Config
from gazetune.config.config_file import build_config, parse_overrides
from gazetune.config.keys import set_key
from gazetune.config.yaml_file import read_yaml_lines
from gazetune.errors import InputError
from gazetune.train.reference_flags import FLAGS, given_flags, reference_notes, reference_params

logger = logging.getLogger(__name__)

_DATA = "data."
"""The section that may be changed when a saved model is evaluated: its other keys are those it was trained with."""


@dataclass(frozen=True)
class ConfigSources:
    """What a user gives of a config."""

    file: Path | None = None
    """A YAML config."""
    overrides: Sequence[str] = ()
    """`KEY=VALUE` entries."""
    flags: Mapping[str, object] = field(default_factory=dict)
    """Parsed values of the flags of the reference, by `Flag.dest`; other entries are not looked at."""
    preset: str | None = None
    tracking_uri: str | None = None

    def build_config(self, data_only: bool = False) -> Config:
        """Return the config, and log a warning for each flag that does not do here what it says.

        With `data_only`, the file is a saved model's own config: of the flags only those about data count, and other
        overrides are refused.

        Raises
        ------
        InputError
            For whatever is wrong with the file, a flag's value or an override.
        """
        tree, lines = read_yaml_lines(self.file) if self.file is not None else ({}, {})
        values = parse_overrides(self.overrides)
        params = self._flag_params(tree, values)
        if data_only:
            params = {key: value for key, value in params.items() if key.startswith(_DATA)}
            _refuse_other_than_data(values)
        for note in reference_notes(self.flags, params):
            logger.warning(note)
        origins = dict.fromkeys(values, "--set")
        if self.tracking_uri is not None:
            values["tracking.uri"], origins["tracking.uri"] = self.tracking_uri, "--tracking-uri"
        if self.preset is not None and not data_only:
            values["preset"], origins["preset"] = self.preset, "--preset"
        for key, value in {**params, **values}.items():
            set_key(tree, key, value)
        return build_config(tree, str(self.file or "command line"), {**lines, **self._flag_names(), **origins})

    def _flag_params(self, tree: Mapping[str, object], overrides: Mapping[str, object]) -> dict[str, object]:
        """Return the keys that flags decide; beside a file the reference's own defaults do not count."""
        gaze = tree.get("gaze")
        path = overrides.get("gaze.path", gaze.get("path") if isinstance(gaze, Mapping) else None)
        return reference_params(self.flags, defaults=self.file is None, has_weights=path is not None)

    def _flag_names(self) -> dict[str, str]:
        """Return, by config key, the name of the given flag that decides it, for error lines."""
        given = given_flags(self.flags)
        return {key: given[flag.dest] for flag in FLAGS if flag.dest in given for key in flag.keys}


def _refuse_other_than_data(overrides: Mapping[str, object]) -> None:
    other = next((key for key in overrides if not key.startswith(_DATA)), None)
    if other is not None:
        raise InputError(f"--set {other}: --mode evaluate keeps the saved model's config; accepted: data.* keys")
