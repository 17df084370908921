from __future__ import annotations

import pytest

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.errors import InputError
from gazetune.search.study.objectives import check_objectives, directions_of, objective_values, validation_objective
from tests.unit.trials.messages import training_report

BOTH = ["train_seconds", "val/loss"]


def search(**changes: object) -> SearchConfig:
    return SearchConfig.model_validate({"scheduler": "none", "objective": BOTH, **changes})


def test_several_objectives_have_a_direction_each_and_schedulers_see_the_one_of_validation() -> None:
    assert directions_of(search()) == ["minimize", "minimize"]
    assert directions_of(search(objective=["val/accuracy", "gpu_seconds"])) == ["maximize", "minimize"]
    assert validation_objective(search()).name == "val/loss"


def test_values_are_in_the_order_of_the_objectives() -> None:
    report = training_report(10, metrics={"val/accuracy": 0.7, "val/loss": 0.4}, train_seconds=3.0, gpu_seconds=6.0)
    assert objective_values(search(objective=["val/accuracy", "gpu_seconds"]), report) == [0.7, 6.0]
    assert objective_values(search(objective=["train_seconds", "val/accuracy"]), report) == [3.0, 0.7]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": ["val/loss"]}, r"search.objective: \[val/loss\] is not accepted; a list needs at least two"),
        ({"objective": ["val/loss", "val/loss"]}, "each once"),
        ({"objective": ["train_seconds", "gpu_seconds"]}, "one of val/accuracy, val/loss must be among them"),
        ({"objective": ["val/loss", "gpu_seconds"]}, "always 0, as resources.gpus_per_worker is 0"),
        ({"sampler": "cmaes"}, "cmaes improves one objective and there are 2"),
        ({"sampler": "nsga2", "objective": "val/loss"}, "nsga2 is for several objectives"),
    ],
)
def test_objectives_that_cannot_work_are_refused_with_a_reason(changes: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_objectives(search(**changes), [ResourcesConfig()], "space.yaml")


@pytest.mark.parametrize("changes", [{}, {"sampler": "nsga2"}, {"objective": "val/loss", "scheduler": "paired"}])
def test_objectives_that_can_work_are_accepted(changes: dict[str, object]) -> None:
    check_objectives(search(**changes), [ResourcesConfig()], "space.yaml")


def test_gpu_seconds_say_something_where_some_trials_have_gpus() -> None:
    both = search(objective=["val/accuracy", "gpu_seconds"])
    check_objectives(both, [ResourcesConfig(), ResourcesConfig(gpus_per_worker=1)], "space.yaml")
