"""The lock of something that one process builds while others wait for it.

The lock file lies beside or in what is built, so its folders may have to be made for it. A build that fails removes the
lock file and these folders again. A process that waits for the lock can therefore find the file gone when its turn
comes; it then makes the file anew and becomes the builder.
"""

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

    When the block raises, the lock file and the folders that were made for it are removed again, unless somebody put
    something else into them.

    Parameters
    ----------
    what
        What is built, for the line that says that another process does it.

    Raises
    ------
    OSError
        If the lock file cannot be made.
    """
    missing_folders = [folder for folder in path.parents if not folder.exists()]
    is_new = not path.exists()
    lock = _acquire_lock(path, what)
    try:
        yield
    except BaseException:
        if is_new:
            # Removed while it is held. Otherwise a waiting process could lock a file that is about to vanish.
            path.unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):  # a folder that is not empty, or is gone already
            for folder in missing_folders:
                folder.rmdir()
        raise
    lock.release()


def _acquire_lock(path: Path, what: str) -> FileLock:
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
            continue  # the process that was waited for failed, and removed the folder
