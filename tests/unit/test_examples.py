"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import importlib
import json
import re
from pathlib import Path

import pytest

from tests.saved_models import save_untrained_model

PACKAGE = Path(__file__).parents[2] / "gazetune"
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text()
)

MODEL = "gazetune_runs/mine/best"
"""What examples call a saved model; it is made before they run, and `pairs.jsonl` of three rows."""


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_do_what_they_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    if re.search(rf'>>> .*"{MODEL}"', Path(module.__file__ or "").read_text()):
        save_untrained_model(tmp_path / MODEL, tmp_path / "cache")
        pairs = [{"prompt": f"Why {at}?", "chosen": "So.", "rejected": "No."} for at in range(3)]
        (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs))
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 0 and results.failed == 0
