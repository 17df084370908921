"""Jobs and slots come together at the board, whose answers to reports say whether a trial goes on."""

from __future__ import annotations

import asyncio

from gazetune.trials.board import Board, BoardState
from gazetune.trials.messages import Close, EvaluateJob, JobFailure
from tests.unit.trials.board_calls import ONE, TWO, ends, other_calls, submit, taken
from tests.unit.trials.messages import train_job, training_report


def test_asking_for_the_next_report_lets_the_job_go_on() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        assert await taken(board, 0) == "a"
        waiting = asyncio.create_task(board.deliver_report("a", 0, training_report(10)))
        assert await board.next_message("a") == training_report(10)
        assert not waiting.done()
        following = asyncio.create_task(board.next_message("a"))
        assert await waiting is True
        assert await board.deliver_report("a", 0, training_report(20, done=True)) is False
        assert await following == training_report(20, done=True)

    ends(scenario())


def test_cancel_stops_a_job_that_waits_in_its_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take_job(0, ONE, 1.0)
        waiting = asyncio.create_task(board.deliver_report("a", 0, training_report(10)))
        await board.next_message("a")
        await board.cancel_job("a")
        assert await waiting is False
        assert await taken(board, 0) == "b"

    ends(scenario())


def test_a_cancel_that_crosses_a_report_stops_the_job_at_that_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take_job(0, ONE, 1.0)
        await board.cancel_job("a")
        assert await board.deliver_report("a", 0, training_report(10)) is False
        assert await taken(board, 0) == "b"

    ends(scenario())


def test_cancel_takes_a_job_back_that_no_slot_has_yet() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.cancel_job("a")
        assert await taken(board, 0) == "b"

    ends(scenario())


def test_a_failure_is_delivered_and_not_tried_again() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        await board.take_job(0, ONE, 1.0)
        await board.fail_job("a", 0, JobFailure("loss is nan at step 3"))
        await board.remove_slot(0, placement_lost=False)
        assert await board.next_message("a") == JobFailure("loss is nan at step 3")
        assert await taken(board, 1) == "b"

    ends(scenario())


def test_an_idle_slot_hears_nothing_then_close() -> None:
    async def scenario() -> None:
        board = Board()
        assert await board.take_job(0, ONE, 0.01) is None
        waiting = asyncio.create_task(board.take_job(0, ONE, 10.0))
        await asyncio.sleep(0.01)
        await board.close()
        assert await waiting == Close()

    ends(scenario())


def test_idle_slots_are_let_go_and_those_at_a_job_are_not() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await taken(board, 1)
        idle = {slot: asyncio.create_task(board.take_job(slot, ONE, 60.0)) for slot in (0, 2)}
        await other_calls()
        assert await board.read_state() == BoardState(ready=[0, 1, 2], idle=[0, 2], wanted=[ONE])
        assert await board.release_slots([1, 2]) == [2], "slot 1 is at a job"
        assert await asyncio.wait_for(idle[2], 5.0) == Close()
        assert await asyncio.wait_for(idle[0], 5.0) is None, "woken for nothing, it asks again"
        assert await board.release_slots([2, 0]) == [0], "one that was let go no longer counts"
        assert await board.take_job(0, ONE, 1.0) == Close()
        await board.deliver_report("a", 1, training_report(10, done=True))
        assert await board.release_slots([1]) == [], "it has not asked for the next one yet"
        last = asyncio.create_task(board.take_job(1, ONE, 60.0))
        await other_calls()
        assert await board.read_state() == BoardState(ready=[1], idle=[1], wanted=[])
        assert await board.release_slots([1]) == [1]
        assert await asyncio.wait_for(last, 5.0) == Close()

    ends(scenario())


def test_a_slot_takes_the_first_job_that_needs_what_it_has() -> None:
    async def scenario() -> None:
        board = Board()
        waiting = asyncio.create_task(board.take_job(0, ONE, 60.0))
        await other_calls()
        await submit(board, "wide", "wider", shape=TWO)
        assert await waiting is None, "none of them is for it"
        await submit(board, "narrow", "cancelled")
        await board.cancel_job("cancelled")
        assert await board.read_state() == BoardState(ready=[0], idle=[0], wanted=[TWO, TWO, ONE])
        assert await taken(board, 0) == "narrow"
        wide = await board.take_job(1, TWO, 1.0)
        assert wide is not None and wide.id == "wide", "in the order in which they came"
        await board.remove_slot(1, placement_lost=True)
        assert await board.take_job(2, ONE, 0.01) is None
        again = await board.take_job(3, TWO, 1.0)
        assert again is not None and again.id == "wide", "handed back, it is the first again, for its own shape"

    ends(scenario())


def test_one_job_goes_to_one_of_the_slots_that_wait() -> None:
    async def scenario() -> None:
        board = Board()
        waiting = [asyncio.create_task(board.take_job(slot, ONE, 0.2)) for slot in range(3)]
        await other_calls()
        await submit(board, "a")
        answers = [await each for each in waiting]
        assert [answer.id for answer in answers if answer is not None] == ["a"]

    ends(scenario())


def test_closing_stops_a_running_job_at_its_report() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a")
        await board.take_job(0, ONE, 1.0)
        waiting = asyncio.create_task(board.deliver_report("a", 0, training_report(10)))
        await board.next_message("a")
        await board.close()
        assert await waiting is False
        assert await board.take_job(0, ONE, 1.0) == Close()

    ends(scenario())


def test_a_job_that_fails_where_it_runs_is_not_handed_out_again() -> None:
    async def scenario() -> None:
        board = Board(max_attempts=2)
        await board.fail_job_at(0, JobFailure("out of memory", True))
        await submit(board, "a", "b")
        assert await taken(board, 0) == "a"
        await board.fail_job_at(1, JobFailure("another slot"))
        await board.fail_job_at(0, JobFailure("out of memory", True))
        await board.remove_slot(0, placement_lost=False)
        assert await board.next_message("a") == JobFailure("out of memory", True)
        assert await taken(board, 1) == "b", "a is not tried again"

    ends(scenario())


def test_an_evaluation_goes_ahead_of_trainings_that_wait() -> None:
    async def scenario() -> None:
        board = Board()
        await submit(board, "a", "b")
        job = train_job("c", shape=ONE)
        await board.submit_job(EvaluateJob("test-c", job.config, job.folder, "test"))
        first = await board.take_job(0, ONE, 1.0)
        assert isinstance(first, EvaluateJob) and first.id == "test-c"
        assert await taken(board, 1) == "a"

    ends(scenario())
