from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from gazetune.search.slots.board import CLOSE, Board, Shape, State

ONE, TWO = ({"workers": workers, "cpus_per_worker": 1.0, "gpus_per_worker": 0.0} for workers in (1, 2))


def ends(scenario: Coroutine[Any, Any, Any]) -> Any:
    """Run a scenario; a call of it that never comes back is a failure."""
    return asyncio.run(asyncio.wait_for(scenario, 20.0))


def report(examples: int, done: bool = False) -> dict[str, Any]:
    return {"examples": examples, "done": done}


async def submit(board: Board, *ids: str, shape: Shape = ONE) -> None:
    for job_id in ids:
        await board.submit({"id": job_id, "kind": "train", "config": {"resources": shape}})


async def taken(board: Board, slot: int) -> str:
    """Let a slot take a job, and return which one."""
    spec = await board.take(slot, ONE, 1.0)
    assert spec is not None and spec["slot"] == slot
    return str(spec["id"])


async def other_calls() -> None:
    """Let the calls that were begun come to where they wait."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_asking_for_the_next_report_lets_the_job_go_on() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        assert await taken(board, 0) == "a"
        waiting = asyncio.create_task(board.report("a", 0, report(10)))
        assert await board.next("a") == report(10)
        assert not waiting.done()
        following = asyncio.create_task(board.next("a"))
        assert await waiting is True
        assert await board.report("a", 0, report(20, done=True)) is False
        assert await following == report(20, done=True)

    ends(scenario())


def test_cancel_stops_a_job_that_waits_in_its_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take(0, ONE, 1.0)
        waiting = asyncio.create_task(board.report("a", 0, report(10)))
        await board.next("a")
        await board.cancel("a")
        assert await waiting is False
        assert await taken(board, 0) == "b"

    ends(scenario())


def test_a_cancel_that_crosses_a_report_stops_the_job_at_that_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take(0, ONE, 1.0)
        await board.cancel("a")
        assert await board.report("a", 0, report(10)) is False
        assert await taken(board, 0) == "b"

    ends(scenario())


def test_cancel_takes_a_job_back_that_no_slot_has_yet() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.cancel("a")
        assert await taken(board, 0) == "b"

    ends(scenario())


def test_a_job_whose_slots_died_is_handed_out_again_and_then_fails() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        for slot in (0, 1):
            assert await taken(board, slot) == "a"
            assert await board.slot_ended(slot, place_lost=False), "it had a job"
            await board.blame(slot)
        assert await taken(board, 2) == "b"
        assert await board.next("a") == {"failed": "its workers died 2 times at the same place"}

    ends(scenario())


def test_a_job_whose_nodes_went_away_is_handed_out_again_however_often() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a")
        for slot in range(5):
            assert await taken(board, slot) == "a"
            await board.slot_ended(slot, place_lost=True)
        for slot in (5, 6):
            assert await taken(board, slot) == "a"
            await board.slot_ended(slot, place_lost=False)
            await board.blame(slot)
        assert await board.next("a") == {"failed": "its workers died 2 times at the same place"}

    ends(scenario())


def test_a_loss_that_turns_out_to_be_a_nodes_is_not_counted_any_more() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        for slot in range(4):
            assert await taken(board, slot) == "a"
            await board.slot_ended(slot, False)
            await board.excuse(slot)
            await board.excuse(slot)
        assert await taken(board, 4) == "a"
        await board.slot_ended(4, False)
        assert await taken(board, 5) == "a"
        await board.slot_ended(5, False)
        await board.blame(4)
        await board.blame(5)
        assert "failed" in await board.next("a"), "two losses that nobody excused"

    ends(scenario())


def test_two_losses_at_once_wait_until_it_is_known_whether_nodes_went_away() -> None:
    async def scenario(excused: int) -> str | None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        for slot in (0, 1):
            assert await taken(board, slot) == "a"
            await board.slot_ended(slot, place_lost=False)
        assert await taken(board, 2) == "b", "meanwhile others are trained"
        following = asyncio.create_task(board.next("a"))
        await other_calls()
        assert not following.done()
        await board.excuse(excused)
        await board.blame(1 - excused)
        assert await taken(board, 3) == "a", "one loss alone is not enough"
        assert not following.done()
        await board.slot_ended(3, place_lost=False)
        await board.blame(3)
        return str((await following)["failed"])

    for excused in (0, 1):
        assert ends(scenario(excused)) == "its workers died 2 times at the same place"


def test_a_loss_is_not_excused_once_the_job_came_further() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        assert await taken(board, 0) == "a"
        await board.slot_ended(0, False)
        assert await taken(board, 1) == "a"
        waiting = asyncio.create_task(board.report("a", 1, report(10)))
        await board.next("a")
        following = asyncio.create_task(board.next("a"))
        assert await waiting is True
        await board.excuse(0)
        await board.slot_ended(1, False)
        assert await taken(board, 2) == "a"
        await board.slot_ended(2, False)
        await board.blame(2)
        assert "failed" in await following

    ends(scenario())


def test_a_slot_that_asks_again_in_the_middle_of_a_job_has_lost_its_workers() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        assert [await taken(board, 0), await taken(board, 0), await taken(board, 0)] == ["a", "a", "b"]
        assert await board.next("a") == {"failed": "its workers died 2 times at the same place"}

    ends(scenario())


def test_a_lost_job_wakes_a_slot_that_waits_for_work() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        idle = asyncio.create_task(board.take(1, ONE, 60.0))
        await other_calls()
        await board.slot_ended(0, place_lost=False)
        assert (await asyncio.wait_for(idle, 5.0))["id"] == "a"

    ends(scenario())


def test_a_slot_that_is_lost_while_it_waits_for_work_is_given_none() -> None:
    """Its call outlives its workers; what it took would be at a slot that is no more."""

    async def scenario() -> None:
        board = Board()
        orphan = asyncio.create_task(board.take(0, ONE, 60.0))
        await other_calls()
        assert not await board.slot_ended(0, place_lost=False), "it never had a job"
        await submit(board, "a")
        assert await asyncio.wait_for(orphan, 5.0) == CLOSE
        assert await board.take(0, ONE, 0.1) == CLOSE, "nor does a call that comes late"
        assert await taken(board, 1) == "a"

    ends(scenario())


def test_a_slot_that_dies_while_its_report_waits_leaves_no_call_behind() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        orphan = asyncio.create_task(board.report("a", 0, report(10)))
        assert await board.next("a") == report(10)
        await board.slot_ended(0, place_lost=False)
        assert await asyncio.wait_for(orphan, 5.0) is False
        assert await taken(board, 1) == "a"

    ends(scenario())


def test_a_lost_slot_cannot_report_for_the_slot_that_has_its_job_now() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        await board.slot_ended(0, place_lost=False)
        await taken(board, 1)
        assert await board.report("a", 0, report(10)) is False
        await board.fail("a", 0, "from the dead")
        await board.finish("a", 0, {"rewards": []})
        waiting = asyncio.create_task(board.report("a", 1, report(10)))
        assert await board.next("a") == report(10), "nothing of the lost slot came before it"
        waiting.cancel()

    ends(scenario())


def test_a_report_that_was_answered_before_the_death_is_not_repeated() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        lost = asyncio.create_task(board.report("a", 0, report(10)))
        await board.next("a")
        following = asyncio.create_task(board.next("a"))
        assert await lost is True
        await board.slot_ended(0, place_lost=False)
        await taken(board, 1)
        assert await board.report("a", 1, report(10)) is True
        again = asyncio.create_task(board.report("a", 1, report(20)))
        assert await following == report(20)
        again.cancel()

    ends(scenario())


def test_a_report_that_was_delivered_but_not_answered_before_the_death_waits_for_the_answer() -> None:
    """The scheduler has not decided yet: nothing may be trained beyond its rung."""

    async def scenario(stopped: bool) -> bool:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        lost = asyncio.create_task(board.report("a", 0, report(10)))
        await board.next("a")
        await board.slot_ended(0, place_lost=False)
        assert await lost is False
        await taken(board, 1)
        repeated = asyncio.create_task(board.report("a", 1, report(10)))
        await other_calls()
        assert not repeated.done()
        following = asyncio.create_task(board.cancel("a") if stopped else board.next("a"))
        goes_on = await asyncio.wait_for(repeated, 5.0)
        following.cancel()
        return goes_on

    assert ends(scenario(stopped=False)) is True
    assert ends(scenario(stopped=True)) is False


def test_a_failure_is_delivered_and_not_tried_again() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take(0, ONE, 1.0)
        await board.fail("a", 0, "loss is nan at step 3")
        await board.slot_ended(0, place_lost=False)
        assert await board.next("a") == {"failed": "loss is nan at step 3"}
        assert await taken(board, 1) == "b"

    ends(scenario())


def test_an_idle_slot_hears_nothing_then_close() -> None:
    async def scenario() -> None:
        board = Board()
        assert await board.take(0, ONE, 0.01) is None
        waiting = asyncio.create_task(board.take(0, ONE, 10.0))
        await asyncio.sleep(0.01)
        await board.close()
        assert await waiting == CLOSE

    ends(scenario())


def test_idle_slots_are_let_go_and_those_at_a_job_are_not() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 1)
        idle = {slot: asyncio.create_task(board.take(slot, ONE, 60.0)) for slot in (0, 2)}
        await other_calls()
        assert await board.look() == State(up=[0, 1, 2], idle=[0, 2], wanted=[ONE])
        assert await board.release([1, 2]) == [2], "slot 1 is at a job"
        assert await asyncio.wait_for(idle[2], 5.0) == CLOSE
        assert await asyncio.wait_for(idle[0], 5.0) is None, "woken for nothing, it asks again"
        assert await board.release([2, 0]) == [0], "one that was let go no longer counts"
        assert await board.take(0, ONE, 1.0) == CLOSE
        await board.report("a", 1, report(10, done=True))
        assert await board.release([1]) == [], "it has not asked for the next one yet"
        last = asyncio.create_task(board.take(1, ONE, 60.0))
        await other_calls()
        assert await board.look() == State(up=[1], idle=[1], wanted=[])
        assert await board.release([1]) == [1]
        assert await asyncio.wait_for(last, 5.0) == CLOSE

    ends(scenario())


def test_a_slot_takes_the_first_job_that_needs_what_it_has() -> None:
    async def scenario() -> None:
        board = Board()
        waiting = asyncio.create_task(board.take(0, ONE, 60.0))
        await other_calls()
        await submit(board, "wide", "wider", shape=TWO)
        assert await waiting is None, "none of them is for it"
        await submit(board, "narrow", "cancelled")
        await board.cancel("cancelled")
        assert await board.look() == State(up=[0], idle=[0], wanted=[TWO, TWO, ONE])
        assert await taken(board, 0) == "narrow"
        wide = await board.take(1, TWO, 1.0)
        assert wide is not None and wide["id"] == "wide", "in the order in which they came"
        await board.slot_ended(1, place_lost=True)
        assert await board.take(2, ONE, 0.01) is None
        again = await board.take(3, TWO, 1.0)
        assert again is not None and again["id"] == "wide", "handed back, it is the first again, for its own shape"

    ends(scenario())


def test_one_job_goes_to_one_of_the_slots_that_wait() -> None:
    async def scenario() -> None:
        board = Board()
        waiting = [asyncio.create_task(board.take(slot, ONE, 0.2)) for slot in range(3)]
        await other_calls()
        await submit(board, "a")
        answers = [await each for each in waiting]
        assert [answer["id"] for answer in answers if answer is not None] == ["a"]

    ends(scenario())


def test_closing_stops_a_running_job_at_its_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await board.take(0, ONE, 1.0)
        waiting = asyncio.create_task(board.report("a", 0, report(10)))
        await board.next("a")
        await board.close()
        assert await waiting is False
        assert await board.take(0, ONE, 1.0) == CLOSE

    ends(scenario())


def test_a_job_that_fails_where_it_runs_is_not_handed_out_again() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await board.fail_at(0, "out of memory")
        await submit(board, "a", "b")
        assert await taken(board, 0) == "a"
        await board.fail_at(1, "another slot")
        await board.fail_at(0, "out of memory")
        await board.slot_ended(0, place_lost=False)
        assert await board.next("a") == {"failed": "out of memory"}
        assert await taken(board, 1) == "b", "a is not tried again"

    ends(scenario())


def test_lost_workers_are_not_counted_when_the_job_came_further() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a")
        for slot, examples in enumerate((10, 20, 30)):
            assert await taken(board, slot) == "a"
            lost = asyncio.create_task(board.report("a", slot, report(examples)))
            assert await board.next("a") == report(examples)
            await board.slot_ended(slot, place_lost=False)
            assert await lost is False
        assert await taken(board, 3) == "a"
        await board.slot_ended(3, place_lost=False)
        await board.blame(3)
        assert await board.take(4, ONE, 0.1) is None
        assert await board.next("a") == {"failed": "its workers died 2 times at the same place"}

    ends(scenario())
