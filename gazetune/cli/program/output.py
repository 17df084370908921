"""What goes to stderr and what to stdout, whatever the libraries underneath print.

Messages go to stderr through `logging`. stdout carries the result of the command alone, so that it can be piped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from gazetune.errors.redact import hide_secrets

NOISY = (
    "alembic",
    "asyncio",
    "datasets",
    "DeepSpeed",
    "filelock",
    "fsspec",
    "httpx",
    "huggingface_hub",
    "mlflow",
    "optuna",
    "peft",
    "py.warnings",
    "ray",
    "sqlalchemy",
    "torch",
    "transformers",
    "urllib3",
)
"""Loggers of libraries whose advice is not the user's concern unless `--verbose` asks for it."""

RAY_NOTICES = "worker processes have been started on node"
"""What Ray says of a slot, which has more processes than it expects of a CPU; a regular expression."""


def set_up_logging(verbose: bool, quiet: bool) -> None:
    """Send the log to stderr: gazetune's messages, warnings only with `quiet`, and the libraries' with `verbose`."""
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=verbose, markup=False, log_time_format="[%X]")
    handler.addFilter(_hide_record_secrets)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], format="%(message)s")
    logging.getLogger("gazetune").setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    logging.captureWarnings(True)
    if verbose:
        return
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    # These read the environment when they are imported, and Ray's workers inherit it.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", RAY_NOTICES)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _hide_record_secrets(record: logging.LogRecord) -> bool:
    """Take passwords out of what is logged, by libraries too; the record is always logged."""
    record.msg, record.args = hide_secrets(record.getMessage()), ()
    if record.exc_info:
        record.exc_text = hide_secrets(logging.Formatter().formatException(record.exc_info))
    return True


@contextlib.contextmanager
def stdout_for_results() -> Iterator[None]:
    """Send all that is printed inside the block to stderr, so that stdout carries the result alone.

    DeepSpeed's logger, its compiled ops and Ray's relay of worker output write to stdout, some below Python, so the
    file descriptor itself is exchanged.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
