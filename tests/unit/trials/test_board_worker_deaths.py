"""Workers that die at a job: it is handed out again, goes on where it was, and fails in the end."""

from __future__ import annotations

import asyncio

import numpy as np

from gazetune.trials.board import Board
from gazetune.trials.messages import Close, DeviceFailure, EvaluationResult, JobFailure
from tests.unit.trials.board_calls import ONE, ends, other_calls, submit, taken
from tests.unit.trials.messages import training_report


def test_a_job_whose_slots_died_is_handed_out_again_and_then_fails() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        for slot in (0, 1):
            assert await taken(board, slot) == "a"
            assert await board.remove_slot(slot, placement_lost=False), "it had a job"
            await board.confirm_worker_failure(slot)
        assert await taken(board, 2) == "b"
        assert await board.next_message("a") == JobFailure("its workers died 2 times at the same place")

    ends(scenario())


def test_a_broken_gpu_is_not_counted_against_its_job_and_one_that_the_job_may_have_broken_is() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        for slot in range(4):
            assert await taken(board, slot) == "a"
            await board.report_device_failure(slot, DeviceFailure("n", "a", "uncorrectable ECC error", True))
            await board.report_device_failure(slot, DeviceFailure("n", "a", "another rank", False))
            await board.remove_slot(slot, placement_lost=False)
            failure = await board.pop_device_failure(slot)
            assert failure is not None and failure.is_certain, "the first worker of the slot that says so"
        for slot in (4, 5):
            assert await taken(board, slot) == "a"
            await board.report_device_failure(slot, DeviceFailure("n", "a", "illegal memory access", False))
            await board.remove_slot(slot, placement_lost=False)
            await board.confirm_worker_failure(slot)
        assert await taken(board, 6) == "b"
        reason = "its workers died 2 times at the same place, the last time of: illegal memory access"
        assert await board.next_message("a") == JobFailure(reason)

    ends(scenario())


def test_a_job_whose_nodes_went_away_is_handed_out_again_however_often() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a")
        for slot in range(5):
            assert await taken(board, slot) == "a"
            await board.remove_slot(slot, placement_lost=True)
        for slot in (5, 6):
            assert await taken(board, slot) == "a"
            await board.remove_slot(slot, placement_lost=False)
            await board.confirm_worker_failure(slot)
        assert await board.next_message("a") == JobFailure("its workers died 2 times at the same place")

    ends(scenario())


def test_a_loss_that_turns_out_to_be_a_nodes_is_not_counted_any_more() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        for slot in range(4):
            assert await taken(board, slot) == "a"
            await board.remove_slot(slot, False)
            await board.attribute_to_node_loss(slot)
            await board.attribute_to_node_loss(slot)
        assert await taken(board, 4) == "a"
        await board.remove_slot(4, False)
        assert await taken(board, 5) == "a"
        await board.remove_slot(5, False)
        await board.confirm_worker_failure(4)
        await board.confirm_worker_failure(5)
        assert isinstance(await board.next_message("a"), JobFailure), "two losses that nobody excused"

    ends(scenario())


def test_two_losses_at_once_wait_until_it_is_known_whether_nodes_went_away() -> None:
    async def scenario(excused: int) -> str | None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        for slot in (0, 1):
            assert await taken(board, slot) == "a"
            await board.remove_slot(slot, placement_lost=False)
        assert await taken(board, 2) == "b", "meanwhile others are trained"
        following = asyncio.create_task(board.next_message("a"))
        await other_calls()
        assert not following.done()
        await board.attribute_to_node_loss(excused)
        await board.confirm_worker_failure(1 - excused)
        assert await taken(board, 3) == "a", "one loss alone is not enough"
        assert not following.done()
        await board.remove_slot(3, placement_lost=False)
        await board.confirm_worker_failure(3)
        return (await following).reason

    for excused in (0, 1):
        assert ends(scenario(excused)) == "its workers died 2 times at the same place"


def test_a_loss_is_not_excused_once_the_job_came_further() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        assert await taken(board, 0) == "a"
        await board.remove_slot(0, False)
        assert await taken(board, 1) == "a"
        waiting = asyncio.create_task(board.deliver_report("a", 1, training_report(10)))
        await board.next_message("a")
        following = asyncio.create_task(board.next_message("a"))
        assert await waiting is True
        await board.attribute_to_node_loss(0)
        await board.remove_slot(1, False)
        assert await taken(board, 2) == "a"
        await board.remove_slot(2, False)
        await board.confirm_worker_failure(2)
        assert isinstance(await following, JobFailure)

    ends(scenario())


