"""Where the saved model of a run or of a search lies."""

from __future__ import annotations

import json
from pathlib import Path

from gazetune.errors import InputError
from gazetune.files.replaced_folder import recover_folder


def find_saved_model(name: str, storage: Path) -> Path:
    """Return the folder of the saved model that `name` means: itself, that of a run, or that of a search's best trial.

    Parameters
    ----------
    name
        A folder, or the name of a run or a finished search below `storage`.

    Raises
    ------
    InputError
        When there is none.
    """
    for folder in (Path(name), storage / name):
        for saved in (folder, folder / "best"):
            if (
                saved.parent.is_dir()
                and recover_folder(saved)
                and (saved / "config.yaml").is_file()
                and (saved / "margins.npy").is_file()
            ):
                return saved
        if (folder / "search.json").is_file():
            best = json.loads((folder / "search.json").read_text(encoding="utf-8"))["best"]
            if best is None:
                raise InputError(f"{folder}: this search has no best trial")
            return folder / "trials" / str(best["id"]) / "best"
    raise InputError(
        f"'{name}' is no saved model; accepted: a folder with one (best), or the name of a run or of a finished search "
        f"in {storage}"
    )
