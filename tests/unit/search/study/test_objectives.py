from __future__ import annotations

import pytest

from gazetune.config import ResourcesConfig, SearchConfig
from gazetune.errors import InputError
from gazetune.search.study.objectives import check_objectives, directions, validation_objective, values

BOTH = ["train_seconds", "val/loss"]


def search(**changes: object) -> SearchConfig:
    return SearchConfig.model_validate({"scheduler": "none", "objective": BOTH, **changes})


def test_several_objectives_have_a_direction_each_and_schedulers_see_the_one_of_validation() -> None:
    assert directions(search()) == ["minimize", "minimize"]
    assert directions(search(objective=["val/accuracy", "gpu_seconds"])) == ["maximize", "minimize"]
    assert validation_objective(search()) == "val/loss"


def test_gpu_seconds_are_training_seconds_times_gpus() -> None:
    message = {"train_seconds": 3.0, "metrics": {"val/accuracy": 0.7}}
    both = search(objective=["val/accuracy", "gpu_seconds"])
    assert values(both, ResourcesConfig(workers=4, gpus_per_worker=0.5), message) == [0.7, 6.0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": ["val/loss"]}, r"search.objective: \[val/loss\] is not accepted; a list needs at least two"),
        ({"objective": ["val/loss", "val/loss"]}, "each once"),
        ({"objective": ["train_seconds", "gpu_seconds"]}, "one of val/accuracy, val/loss must be among them"),
        ({"objective": ["val/loss", "gpu_seconds"]}, "always 0, as resources.gpus_per_worker is 0"),
        ({"sampler": "cmaes"}, "cmaes improves one objective and there are 2"),
        ({"scheduler": "asha"}, "asha stops trials that are behind on one objective, and with 2"),
        ({"scheduler": "paired"}, "set search.scheduler=none"),
        ({"sampler": "nsga2", "objective": "val/loss"}, "nsga2 is for several objectives"),
    ],
)
def test_objectives_that_cannot_work_are_refused_with_a_reason(changes: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_objectives(search(**changes), ResourcesConfig(), "space.yaml")


@pytest.mark.parametrize("changes", [{}, {"sampler": "nsga2"}, {"objective": "val/loss", "scheduler": "paired"}])
def test_objectives_that_can_work_are_accepted(changes: dict[str, object]) -> None:
    check_objectives(search(**changes), ResourcesConfig(), "space.yaml")