def test_a_slot_that_asks_again_in_the_middle_of_a_job_has_lost_its_workers() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a", "b")
        assert [await taken(board, 0), await taken(board, 0), await taken(board, 0)] == ["a", "a", "b"]
        assert await board.next_message("a") == JobFailure("its workers died 2 times at the same place")

    ends(scenario())


def test_a_lost_job_wakes_a_slot_that_waits_for_work() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        idle = asyncio.create_task(board.take_job(1, ONE, 60.0))
        await other_calls()
        await board.remove_slot(0, placement_lost=False)
        assert (await asyncio.wait_for(idle, 5.0)).id == "a"

    ends(scenario())


def test_a_slot_that_is_lost_while_it_waits_for_work_is_given_none() -> None:
    """Its call outlives its workers; what it took would be at a slot that is no more."""

    async def scenario() -> None:
        board = Board()
        orphan = asyncio.create_task(board.take_job(0, ONE, 60.0))
        await other_calls()
        assert not await board.remove_slot(0, placement_lost=False), "it never had a job"
        await submit(board, "a")
        assert await asyncio.wait_for(orphan, 5.0) == Close()
        assert await board.take_job(0, ONE, 0.1) == Close(), "nor does a call that comes late"
        assert await taken(board, 1) == "a"

    ends(scenario())


def test_a_slot_that_dies_while_its_report_waits_leaves_no_call_behind() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        orphan = asyncio.create_task(board.deliver_report("a", 0, training_report(10)))
        assert await board.next_message("a") == training_report(10)
        await board.remove_slot(0, placement_lost=False)
        assert await asyncio.wait_for(orphan, 5.0) is False
        assert await taken(board, 1) == "a"

    ends(scenario())


def test_a_lost_slot_cannot_report_for_the_slot_that_has_its_job_now() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        await board.remove_slot(0, placement_lost=False)
        await taken(board, 1)
        assert await board.deliver_report("a", 0, training_report(10)) is False
        await board.fail_job("a", 0, JobFailure("from the dead"))
        await board.deliver_result("a", 0, EvaluationResult(np.zeros((0, 2))))
        waiting = asyncio.create_task(board.deliver_report("a", 1, training_report(10)))
        assert await board.next_message("a") == training_report(10), "nothing of the lost slot came before it"
        waiting.cancel()

    ends(scenario())


def test_a_report_that_was_answered_before_the_death_is_not_repeated() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        lost = asyncio.create_task(board.deliver_report("a", 0, training_report(10)))
        await board.next_message("a")
        following = asyncio.create_task(board.next_message("a"))
        assert await lost is True
        await board.remove_slot(0, placement_lost=False)
        await taken(board, 1)
        assert await board.deliver_report("a", 1, training_report(10)) is True
        again = asyncio.create_task(board.deliver_report("a", 1, training_report(20)))
        assert await following == training_report(20)
        again.cancel()

    ends(scenario())


def test_a_report_that_was_delivered_but_not_answered_before_the_death_waits_for_the_answer() -> None:
    """The scheduler has not decided yet: nothing may be trained beyond its rung."""

    async def scenario(stopped: bool) -> bool:
        board = Board()
        await submit(board, "a")
        await taken(board, 0)
        lost = asyncio.create_task(board.deliver_report("a", 0, training_report(10)))
        await board.next_message("a")
        await board.remove_slot(0, placement_lost=False)
        assert await lost is False
        await taken(board, 1)
        repeated = asyncio.create_task(board.deliver_report("a", 1, training_report(10)))
        await other_calls()
        assert not repeated.done()
        following = asyncio.create_task(board.cancel_job("a") if stopped else board.next_message("a"))
        goes_on = await asyncio.wait_for(repeated, 5.0)
        following.cancel()
        return goes_on

    assert ends(scenario(stopped=False)) is True
    assert ends(scenario(stopped=True)) is False


def test_lost_workers_are_not_counted_when_the_job_came_further() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await submit(board, "a")
        for slot, examples in enumerate((10, 20, 30)):
            assert await taken(board, slot) == "a"
            lost = asyncio.create_task(board.deliver_report("a", slot, training_report(examples)))
            assert await board.next_message("a") == training_report(examples)
            await board.remove_slot(slot, placement_lost=False)
            assert await lost is False
        assert await taken(board, 3) == "a"
        await board.remove_slot(3, placement_lost=False)
        await board.confirm_worker_failure(3)
        assert await board.take_job(4, ONE, 0.1) is None
        assert await board.next_message("a") == JobFailure("its workers died 2 times at the same place")

    ends(scenario())
