"""Passwords on the command line of this process, taken out of what other programs see of it."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from gazetune.errors.redact import hide_password

_USER_ALONE = re.compile(r"https?://[^\s/@]+@", re.IGNORECASE)
"""A user without a password is a token."""
_ARG_START = 48  # the field of /proc/PID/stat, counted from 1; see proc(5)


def hide_argument_secrets(arguments: Sequence[str]) -> None:
    """Overwrite addresses with a password in the command line of this process.

    `ps` shows it to every user, and Ray keeps that of its driver and shows it in the dashboard. This is what the
    clients of MySQL and PostgreSQL do, too. On other systems than Linux nothing is done.
    """
    secret = [each for each in arguments if hide_password(each) != each or _USER_ALONE.search(each)]
    if not secret or not sys.platform.startswith("linux"):
        return
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        start, end = (int(fields[place - 3]) for place in (_ARG_START, _ARG_START + 1))
    except (OSError, ValueError, IndexError):
        return
    if not 0 < start < end:
        return
    memory = ctypes.string_at(start, end - start)
    for argument in map(os.fsencode, secret):
        place = memory.find(argument + b"\0")
        if place >= 0:
            shown = os.fsencode(_USER_ALONE.sub("http://***@", hide_password(os.fsdecode(argument))))
            ctypes.memmove(start + place, shown[: len(argument)].ljust(len(argument), b"*"), len(argument))
