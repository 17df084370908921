"""What stands around the driver of a run of many trainings: its folder, its cluster, and what is said when it ends.

::

    create_run_folder    a run that was refused before it began leaves nothing
    open_session         GPUs are the workers', the folder is unlocked at the end, Ray is up, and whatever kills the
                         run ends in one line that says how to go on
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gazetune.config import ResourcesConfig
from gazetune.devices import without_gpus
from gazetune.errors import Interrupted, RunError
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.run_folder import RunFolder
from gazetune.trials.start.exit_message import ExitMessage

if TYPE_CHECKING:
    from gazetune.trials.start.cluster_connection import ClusterConnection

Folder = TypeVar("Folder", bound=RunFolder)


@contextmanager
def create_run_folder(
    storage: Path, create: Callable[[], Folder], has_begun: Callable[[Folder], bool]
) -> Iterator[Folder]:
    """Give the folder of a new run; an error before the run has begun takes it away again.

    Parameters
    ----------
    storage
        The folder of all results. It goes, too, where it was made for this run and nothing else is in it.
    create
        Makes the run's folder, locked.
    has_begun
        Tells whether there is something in it to go on with.
    """
    is_new_storage = not storage.exists()
    folder = create()
    try:
        yield folder
    except Interrupted:
        raise
    except Exception:
        if not has_begun(folder):
            folder.remove()
            if is_new_storage:
                with contextlib.suppress(OSError):  # a cache is in it
                    storage.rmdir()
        raise


@contextmanager
def open_session(
    folder: RunFolder,
    shapes: Sequence[ResourcesConfig],
    patience: float,
    address: str | None,
    progress: ProgressDisplay,
    part: str,
    resume: str,
) -> Iterator[ClusterConnection]:
    """Connect a run with its cluster until the block ends.

    Parameters
    ----------
    folder
        Of the run, locked by this process.
    shapes
        What its trainings occupy.
    patience
        Seconds that nodes may take to come (`search.node_patience`).
    address
        Of a running Ray cluster to join; None starts one on this machine.
    progress
        What shows how far the run is.
    part
        What the run consists of, such as `trial`.
    resume
        The command that goes on with it.

    Raises
    ------
    RunError
        When Ray or MLflow goes away in the block; the line says how to go on.
    """
    from gazetune.trials.start.cluster_connection import ClusterConnection

    run = f"{folder.kind} '{folder.path.name}'"
    goes_on = f"finished {part}s stay, and those that ran go on from their last checkpoints with: {resume}"
    with ExitStack() as stack:
        # The stack ends in reverse order: Ray first, the exit message last.
        stack.enter_context(without_gpus())
        line = f"gazetune: error: {run} ended, as its process or its Ray was killed; {goes_on}"
        stack.enter_context(ExitMessage()).print_if_killed(line)
        stack.callback(folder.unlock)
        folder.requests.announce_phase("preparing")
        cluster = stack.enter_context(ClusterConnection(address, shapes, patience, folder, progress))
        try:
            yield cluster
        except Exception as error:
            reason = _describe_outage(error)
            if reason is None:
                raise
            raise RunError(f"{run} ended, as {reason}; {goes_on}") from error


def _describe_outage(error: Exception) -> str | None:
    """Return which service went away, if that is what an error says; else it is one of our own code."""
    # Imported here: neither is needed while all is well, and MLflow takes seconds.
    from mlflow.exceptions import MlflowException
    from ray.exceptions import RayError, RayTaskError

    if isinstance(error, MlflowException):
        said = next(iter(str(error).strip().splitlines()), "no message")
        return f"MLflow could not be written ({said})"
    if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
        return None  # of our own code, in a Ray that is well
    return "its Ray was killed" if isinstance(error, RayError) else None
