"""What the lines of an EyeLink recording (.asc) say beside samples: blocks with their eyes, showings, lost fixations.

    START 1002 LEFT ...               block 0: the left eye
    MSG 1004 TRIALID 1.1_p1           showing 0
    SFIX L 1010 ... EFIX L 1010 1203 194 140.0 420.0 900
    START 6002 LEFT RIGHT ...         block 1: both eyes
    MSG 6004 TRIALID 1.1_p1           showing 1

pymovements reads samples, events and messages, but of a file whose tracked eye changes it takes every sample for one of
the left eye, and it passes over a fixation whose place is negative or missing. Both are known from here.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

_NUMBER = r"\d+\.?\d*"
_START = re.compile(rf"START\s+({_NUMBER})\s+((?:LEFT|RIGHT)(?:\s+(?:LEFT|RIGHT))?)\b")
_SAMPLES = re.compile(r"SAMPLES\s+GAZE\s+((?:LEFT|RIGHT)(?:\s+RIGHT)?)\b")
_FIXATION_START = re.compile(rf"SFIX\s+([LR])\s+({_NUMBER})")
_FIXATION_END = re.compile(rf"EFIX\s+([LR])\s+({_NUMBER})\s+{_NUMBER}\s+{_NUMBER}\s+(\S+)\s+(\S+)\s+\S")
_READ_FIXATION = re.compile(rf"EFIX\s+[LR](?:\s+{_NUMBER}){{6}}")
"""A fixation as pymovements reads it: eye, start, end, duration, place and pupil."""
_GAZE_COORDS = re.compile(rf"MSG\s+{_NUMBER}\s+GAZE_COORDS\s*=?\s*(-?{_NUMBER})\s+(-?{_NUMBER})\s")
_TIME = re.compile(rf"(?:MSG\s+)?({_NUMBER})\s")
_EYE_NAMES = {"L": "left", "R": "right"}


@dataclass(slots=True)
class AscBlocks:
    """The order of things in one file."""

    block_times: list[float] = field(default_factory=list)
    """Milliseconds at which each block of the recording begins."""
    block_eyes: list[str] = field(default_factory=list)
    """The eyes of each block: `left`, `right` or `both`."""
    showing_times: list[float] = field(default_factory=list)
    """Milliseconds of the messages that begin or end a trial; showing k goes from time k to time k + 1."""
    places: dict[tuple[str, float], tuple[int, int]] = field(default_factory=dict)
    """Block and showing of each fixation by its eye and onset; -1 before the first."""
    fixations_off_screen: int = 0
    """Fixations whose place is negative, which pymovements passes over."""
    fixations_without_place: int = 0
    """Fixations that have no place, which pymovements passes over."""
    lines_cut_off: int = 0
    """Lines of fixations that are none, as in a file that was cut off."""
    origin: tuple[float, float] = (0.0, 0.0)
    """Left and top of the screen in the coordinates of the file, in pixels."""

    def find_block(self, time: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return [times] the block of each time in milliseconds, -1 before the first."""
        return np.searchsorted(self.block_times, time, side="right") - 1

    def find_showing(self, time: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return [times] the showing of each time in milliseconds, -1 before the first."""
        return np.searchsorted(self.showing_times, time, side="right") - 1

    def list_eyes(self, block: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the eyes of blocks, `both` where the file does not say."""
        if not self.block_eyes:
            return ("both",) * len(block)
        return tuple(self.block_eyes[max(each, 0)] for each in block.tolist())

    @property
    def mixes_eyes(self) -> bool:
        """Whether blocks differ in the eyes that they record."""
        return len(set(self.block_eyes)) > 1


def open_asc(path: Path) -> TextIO:
    """Open a file of EyeLink, perhaps compressed (`.asc.gz`), for reading. What is no UTF-8 is replaced."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")
    return path.open(encoding="utf-8-sig", errors="replace")


def scan_asc(lines: Iterable[str], trial_message: str) -> AscBlocks:
    """Return what the lines say.

    Parameters
    ----------
    trial_message
        Regular expression of the message that begins a trial.

    Examples
    --------
    >>> lines = ["START 5 LEFT SAMPLES", "MSG 6 TRIALID a", "SFIX L 7", "EFIX L 7 99 93 -3.0 20.0 800"]
    >>> found = scan_asc(lines, "TRIALID (.+)")
    >>> found.block_eyes, found.places, found.fixations_off_screen
    (['left'], {('left', 7.0): (0, 0)}, 1)
    """
    found = AscBlocks()
    trial = re.compile(rf"MSG\s+({_NUMBER})\s+(?:{trial_message}|TRIAL_RESULT)")
    time = 0.0
    for line in lines:
        kind = line[:1]
        if kind.isdigit() or kind == "M":
            at = _TIME.match(line)
            time = float(at[1]) if at else time
        if kind.isdigit():
            continue
        if kind == "M":
            if trial.match(line):
                found.showing_times.append(time)
            elif coordinates := _GAZE_COORDS.match(line):
                found.origin = float(coordinates[1]), float(coordinates[2])
        elif begins := _START.match(line):
            _begin_block(found, float(begins[1]), begins[2])
        elif config := _SAMPLES.match(line):
            # Files without START lines say by this one alone which eyes follow.
            if not found.block_eyes or found.block_eyes[-1] != _name_eyes(config[1]):
                _begin_block(found, time, config[1])
        elif fixation := (_FIXATION_START.match(line) or _FIXATION_END.match(line)):
            key = _EYE_NAMES[fixation[1]], float(fixation[2])
            found.places.setdefault(key, (len(found.block_times) - 1, len(found.showing_times) - 1))
        if kind == "E" and line.startswith("EFIX") and not _READ_FIXATION.match(line):
            _count_lost(found, line)
    return found


def _begin_block(found: AscBlocks, time: float, eyes: str) -> None:
    found.block_times.append(time)
    found.block_eyes.append(_name_eyes(eyes))


def _name_eyes(eyes: str) -> str:
    return "both" if len(eyes.split()) == 2 else eyes.lower()


def _count_lost(found: AscBlocks, line: str) -> None:
    """Count a fixation that pymovements does not read, by what its line lacks."""
    fixation = _FIXATION_END.match(line)
    try:
        place = [float(each) for each in fixation.group(3, 4)] if fixation else []
    except ValueError:
        found.fixations_without_place += 1
        return
    if place and min(place) < 0:
        found.fixations_off_screen += 1
    else:
        found.lines_cut_off += 1
