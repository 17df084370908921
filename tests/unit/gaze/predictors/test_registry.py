from __future__ import annotations

import re
from pathlib import Path

import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.measures import predict_words
from gazetune.gaze.predictors import registry
from gazetune.gaze.predictors.planted import create_planted
from gazetune.gaze.predictors.registry import (
    check_predictor,
    create_named_predictor,
    create_predictor,
    find_predictor,
    gaze_predictor,
    predictor_names,
)


def test_the_predictors_of_the_package_are_found_without_importing_them_by_hand() -> None:
    assert {"bilstm", "lexical", "planted", "recorded", "roberta"} <= set(predictor_names())


def test_unknown_predictor_names_key_and_nearest_name() -> None:
    config = Config.model_validate({"gaze": {"predictor": "lexikal"}})
    with pytest.raises(InputError, match=r"gaze\.predictor: 'lexikal'.*did you mean 'lexical'\?"):
        create_predictor(config)


def test_planted_takes_its_seed_from_the_data() -> None:
    made = [
        create_predictor(Config.model_validate({"gaze": {"predictor": "planted"}, "data": {"seed": seed}}))
        for seed in (0, 1)
    ]
    assert made[0].fingerprint != made[1].fingerprint
    assert (made[0].predict(["a b"])[0].values != made[1].predict(["a b"])[0].values).all()


def test_a_name_cannot_be_taken_twice() -> None:
    predictor_names()
    with pytest.raises(ValueError, match="planted"):
        gaze_predictor("planted")(create_planted)


def test_a_mask_with_a_measure_that_the_predictor_lacks_is_refused() -> None:
    tree = {"gaze": {"predictor": "bilstm", "path": "weights", "features": ["FFD", "TRT"]}}
    message = r"gaze\.features: gaze\.predictor 'bilstm' does not predict FFD; accepted: \[TRT\]"
    with pytest.raises(InputError, match=message):
        check_predictor(Config.model_validate(tree))
    check_predictor(Config.model_validate({**tree, "fusion": {"kind": "none"}}))
    check_predictor(Config.model_validate({"gaze": {"predictor": "bilstm", "path": "weights", "features": ["TRT"]}}))
    check_predictor(Config.model_validate({"gaze": {"predictor": "roberta", "path": "weights"}}))


def test_a_predictor_says_whether_its_units_are_words() -> None:
    units = {
        name: find_predictor(Config.model_validate({"gaze": {"predictor": name}})).units
        for name in ("bilstm", "lexical", "planted", "recorded", "roberta")
    }
    assert units.pop("bilstm") == "token"
    assert set(units.values()) == {"word"}
    with pytest.raises(InputError, match=r"did you mean 'lexical'\?"):
        find_predictor(Config.model_validate({"gaze": {"predictor": "lexikal"}}))


def test_the_predictor_that_the_docs_show_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor_names()  # the others are registered before this one is put beside them
    monkeypatch.setattr(registry, "_predictors", dict(registry._predictors))
    page = (Path(__file__).parents[4] / "docs" / "gaze.md").read_text()
    exec(re.search(r"```python\n(.*?)```", page, flags=re.DOTALL)[1], {"__name__": "letters"})
    words = predict_words(create_named_predictor("letters"), "sky is blue")
    assert [word["TRT"] for word in words] == [3, 2, 4]
    with pytest.raises(InputError, match="'letters' does not predict nFix"):
        check_predictor(Config.model_validate({"gaze": {"predictor": "letters"}}))


def test_only_the_published_predictors_have_the_references_units() -> None:
    config = Config.model_validate({"gaze": {"predictor": "lexical", "predictor_units": "reference"}})
    with pytest.raises(InputError, match=r"gaze.predictor_units: reference: .*'lexical' is none .*; accepted: words$"):
        check_predictor(config)
