"""The lock of something that one process builds and others wait for; a build that fails leaves no trace of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def build_lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` inside the block; it is made where it is missing, with its folders.

    When the block raises, a lock file and folders that were made for it go again, as far as nothing else came into
    them: a refused run leaves the place as it was.

    Parameters
    ----------
    what
        What is built, for the line that says that another process does it.

    Raises
    ------
    OSError
        If the lock file cannot be made.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    new = not path.exists()
    lock = _acquired(path, what)
    try:
        yield
    except BaseException:
        if new:
            # Held while it goes: whoever waits for it sees that the file has no name any more and makes another one.
            path.unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):  # one that is not empty, or is gone already
            for folder in made:
                folder.rmdir()
        raise
    lock.release()


def _acquired(path: Path, what: str) -> FileLock:
    lock = FileLock(path)
    waiting = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=-1 if waiting else 0)
            return lock
        except Timeout:
            waiting = True
            _LOG.info(f"{what}: another process builds it; waiting for that")
        except FileNotFoundError:
            continue  # the process that was waited for failed, and took the folder along
