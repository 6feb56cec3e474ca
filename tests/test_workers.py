"""The threads that routes run in."""

import asyncio
import threading
from contextvars import ContextVar
from functools import partial

import pytest

from lib.workers import Workers

told: ContextVar[str] = ContextVar("told")


def _run(*calls, limit=2):
    async def all_of_them():
        workers = Workers()
        return await asyncio.gather(*(workers.run(call, limit) for call in calls), return_exceptions=True)

    return asyncio.run(all_of_them())


def test_calls_run_in_no_more_threads_than_allowed_and_all_are_answered():
    inside, most, counting = [], [], threading.Lock()

    def call(number):
        with counting:
            inside.append(number)
            most.append(len(inside))
        threading.Event().wait(0.01)
        with counting:
            inside.remove(number)
        return number

    assert _run(*(partial(call, number) for number in range(12)), limit=3) == list(range(12))
    assert max(most) == 3


def test_a_failure_is_the_callers_and_the_thread_goes_on():
    def fail():
        raise LookupError("gone")

    failed, answered = _run(fail, lambda: "still here", limit=1)
    assert isinstance(failed, LookupError) and answered == "still here"


def test_a_call_sees_its_callers_context():
    async def ask():
        told.set("trace of this request")
        return await Workers().run(told.get, 1)

    assert asyncio.run(ask()) == "trace of this request"


def test_a_caller_who_gives_up_disturbs_nobody():
    async def give_up():
        workers, free = Workers(), threading.Event()
        waiting = asyncio.ensure_future(workers.run(free.wait, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        free.set()
        return await workers.run(lambda: "next", 1)

    assert asyncio.run(give_up()) == "next"
