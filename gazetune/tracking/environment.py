"""What a run was computed with: code, packages, processor, threads. It lies beside the run's config.

Config and environment together say all that the figures of a run follow from: `gazetune reproduce` reads both. The
seeds are keys of the config.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gazetune.files.atomic_write import write_atomically

ENVIRONMENT = "environment.json"


@dataclass(frozen=True)
class RunEnvironment:
    """What the figures of a run follow from beside its config."""

    code: str
    """Version of this package, with the commit of a checkout."""
    packages: dict[str, str]
    processor: str
    """Model of the processor, or of the GPU of the first worker."""
    threads: int
    """Of torch, in each worker."""
    workers: int
    data_fingerprint: str = ""
    gaze_fingerprint: str = ""

    def list_differences(self, other: RunEnvironment) -> list[str]:
        """Return a line for everything that is another in `other`.

        Examples
        --------
        >>> one = RunEnvironment("0.2.0", {"torch": "2.13.0"}, "A", threads=2, workers=1)
        >>> one.list_differences(RunEnvironment("0.2.0", {"torch": "2.12.1"}, "A", threads=1, workers=1))
        ['torch: 2.13.0, now 2.12.1', 'threads: 2, now 1']
        """
        before, after = self._flatten(), other._flatten()
        keys = [*before, *(key for key in after if key not in before)]
        return [
            f"{key}: {before.get(key, 'none')}, now {after.get(key, 'none')}"
            for key in keys
            if before.get(key) != after.get(key)
        ]

    def _flatten(self) -> dict[str, object]:
        tree = asdict(self)
        packages: dict[str, str] = tree.pop("packages")
        return {"code": tree.pop("code"), **packages, **tree}


def write_environment(folder: Path, environment: RunEnvironment) -> None:
    """Write the environment of the run in `folder`; a run that goes on has that of its last start."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ENVIRONMENT, json.dumps(asdict(environment), indent=1))


def read_environment(folder: Path) -> RunEnvironment | None:
    """Return the environment of the run in `folder`; None of one that an older version made."""
    file = folder / ENVIRONMENT
    return RunEnvironment(**json.loads(file.read_text())) if file.exists() else None
