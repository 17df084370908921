"""The trace of one reply's box during a session: where the webcam saw the gaze, and the text around it.

A row is `x,y,"text around the gaze",character,ms,flag,epoch ms`, without a header. The text is mostly quoted, but the
quotation marks in it are not doubled, so it is no CSV. Some files lack the flag. `-1,-1,,,` is a gaze off the reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError

_ROW = re.compile(
    r'-?\d+(?:\.\d+)?,-?\d+(?:\.\d+)?,(?:"(?P<quoted>.*?)"|(?P<bare>[^"\n]*?)),(?P<character>-?\d*),'
    r"(?P<ms>\d+(?:\.\d+)?)(?:,[01])?,\d{12,14}(?:\r?\n|\Z)",
    re.DOTALL,
)
MOST_UNREADABLE = 0.01
"""Share of a trace's characters that may stand in rows of another form, such as a last one that was cut off."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The samples of one side during a session, in the order of time."""

    time: NDArray[np.float64]
    """[samples] milliseconds since the session began, those that are not on the reply included."""
    row: NDArray[np.int64]
    """[seen] index into `time` of each sample with a text around it."""
    window: tuple[str, ...]
    """[seen] some 20 characters of what was shown around the gaze."""
    character: NDArray[np.int64]
    """[seen] index of the character looked at, in UTF-16 units of the text node that holds it."""
    unreadable: int
    """Characters of the file that are no row."""

    def __len__(self) -> int:
        """Return the number of samples with a text around them."""
        return len(self.row)


def read_trace(path: Path) -> Trace | None:
    """Return the trace of a file, None where there is no file.

    Raises
    ------
    InputError
        If the file cannot be read, or more than a hundredth of it is no row of a trace.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason})") from None
    time: list[float] = []
    rows: list[int] = []
    windows: list[str] = []
    characters: list[int] = []
    unread, done = 0, 0
    for found in _ROW.finditer(text):
        unread += found.start() - done
        done = found.end()
        window = found["quoted"] or found["bare"]
        if window and found["character"]:
            rows.append(len(time))
            windows.append(window)
            characters.append(int(found["character"]))
        time.append(float(found["ms"]))
    unread += len(text) - done
    if unread > MOST_UNREADABLE * len(text):
        line = text.count("\n", 0, _first_gap(text)) + 1
        raise InputError(
            f'{path} row {line}: no row of a trace; accepted: x,y,"text",character,ms,flag,epoch ms in every row'
        )
    return Trace(
        np.array(time), np.array(rows, dtype=np.int64), tuple(windows), np.array(characters, dtype=np.int64), unread
    )


def _first_gap(text: str) -> int:
    """Return where the first piece begins that is no row."""
    done = 0
    for found in _ROW.finditer(text):
        if found.start() != done:
            break
        done = found.end()
    return done
