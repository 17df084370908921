"""Ends Tune's trials when no slot can be kept up any more."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.stopper import NoopStopper

from gazetune.trials.slot_pool import Slots


class SlotsGone(tune.Stopper):
    """Ends all trials at once without a word to the study, where they stay to be resumed, as Ctrl-C does."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stop one trial: its scheduler does."""
        return False

    def stop_all(self) -> bool:
        """Tell whether the search has to end; Tune asks about ten times a second."""
        return self._slots.verdict is not None

    def __reduce__(self) -> tuple[type[tune.Stopper], tuple[()]]:
        # Tune pickles its stopper into its own snapshot, which a search here never restores from.
        return (NoopStopper, ())
