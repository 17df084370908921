"""Margins of one evaluation, keyed by item, so that any two runs can be compared pair by pair later.

A finished run has them in its folder as Parquet: `validation.parquet` of its saved model, and `test.parquet` where that
was scored on test. The columns are `item`, `group`, `margin`, `reward_chosen`, `reward_rejected`, `words_chosen` and
`words_rejected`; each row is a preference pair, in the order of the prepared data.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gazetune.errors import InputError
from gazetune.evaluate.accuracy import pair_correctness
from gazetune.files.atomic_write import write_atomically
from gazetune.reward.saved.saved_files import REWARDS

if TYPE_CHECKING:
    from gazetune.reward.data.dataset import PreparedData

_COLUMNS = ("item", "group", "reward_chosen", "reward_rejected", "words_chosen", "words_rejected")


@dataclass(frozen=True)
class Margins:
    """What one model gave to the preference pairs of one split.

    Examples
    --------
    >>> rewards, words = np.array([[1.5, 0.5], [0.0, 2.0]]), np.array([[4, 9], [7, 7]], dtype=np.int32)
    >>> made = Margins(np.array(["a", "b"]), np.array(["p", "p"]), rewards, words)
    >>> made.margins.tolist(), made.correctness.tolist()
    ([1.0, -2.0], [1.0, 0.0])
    """

    items: NDArray[np.str_]
    """[n] keys of the pairs (`gazetune.preferences.pair.item_key`)."""
    groups: NDArray[np.str_]
    """[n] names; pairs with a prompt or a conversation tree in common have the same one."""
    rewards: NDArray[np.float64]
    """[n, 2] of the chosen and of the rejected reply."""
    words: NDArray[np.int32]
    """[n, 2] white-space words of the two replies."""

    def __post_init__(self) -> None:
        lengths = {len(self.items), len(self.groups), len(self.rewards), len(self.words)}
        if len(lengths) != 1:
            raise ValueError(f"margins need one row a pair, got columns of {sorted(lengths)} rows")

    @classmethod
    def of_split(cls, data: PreparedData, split: str, rewards: NDArray[np.float64]) -> Margins:
        """Return rewards [n, 2] with the keys of the pairs of a split that they were given to."""
        return cls(data.item_keys(split), data.item_groups(split), rewards, np.asarray(data.response_words(split)))

    def __len__(self) -> int:
        return len(self.items)

    @property
    def margins(self) -> NDArray[np.float64]:
        """[n] reward of the chosen less that of the rejected reply."""
        result: NDArray[np.float64] = self.rewards[:, 0] - self.rewards[:, 1]
        return result

    @property
    def correctness(self) -> NDArray[np.float64]:
        """[n] of 1 (ranked rightly), 0 (wrongly), one half (a tie); NaN where a margin is NaN."""
        return pair_correctness(self.margins)


def margins_file(run: Path, split: str) -> Path:
    """Return where a run keeps its margins on a split.

    Examples
    --------
    >>> str(margins_file(Path("trials/0003"), "test"))
    'trials/0003/test.parquet'
    """
    return run / f"{split}.parquet"


def write_margins(file: Path, margins: Margins) -> None:
    """Write margins as Parquet, whole or not at all.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "item": margins.items.astype(object),
        "group": margins.groups.astype(object),
        "margin": margins.margins,
        "reward_chosen": margins.rewards[:, 0],
        "reward_rejected": margins.rewards[:, 1],
        "words_chosen": margins.words[:, 0],
        "words_rejected": margins.words[:, 1],
    }
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content, compression="zstd")
    write_atomically(file, content.getvalue())


def read_margins(file: Path) -> Margins:
    """Read what `write_margins` wrote.

    Raises
    ------
    InputError
        For a file that is missing, damaged, or not one of margins.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
        columns = {name: table.column(name).to_numpy() for name in _COLUMNS}
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; a run that was evaluated has one") from None
    except (OSError, pa.ArrowException, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{file}: is no file of margins ({reason}); accepted: Parquet with {', '.join(_COLUMNS)}"
        ) from None
    return Margins(
        columns["item"].astype(str),
        columns["group"].astype(str),
        np.stack([columns["reward_chosen"], columns["reward_rejected"]], axis=1).astype(np.float64),
        np.stack([columns["words_chosen"], columns["words_rejected"]], axis=1).astype(np.int32),
    )


def keep_validation_margins(run: Path, data: PreparedData) -> Path | None:
    """Write the validation margins of a run's saved model into its folder, and return that file.

    The loop that trains keeps plain arrays, so that it needs no Arrow.

    Parameters
    ----------
    run
        Folder of the run; its saved model lies in `best`. One that was saved by an older version has no rewards.
    data
        What the run was trained on.

    Returns
    -------
    The file; None when there is nothing to write and nothing was written before.
    """
    file, rewards = margins_file(run, "validation"), run / "best" / REWARDS
    if rewards.exists():
        write_margins(file, Margins.of_split(data, "validation", np.load(rewards)))
    return file if file.exists() else None
