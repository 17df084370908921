from __future__ import annotations

from gazetune.trials.slot_losses import ATTRIBUTION_SECONDS, WorkerDeaths


def test_workers_failed_by_themselves_once_no_node_was_lost_for_long_enough() -> None:
    deaths = WorkerDeaths()
    deaths.add_death(3, 100.0)
    deaths.add_death(4, 101.0)
    assert (
        deaths.pop_node_losses(node_lost=False) == [] and deaths.pop_worker_failures(100.0 + ATTRIBUTION_SECONDS) == []
    )
    assert deaths.pop_worker_failures(100.5 + ATTRIBUTION_SECONDS) == [3]
    assert deaths.pop_worker_failures(102.0 + ATTRIBUTION_SECONDS) == [4]
    assert deaths.pop_worker_failures(999.0) == []


def test_a_lost_node_explains_all_deaths_before_it_however_late_it_is_heard_of() -> None:
    deaths = WorkerDeaths()
    deaths.add_death(3, 100.0)
    deaths.add_death(4, 900.0)
    assert deaths.pop_node_losses(node_lost=True) == [3, 4]
    assert deaths.pop_node_losses(node_lost=True) == [] and deaths.pop_worker_failures(999.0) == []
    deaths.add_death(5, 901.0)
    assert deaths.pop_node_losses(node_lost=False) == [] and deaths.pop_worker_failures(999.0) == [5]
