from __future__ import annotations

from gazetune.trials.worker_deaths import BLAMED_SECONDS, Losses


def test_workers_are_blamed_once_no_node_has_gone_for_long_enough() -> None:
    losses = Losses()
    losses.add(3, 100.0)
    losses.add(4, 101.0)
    assert losses.excused(node_lost=False) == [] and losses.blamed(100.0 + BLAMED_SECONDS) == []
    assert losses.blamed(100.5 + BLAMED_SECONDS) == [3]
    assert losses.blamed(102.0 + BLAMED_SECONDS) == [4]
    assert losses.blamed(999.0) == []


def test_a_node_that_has_gone_excuses_all_that_is_open_however_late_it_is_heard_of() -> None:
    losses = Losses()
    losses.add(3, 100.0)
    losses.add(4, 900.0)
    assert losses.excused(node_lost=True) == [3, 4]
    assert losses.excused(node_lost=True) == [] and losses.blamed(999.0) == []
    losses.add(5, 901.0)
    assert losses.excused(node_lost=False) == [] and losses.blamed(999.0) == [5]
