"""The same task for many numbers in several processes, results in order, as long as somebody asks for more."""

from __future__ import annotations

import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from types import ModuleType
from typing import Any, TypeVar

from errata.engine.machine import cores, free_memory, numeric_threads

__all__ = ["each"]

R = TypeVar("R")
Task = Callable[[int], R]

ALONE = 8
"""So many results are made in this process first: many a search is settled by then, and workers take a second to start.
"""

WORTH = 4.0
"""Seconds that so many more results must take before workers are started."""

AHEAD = 2
"""Tasks that wait for each worker, so that none idles; results that nobody asks for any more are thrown away."""


def each(task: Task[R], numbers: Iterable[int], *, workers: int | None = None) -> Iterator[R]:
    """`task(number)` for each number, in their order; the work is spread over processes once it proves to be long.

    workers  all cores when None; 1 stays in this process

    The task is sent to each worker once, by pickle, and one that cannot be sent stays in this process; so does the rest
    where a worker dies. Workers are started afresh (spawn) and do not import the caller's main module again, so that a
    script needs no guard. Closing the iterator ends them.
    """
    waiting = iter(numbers)
    began, done = time.perf_counter(), 0
    for number in islice(waiting, ALONE):
        yield task(number)
        done += 1
    first = list(islice(waiting, 1))
    share = (time.perf_counter() - began) / max(done, 1)
    # In a worker of somebody's own the cores are taken already.
    count = 1 if parent_process() is not None else cores() if workers is None else workers
    # A hundred more is what a search that is not settled yet needs at least.
    sent = _sent(task, count) if first and count > 1 and share * 100 > WORTH else None
    remaining = (number for part in (first, waiting) for number in part)
    if sent is None:
        yield from map(task, remaining)
    else:
        yield from _spread(task, remaining, sent, count)


def _spread(task: Task[R], numbers: Iterator[int], sent: bytes, count: int) -> Iterator[R]:
    pool = ProcessPoolExecutor(max_workers=count, mp_context=get_context("spawn"), initializer=_begin, initargs=(sent,))
    due: deque[tuple[int, Future[R] | None]] = deque()
    broken = False
    try:
        while True:
            while len(due) < count * AHEAD and (more := list(islice(numbers, 1))):
                due.append((more[0], None if broken else _submitted(pool, more[0])))
            if not due:
                return
            number, future = due.popleft()
            try:
                result = task(number) if broken or future is None else future.result()
            except BrokenProcessPool:
                # A worker was killed, for its memory perhaps: what is left is done here, more slowly.
                broken = True
                result = task(number)
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, number: int) -> Future[Any] | None:
    """What will be the result; None where a worker has died and the pool takes nothing more."""
    try:
        with _without_main():
            return pool.submit(_work, number)
    except BrokenProcessPool:
        return None


def _sent(task: Task[R], count: int) -> bytes | None:
    """The task as bytes; None where it cannot be sent, or where copies of it would not fit."""
    if any(type(part).__module__ == "__main__" for part in _parts(task)):
        return None
    try:
        sent = pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:  # whatever a method of the user's holds: a lock, an open file
        return None
    return sent if 4 * count * len(sent) < free_memory() else None


def _parts(task: object) -> Iterator[object]:
    """The task and what it is made of, four levels down: where a method of the user's own script would be."""
    waiting = [(task, 0)]
    while waiting:
        part, depth = waiting.pop()
        yield part
        inner = list(part) if isinstance(part, tuple | list) else list(getattr(part, "__dict__", {}).values())
        if depth < 4 and not isinstance(part, ModuleType) and len(inner) < 100:
            waiting += [(one, depth + 1) for one in inner]


@contextmanager
def _without_main() -> Iterator[None]:
    """A worker that is started here does not run the user's script once more, for which it may have no guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


_task: Task[Any] | None = None
"""The task of this worker."""


def _begin(sent: bytes) -> None:
    global _task
    _task = pickle.loads(sent)  # noqa: S301


def _work(number: int) -> Any:
    assert _task is not None
    with numeric_threads(1):
        return _task(number)
