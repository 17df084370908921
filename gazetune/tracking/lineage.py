"""Which code and which packages made a run."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import gazetune

PACKAGES = (
    "torch",
    "ray",
    "deepspeed",
    "transformers",
    "peft",
    "optuna",
    "mlflow",
    "datasets",
    "tokenizers",
    "safetensors",
    "pydantic",
    "pyarrow",
    "numpy",
    "scipy",
)
"""What a result can depend on."""


def code_version() -> str:
    """Return the version of this package, with commit and `.dirty` when it runs from a git checkout.

    For example `0.1.0`, `0.1.0+g1a2b3c4d5e6f` or `0.1.0+g1a2b3c4d5e6f.dirty` (tracked files were changed). Never
    raises: without git, or installed from a wheel, it is the version alone.
    """
    package = Path(gazetune.__file__).parent
    try:
        # A virtual environment may lie inside somebody else's repository: only a tracked package counts as a checkout.
        _run_git(package, "ls-files", "--error-unmatch", "__init__.py")
        commit = _run_git(package, "rev-parse", "--short=12", "HEAD")
        changed = _run_git(package, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return gazetune.__version__
    return f"{gazetune.__version__}+g{commit}{'.dirty' if changed else ''}"


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that a result can depend on."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _run_git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
