"""What a search will take before it starts: slots, training examples, disk, hours and price. Nothing is started."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gazetune.cluster.capacity import NodeResources, largest_resources, require_slots
from gazetune.config import ResourcesConfig, is_control
from gazetune.reward.data.rendered_length import load_pair_splits
from gazetune.search.confirmation.runs import count_trainings
from gazetune.search.planning.expected_work import TrainingWork
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.stopping.caps import check_caps
from gazetune.search.stopping.schedulers import check_scheduler, plan_rungs
from gazetune.search.study.objectives import check_objectives, objectives_of
from gazetune.train.limits.memory_estimate import MemoryEstimate
from gazetune.train.steps import StepPlan

MOST_BASELINES = 2
"""The most runs that the comparison at the end trains, each to the full budget."""
_MARGIN_BYTES = 4
"""Of one validation pair at one evaluation; beside the best model it takes twice that."""


@dataclass(frozen=True, slots=True)
class TrialSeconds:
    """Seconds that one trial takes in its slot, with all of its workers."""

    per_example: float
    """For a training example."""
    per_evaluated_pair: float = 0.0
    """For a validation pair, at each evaluation."""
    per_save: float = 0.0
    """For what an evaluation takes beside its pairs."""


@dataclass(frozen=True, slots=True)
class TrialSizes:
    """Bytes on disk of one trial: its training state and its best model."""

    checkpoint: int
    saved_model: int

    @classmethod
    def from_memory_estimate(cls, plan: MemoryEstimate) -> TrialSizes:
        """Return the sizes of a trial's weights, without the tokenizer beside them."""
        return cls(plan.checkpoint, plan.saved_model)


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What a search takes."""

    trials: int
    shapes: Mapping[ResourcesConfig, int]
    """What a trial can occupy, and how many such trials run at a time: what the nodes hold, at most all trials."""
    pairs: tuple[int, int]
    """Training and validation pairs."""
    test_pairs: int
    """Pairs that the winner and the runs beside it are compared on."""
    evaluated_at: tuple[int, ...]
    """Training examples of a trial at each of its evaluations; the last one is the full budget."""
    without_pruning: TrainingWork
    with_pruning: TrainingWork
    """What is expected; see `TrainingWork.with_pruning`."""
    kept_models: int
    """The most models of finished trials that are on the disk at a time."""
    peak_disk: int
    """Bytes of the folder of the search at most, without study and report."""
    confirmation: tuple[int, int] | None
    """The most trainings of a confirmation: on folds, and of what is compared on test; None without one."""

    @property
    def largest_shape(self) -> ResourcesConfig:
        """What a trial occupies at most. Hours and price are those of a search all of whose trials need as much."""
        return largest_resources(list(self.shapes))

    @property
    def slots(self) -> int:
        """Trials of the largest shape that run at a time."""
        return self.shapes[self.largest_shape]

    def trial_hours(self, seconds: TrialSeconds) -> float:
        """Return the hours of training and evaluation that are expected, summed over the trials."""
        return self._work_hours(self.with_pruning, seconds)

    def baseline_hours(self, seconds: TrialSeconds) -> float:
        """Return the most that the runs take with which the winner is compared, where none is confirmed."""
        trainings = MOST_BASELINES if self.confirmation is None else 0
        return trainings * self._work_hours(TrainingWork.without_pruning(1, self.evaluated_at), seconds)

    def confirmation_hours(self, seconds: TrialSeconds) -> float:
        """Return the most that the trainings of a confirmation take, added up over the slots.

        Each counts as a full training; one on a fold sees somewhat fewer pairs.
        """
        trainings = 0 if self.confirmation is None else sum(self.confirmation)
        return trainings * self._work_hours(TrainingWork.without_pruning(1, self.evaluated_at), seconds)

    @property
    def confirmation_rounds(self) -> int:
        """Trainings of a confirmation that follow one after another, with all slots at work."""
        return sum(math.ceil(stage / self.slots) for stage in self.confirmation or ())

    def _work_hours(self, work: TrainingWork, seconds: TrialSeconds) -> float:
        evaluation = self.pairs[1] * seconds.per_evaluated_pair + seconds.per_save
        return (work.examples * seconds.per_example + work.evaluations * evaluation) / 3600


def plan_search(space: SearchSpace, nodes: Sequence[NodeResources], sizes: TrialSizes) -> SearchPlan:
    """Plan a search on some nodes; its preference pairs are read, to know how many there are.

    Raises
    ------
    InputError
        When the nodes do not hold one trial of each shape, and for pairs, caps and rungs that `gazetune search` would
        refuse.
    """
    config = space.config
    # What kind of GPU the nodes of a plan have is not said: each has the one that is asked for.
    shapes = {
        shape: min(require_slots(nodes, shape.model_copy(update={"accelerator": None})), config.search.trials)
        for shape in space.resource_shapes()
    }
    check_objectives(config.search, shapes, space.origin)
    check_scheduler(config.search, space.origin)
    check_caps(config.search, shapes, space.origin)
    splits = load_pair_splits(space.data_configs()[0])
    steps = StepPlan.from_config(config.train, len(splits.train))
    rungs = plan_rungs(config.search, steps.examples_after(steps.total_steps))
    evaluation = sorted(steps.evaluation_steps(config.train.eval_every, rungs.milestones))
    evaluated_at = tuple(steps.examples_after(step) for step in evaluation)
    kept = _count_kept_models(space)
    confirm = config.search.confirm
    confirmation = None if confirm is None else count_trainings(confirm, config.search.trials)
    return SearchPlan(
        trials=config.search.trials,
        shapes=shapes,
        pairs=(len(splits.train), len(splits.validation)),
        test_pairs=len(splits.test),
        evaluated_at=evaluated_at,
        without_pruning=TrainingWork.without_pruning(config.search.trials, evaluated_at),
        with_pruning=TrainingWork.with_pruning(config.search, rungs, evaluated_at),
        kept_models=kept,
        peak_disk=_peak_disk_bytes(
            config.search.trials,
            max(shapes.values()),
            kept,
            sizes,
            len(evaluated_at),
            len(splits.validation),
            confirmation,
        ),
        confirmation=confirmation,
    )


def _count_kept_models(space: SearchSpace) -> int:
    """Return the most models of COMPLETE trials that `models_to_keep` keeps."""
    search = space.config.search
    if len(objectives_of(search)) > 1:  # any number of them may be on the Pareto front
        return search.trials
    configs = space.data_configs()
    without_gaze = {(config.data, config.backbone) for config in configs}
    controls = {
        (config.data, config.backbone, config.gaze.control) for config in configs if is_control(config.gaze.control)
    }
    return min(search.trials, search.keep_models + len(without_gaze) + len(controls))


def _peak_disk_bytes(
    trials: int,
    slots: int,
    kept: int,
    sizes: TrialSizes,
    evaluations: int,
    pairs: int,
    confirmation: tuple[int, int] | None,
) -> int:
    """Return the most bytes at a time, with so many evaluations of a full trial on so many validation pairs."""
    # Models on folds go when they are scored, and baselines are trained one after another.
    on_folds, compared, busy = (0, MOST_BASELINES, 1) if confirmation is None else (*confirmation, slots)
    busy = min(busy, compared)
    # A save writes the new one beside the old one.
    both = sizes.checkpoint + sizes.saved_model + max(sizes.checkpoint, sizes.saved_model)
    during = slots * both
    at_the_end = (compared - busy) * sizes.saved_model + busy * both
    of_margins = (trials + on_folds + compared) * _MARGIN_BYTES * (evaluations + 2) * pairs
    return kept * sizes.saved_model + max(during, at_the_end) + of_margins
