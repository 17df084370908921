from __future__ import annotations

import asyncio
from typing import Any

from gazetune.search.slots.board import CLOSE, Board


def report(examples: int, done: bool = False) -> dict[str, Any]:
    return {"examples": examples, "done": done}


async def submit(board: Board, *ids: str) -> None:
    for job_id in ids:
        await board.submit({"id": job_id, "kind": "train"})


def test_asking_for_the_next_report_lets_the_job_go_on() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        assert (await board.take(0, 1.0))["id"] == "a"
        waiting = asyncio.create_task(board.report("a", report(10)))
        assert await board.next("a") == report(10)
        assert not waiting.done()
        following = asyncio.create_task(board.next("a"))
        assert await waiting is True
        assert await board.report("a", report(20, done=True)) is False
        assert await following == report(20, done=True)

    asyncio.run(scenario())


def test_cancel_stops_a_job_that_waits_in_its_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take(0, 1.0)
        waiting = asyncio.create_task(board.report("a", report(10)))
        await board.next("a")
        await board.cancel("a")
        assert await waiting is False
        assert (await board.take(0, 1.0))["id"] == "b"

    asyncio.run(scenario())


def test_cancel_takes_a_job_back_that_no_slot_has_yet() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.cancel("a")
        assert (await board.take(0, 1.0))["id"] == "b"

    asyncio.run(scenario())


def test_a_job_whose_workers_died_is_handed_out_again_and_then_fails() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        assert (await board.take(0, 1.0))["id"] == "a"
        assert (await board.take(0, 1.0))["id"] == "a"
        assert (await board.take(0, 1.0))["id"] == "b"
        assert await board.next("a") == {"failed": "its workers died 2 times at the same place"}

    asyncio.run(scenario())


def test_a_report_that_was_delivered_before_the_death_is_not_repeated() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await board.take(0, 1.0)
        lost = asyncio.create_task(board.report("a", report(10)))
        await board.next("a")
        lost.cancel()
        await board.take(0, 1.0)
        assert await board.report("a", report(10)) is True
        again = asyncio.create_task(board.report("a", report(20)))
        assert await board.next("a") == report(20)
        again.cancel()

    asyncio.run(scenario())


def test_a_failure_is_delivered_and_not_tried_again() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take(0, 1.0)
        await board.fail("a", "loss is nan at step 3")
        assert await board.next("a") == {"failed": "loss is nan at step 3"}
        assert (await board.take(0, 1.0))["id"] == "b"

    asyncio.run(scenario())


def test_the_last_lost_slot_fails_all_waiting_jobs() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b", "c")
        await board.take(0, 1.0)
        await board.take(1, 1.0)
        await board.slot_lost(0, "gone", slots_left=1)
        assert await board.next("a") == {"failed": "gone"}
        await board.slot_lost(1, "gone too", slots_left=0)
        assert await board.next("b") == {"failed": "gone too"}
        assert await board.next("c") == {"failed": "gone too"}

    asyncio.run(scenario())


def test_an_idle_slot_hears_nothing_then_close() -> None:
    async def scenario() -> None:
        board = Board()
        assert await board.take(0, 0.01) is None
        waiting = asyncio.create_task(board.take(0, 10.0))
        await asyncio.sleep(0.01)
        await board.close()
        assert await waiting == CLOSE

    asyncio.run(scenario())


def test_closing_stops_a_running_job_at_its_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await board.take(0, 1.0)
        waiting = asyncio.create_task(board.report("a", report(10)))
        await board.next("a")
        await board.close()
        assert await waiting is False
        assert await board.take(0, 1.0) == CLOSE

    asyncio.run(scenario())


def test_a_job_that_fails_where_it_runs_is_not_handed_out_again() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await board.fail_at(0, "out of memory")
        await submit(board, "a", "b")
        assert (await board.take(0, 1.0))["id"] == "a"
        await board.fail_at(1, "another slot")
        await board.fail_at(0, "out of memory")
        assert await board.next("a") == {"failed": "out of memory"}
        assert (await board.take(0, 1.0))["id"] == "b", "a is not tried again"

    asyncio.run(scenario())


def test_lost_workers_are_not_counted_when_the_job_came_further() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a")
        for examples in (10, 20, 30):
            assert (await board.take(0, 1.0))["id"] == "a"
            lost = asyncio.create_task(board.report("a", report(examples)))
            assert await board.next("a") == report(examples)
            lost.cancel()
        assert await board.take(0, 0.1) is not None
        assert await board.take(0, 0.1) is None
        assert await board.next("a") == {"failed": "its workers died 2 times at the same place"}

    asyncio.run(scenario())
