"""gazetune: find the best gaze-aware reward model, on any cluster, and prove it.

The names in `__all__` are what Python code is meant to use. Each is imported when it is first asked for, so that
`import gazetune` itself is quick: it loads neither torch nor Ray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gazetune.ablation.run import run_ablation as run_ablation
    from gazetune.models.evaluate_model import evaluate_model as evaluate_model
    from gazetune.reward.saved.reward_scorer import RewardScorer as RewardScorer
    from gazetune.search.run import run_search as run_search

__version__ = "0.1.0"
__all__ = ["RewardScorer", "__version__", "evaluate_model", "run_ablation", "run_search"]

_MODULES = {
    "RewardScorer": "gazetune.reward.saved.reward_scorer",
    "evaluate_model": "gazetune.models.evaluate_model",
    "run_ablation": "gazetune.ablation.run",
    "run_search": "gazetune.search.run",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'gazetune' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
