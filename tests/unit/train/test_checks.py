"""What is refused before anything is loaded."""

from __future__ import annotations

import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.train.checks import check_config


def test_the_default_config_can_train() -> None:
    check_config(Config())


def test_a_worker_may_have_a_share_of_a_gpu_or_all_of_it() -> None:
    for resources in ({"gpus_per_worker": 0.5}, {"workers": 8, "gpus_per_worker": 1}):
        check_config(Config.model_validate({"resources": resources}))


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"fusion": {"kind": "ad"}}, r"fusion.kind: unknown fusion 'ad'; did you mean 'add'\?"),
        ({"loss": {"kind": "bradley"}}, "loss.kind: unknown loss 'bradley'; (did you mean|accepted)"),
        (
            {"gaze": {"predictor": "lexica"}},
            r"gaze.predictor: 'lexica' is no gaze predictor; did you mean 'lexical'\?",
        ),
        (
            {"gaze": {"predictor": "zzz"}},
            "gaze.predictor: 'zzz' is no gaze predictor; accepted: bilstm, lexical, planted",
        ),
        (
            {"gaze": {"predictor": "bilstm"}},
            r"gaze.features: .* not predict nFix, FFD, GPT, fixProp; accepted: \[TRT\]",
        ),
        (
            {"resources": {"accelerator": "A100"}},
            "resources.accelerator: A100 is .*gpus_per_worker is 0",
        ),
        ({"resources": {"gpus_per_worker": 2}}, "resources.gpus_per_worker: .* one GPU, got 2; accepted: 0, 1"),
        ({"resources": {"workers": 2, "gpus_per_worker": 0.5}}, "resources.gpus_per_worker: .*is for one worker, got"),
        ({"deepspeed": {"stage": 1, "offload": "cpu"}}, "deepspeed.offload: cpu needs"),
    ],
)
def test_each_bad_value_is_named_with_its_key(tree: dict, line: str) -> None:
    with pytest.raises(InputError, match=line):
        check_config(Config.model_validate(tree))
