"""Threads for routes that wait for the database, and the shortest way there and back.

A route is a plain `def`, and the event loop must not wait for it. The framework's own threads would do, but there are
forty of them where the pool has ten connections: thirty wake, wait for a connection and get in each other's way. Here
requests wait in a queue that costs nothing, and a thread that takes one finds a connection free.
"""

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from functools import partial, wraps
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from fastapi.routing import APIRoute

from lib.settings import settings

T = TypeVar("T")


class _Job(NamedTuple):
    call: Callable[[], Any]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class Workers:
    """Started as they are needed, and kept."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._started = 0
        self._starting = threading.Lock()

    async def run(self, call: Callable[[], T], limit: int) -> T:
        """What `call` returns or raises, run in one of at most `limit` threads, in the context of the caller."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(call, contextvars.copy_context(), loop, done))
        if self._started < limit:
            self._start(limit)
        return await done

    def _start(self, limit: int) -> None:
        with self._starting:
            if self._started < limit:
                self._started += 1
                threading.Thread(target=self._work, daemon=True, name="holdfast-worker").start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                settle = partial(_return, job.done, job.context.run(job.call))
            except BaseException as error:
                settle = partial(_raise, job.done, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                job.loop.call_soon_threadsafe(settle)
            # Nothing of a request stays with a thread that waits for the next one.
            del job, settle


def _return(done: asyncio.Future[Any], result: Any) -> None:
    if not done.cancelled():
        done.set_result(result)


def _raise(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.cancelled():
        done.set_exception(error)


_workers = Workers()


class WorkerRoute(APIRoute):
    """A route whose plain `def` endpoint runs in the workers."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint if inspect.iscoroutinefunction(endpoint) else _in_worker(endpoint), **options)


def _in_worker(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(endpoint)
    async def run(*args: Any, **values: Any) -> Any:
        # One connection less: who delivers events finds one too, however many buyers there are.
        limit = max(1, settings().database_pool_max - 1)
        return await _workers.run(partial(endpoint, *args, **values), limit)

    return run
