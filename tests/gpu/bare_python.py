"""A Python that has torch, transformers, PEFT, pydantic and DeepSpeed, what these need, and nothing else."""

from __future__ import annotations

import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NEEDED = ("torch", "transformers", "peft", "pydantic", "deepspeed")


def make_bare_python(folder: Path, packages: tuple[str, ...] = NEEDED) -> Path:
    """Make an environment of links to packages of this one, with all that they require, and return its Python."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for package in _required(packages):
        tops = {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(package.locate_file(top))))
    return folder / "bin" / "python"


def _required(names: tuple[str, ...]) -> list[Distribution]:
    """Return the distributions of some names and of everything that they require, as far as it is installed."""
    found: dict[str, Distribution | None] = {}
    asked = list(names)
    while asked:
        name = canonicalize_name(asked.pop())
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # a package of CUDA, for one
            found[name] = None
            continue
        requirements = [Requirement(line) for line in found[name].requires or ()]
        asked += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [each for each in found.values() if each is not None]
