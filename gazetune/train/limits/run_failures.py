"""How a run ends that cannot go on, so that every worker of its group ends it alike."""

from __future__ import annotations

from gazetune.errors import RunError


class TrainingFailed(RunError):
    """This run cannot go on, and every worker knows it: the process group is whole and may take the next run."""


class InfeasibleConfig(TrainingFailed):
    """A run ended by what its config asks for: memory that is not there, or steps after which a loss is no number."""
