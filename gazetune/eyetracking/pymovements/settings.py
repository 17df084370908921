"""What an import through pymovements needs to be told, and the one place where pymovements is imported.

pymovements (Krakowczyk et al. 2023, "pymovements: A Python Package for Eye Movement Data Processing", ETRA) is an
extra, so it is imported when it is used and not before.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Literal

from gazetune.errors import InputError, did_you_mean

COLUMN_KEYS = ("reader", "trial", "x", "y", "start", "duration", "word", "nFix", "FFD", "GPT", "TRT")
"""What `columns` may name."""
Content = Literal["measures", "fixations", "gaze"]
"""Measures of words, tables of fixations, or samples of gaze."""


@dataclass(frozen=True, slots=True)
class PymovementsSettings:
    """How recordings that pymovements loads become fixations of trials."""

    dataset: str | None = None
    """Name of a data set that pymovements defines; the source is its folder. Unset: the source is a definition, or
    files of EyeLink."""
    content: Content | None = None
    """What of a data set is read; unset: the first that is there of measures, fixations and gaze."""
    trial_message: str = r"TRIALID (?P<trial>\S+)"
    """Regular expression of the EyeLink message that begins a trial; its group `trial` names the screen."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Columns of a data set, by `COLUMN_KEYS`; several joined by + make one name (`A+B`: the values joined by _)."""
    detect: Literal["ivt", "idt"] | None = None
    """Find the fixations in the samples, by velocity or by dispersion; unset: take those that the file has."""
    threshold: float | None = None
    """Degrees of visual angle a second (ivt) or degrees (idt); unset: pymovements' own, 20 and 1."""
    min_duration: int | None = None
    """Milliseconds of the shortest fixation that is detected; unset: pymovements' own, 100."""
    viewing: tuple[float, float, float] | None = None
    """Width and height of the screen and distance of the eyes from it in centimetres; detection needs them."""

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.trial_message).groupindex
        except re.error as error:
            raise InputError(f"trial_message: '{self.trial_message}' is no regular expression ({error})") from None
        if "trial" not in groups:
            raise InputError(f"trial_message: '{self.trial_message}'; accepted: an expression with (?P<trial>...)")
        for key in self.columns:
            if key not in COLUMN_KEYS:
                raise InputError(f"columns: '{key}'; {did_you_mean(key, COLUMN_KEYS)}")
        for name, value in (("threshold", self.threshold), ("min_duration", self.min_duration)):
            if value is not None and value <= 0:
                raise InputError(f"{name}: {value}; accepted: more than 0")
            if value is not None and self.detect is None:
                raise InputError(f"{name}: {value}; accepted: with detect, ivt or idt")
        if self.viewing is not None and min(self.viewing) <= 0:
            raise InputError(f"viewing: {self.viewing}; accepted: three lengths in centimetres, more than 0")

    def detection_arguments(self) -> dict[str, float | int]:
        """Return the arguments of pymovements' detection, its own values where none were set.

        Examples
        --------
        >>> PymovementsSettings(detect="idt", min_duration=60).detection_arguments()
        {'dispersion_threshold': 1.0, 'minimum_duration': 60}
        """
        name, own = ("velocity_threshold", 20.0) if self.detect == "ivt" else ("dispersion_threshold", 1.0)
        return {name: self.threshold or own, "minimum_duration": self.min_duration or 100}


def import_pymovements() -> ModuleType:
    """Return the package `pymovements`.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import pymovements as package
    except ImportError as error:
        raise InputError(
            f"pymovements cannot be imported ({error}); it reads files of EyeLink and data sets: "
            "pip install 'gazetune[eyetracking]'"
        ) from None
    return package


@contextmanager
def name_reading_errors(path: Path) -> Iterator[None]:
    """Turn whatever pymovements raises on a file or folder into one line that names it, and drop its warnings.

    It warns of every entry of a header that is missing; what an import needs is checked by this package.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise InputError(f"{path}: pymovements cannot read it ({type(error).__name__}: {reason})") from error
