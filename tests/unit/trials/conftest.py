"""What trains in the process of a test, for the worker's side of a slot."""

from __future__ import annotations

from tests.unit.train.conftest import data, start, worker

__all__ = ["data", "start", "worker"]
