"""Asks an endpoint about rows: each once, in batches that it takes, at a pace that it bears, no more than allowed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from errata.core.errors import CannotRunError, StoppedError
from errata.models.http.client import Client, NoReply, Reply
from errata.models.http.kept import Kept
from errata.models.http.pace import Pace
from errata.models.http.replies import Verdict, judged, lost
from errata.models.http.rows import Rows
from errata.models.http.said import Said

__all__ = ["Asking", "Request", "Speaks"]

FIRST_BATCH = 256
LARGEST = 1 << 16
BODY_BYTES = 4 << 20  # many servers refuse more than 10 or 16 MB, and a smaller request is answered sooner
FIRST_WAIT = 0.5
LONGEST_WAIT = 600.0  # a server that asks for more is not waited for
SLOWEST_RETRY = 30.0
PATIENT = 4  # times as many tries where the server is only busy
CUT_AFTER = 2  # tries of a batch on which the server fails, before it is cut in halves
LATE = 2  # tries of a row that takes too long
CHANCE = 3  # batches on which the server fails though it answers their halves, before it counts as too much for it
HOPELESS = 5  # rows, or batches, one after the other on which the server itself fails
MOST_REFUSED = 50  # rows that it may refuse, however few were asked
REFUSED_SHARE = 0.02
LEAVE = 2.0  # seconds for answers that are under way at Ctrl-C
TICK = 0.5  # seconds after which a waiting thread looks up, without which some platforms never see Ctrl-C


@dataclass(frozen=True, kw_only=True)
class Request:
    """The body of a request, its content type, and the path it goes to."""

    path: str
    body: bytes = field(repr=False)
    kind: str = "application/json"


class Speaks(Protocol):
    """How requests and answers look."""

    def request(self, rows: Rows) -> Request:
        """The request about these rows."""
        ...

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """What the answer says of each row; raises ValueError, in words, where it is no such answer."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """Rows that are being asked about, at most so many at once; `open` are the places that nobody has taken yet."""

    rows: Rows
    digests: list[str]
    speaks: Speaks
    most: int
    open: list[int]


@dataclass(kw_only=True, eq=False)
class Asking:
    """One endpoint and all that is known of it: what it said, how much it bears, how many calls are left.

    batch      the most rows in one request, as far as it is known
    max_calls  how many requests may be made in all, those of killed runs included; None for any number
    expected   rows that there are in all, 0 while that is not known
    retried    requests that had to be sent again
    spent      a request was due that `max_calls` did not allow
    """

    client: Client
    kept: Kept
    pace: Pace
    tries: int = 5
    batch: int = FIRST_BATCH
    max_calls: int | None = None
    expected: int = 0
    retried: int = 0
    smaller: str = ""
    spent: bool = False
    _proven: set[bytes] = field(default_factory=set)
    _streak: int = 0
    _faults: int = 0
    _chance: int = 0
    _refused: int = 0
    _sent: int = 0
    _stopped: StoppedError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _doubt: threading.Lock = field(default_factory=threading.Lock)

    def ask(
        self, rows: Rows, speaks: Speaks, *, salt: bytes, most: int | None = None, occasion: str = ""
    ) -> list[Said]:
        """What the endpoint says of each row; of rows that it was asked about before, what it said then.

        salt      what decides the answers beside the rows
        most      rows in one request, as the server has it; None for any number
        occasion  asks again where "" was answered already: answers are kept by occasion
        Raises StoppedError where it takes no such request at all, or cannot be asked any more.
        """
        prefix = f"{occasion}:" if occasion else ""
        digests = [prefix + rows.digest(place, salt) for place in range(len(rows))]
        fresh = {digest: place for place, digest in enumerate(digests) if digest not in self.kept}
        if fresh:
            most = max(1, min(most or LARGEST, BODY_BYTES // rows.bytes_each()))
            job = _Job(rows=rows, digests=digests, speaks=speaks, most=most, open=sorted(fresh.values()))
            if self._stopped is not None:
                raise StoppedError(str(self._stopped))
            self.pace.resume()
            try:
                if salt not in self._proven:
                    self._prove(job)
                    self._proven.add(salt)
                self._finish(job)
            except _Left:
                raise self._stopped or CannotRunError(
                    "The asking was interrupted.", hint="the same call goes on where it was."
                ) from None
        found = [self.kept.get(digest) for digest in digests]
        return [one if one is not None else Said(failed="it was not asked") for one in found]

    def renew(self) -> None:
        """Forget that the endpoint could not be asked any more: this is another run."""
        self._stopped, self._streak, self._faults, self._refused, self.spent = None, 0, 0, 0, False

    @property
    def calls_left(self) -> float:
        """How many requests may still be made."""
        return float("inf") if self.max_calls is None else max(0, self.max_calls - self.kept.calls)

    def _size(self, job: _Job) -> int:
        return min(self.batch, job.most)

    def _prove(self, job: _Job) -> None:
        """Find out with a few requests whether the endpoint takes such rows at all, before hundreds are refused."""
        first = job.open[: self._size(job)]
        del job.open[: len(first)]
        end = self._try(job, first)
        if end.end == "answered" and not all(one.failed for one in end.said):
            return
        some = [first[0], first[len(first) // 2], first[-1]] if len(first) > 1 else []
        ends: list[Verdict] = []
        for place in dict.fromkeys(some if end.end != "answered" else []):
            ends.append(self._try(job, [place]))
            if ends[-1].fault:
                break  # each further try would take as long
        if not any(one.end == "answered" and not one.said[0].failed for one in ends):
            words = next((one.failed for one in end.said), end.words)
            url = self.client.address.url
            if end.fault:
                raise self._end(f"The endpoint `{url}` fails on everything: {words}.", "look into the server's log.")
            raise StoppedError(
                f"The endpoint `{url}` does not take what it is asked: {words}",
                hint="does it expect another shape, other columns or another type? docs/endpoints.md has them all.",
            )
        self._halve(job, first, end)

    def _finish(self, job: _Job) -> None:
        """Ask about everything that is open, from several threads."""
        threads = min(self.pace.most, -(-len(job.open) // self._size(job)))
        if threads <= 1:
            self._work(job)
            return
        pool = ThreadPoolExecutor(threads, thread_name_prefix="errata-endpoint")
        with self._leaving(pool):
            futures: list[Future[None]] = [pool.submit(self._work, job) for _ in range(threads)]
            done, open_ = wait(futures, timeout=TICK, return_when=FIRST_EXCEPTION)
            while open_ and not any(future.exception() for future in done):
                done, open_ = wait(futures, timeout=TICK, return_when=FIRST_EXCEPTION)
            errors = [error for future in done if (error := future.exception()) is not None]
            if errors:
                raise next((error for error in errors if not isinstance(error, _Left)), errors[0])

    @contextmanager
    def _leaving(self, pool: ThreadPoolExecutor) -> Iterator[None]:
        """However the asking ends: answers under way may have been paid for, and are waited for; not long at Ctrl-C."""
        patience, whole = self.client.timeout, False
        try:
            yield
            whole = True
        except KeyboardInterrupt:
            patience = LEAVE
            raise
        finally:
            if not whole:
                self.pace.stop()
                deadline = time.monotonic() + patience
                while self.pace.under_way and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.client.cut()
            pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, job: _Job) -> None:
        """Take batches as long as there are any."""
        while True:
            with self._lock:
                taken = job.open[: self._size(job)]
                del job.open[: len(taken)]
            if not taken:
                return
            self._solve(job, taken)

    def _solve(self, job: _Job, places: list[int]) -> bool:
        """Ask about a batch, in halves where it is refused; whether every row was answered."""
        size = self._size(job)
        if len(places) > size:
            parts = [self._solve(job, places[at : at + size]) for at in range(0, len(places), size)]
            return all(parts)
        end = self._try(job, places)
        if end.end == "answered":
            self._count(sum(bool(one.failed) for one in end.said), next((o.failed for o in end.said if o.failed), ""))
            return True
        if len(places) == 1:
            self._give_up(job, places[0], end)
            return False
        return self._halve(job, places, end)

    def _halve(self, job: _Job, places: list[int], end: Verdict) -> bool:
        half = (len(places) + 1) // 2
        if end.size and len(places) > 1:
            self._limit(half, end)
        if end.fault:
            self._look_alive(job, places, end)
        parts = [part for part in (places[:half], places[half:]) if part]
        parts = [[place for place in part if job.digests[place] not in self.kept] for part in parts]
        solved = [self._solve(job, part) for part in parts if part]
        answered = all(solved)
        if answered and len(places) > 1:  # every row is good by itself: there were too many, unless it was chance
            with self._lock:
                self._chance += 1
            if not end.fault or self._chance >= CHANCE:
                self._limit(half, end)
        return answered

    def _look_alive(self, job: _Job, places: list[int], end: Verdict) -> None:
        """After several failed batches ask about single rows: a server that is down is not asked for every half."""
        with self._lock:
            self._faults += 1
        if self._faults < HOPELESS:
            return
        with self._doubt:  # one thread finds out for all
            if self._faults < HOPELESS:
                return
            if not all(self._try(job, [place], tries=CUT_AFTER).fault for place in (places[0], places[-1])):
                return
            raise self._end(
                f"The endpoint `{self.client.address.url}` failed on {self._faults} requests one after the other: "
                f"{end.words}.", "look into the server's log; the same call then goes on where it was.",
            )  # fmt: skip

    def _limit(self, size: int, end: Verdict) -> None:
        with self._lock:
            if size < self.batch:
                self.batch, self.smaller = size, end.words

    def _give_up(self, job: _Job, place: int, end: Verdict) -> None:
        """A row that is refused even alone."""
        self.kept.fails(job.digests[place], end.words, always=not end.fault)
        if end.fault:
            with self._lock:
                self._streak += 1
            if self._streak >= HOPELESS:
                raise self._end(
                    f"The endpoint `{self.client.address.url}` failed on {self._streak} requests one after the other: "
                    f"{end.words}.", "look into the server's log; the same call then goes on where it was.",
                )  # fmt: skip
        self._count(1, end.words)

    def _count(self, refused: int, words: str) -> None:
        with self._lock:
            self._refused += refused
        if refused and self._refused > max(MOST_REFUSED, REFUSED_SHARE * self.kept.rows):
            raise self._end(
                f"The endpoint `{self.client.address.url}` gave no answer for {self._refused} rows, and at most 1 % "
                f"can be left out: {words}", "look at such a row; leave out or repair it.",
            )  # fmt: skip

    def _try(self, job: _Job, places: list[int], *, tries: int | None = None) -> Verdict:
        """Send one request, again where it fails for a while; the last verdict, never "stop"."""
        tries = self.tries if tries is None else tries
        request = job.speaks.request(job.rows.take(places))
        tried = 0
        while True:
            tried += 1
            end = self._send(job, request, places)
            if end.end == "stop":
                raise self._end(f"The endpoint `{self.client.address.url}` {end.words}.", end.hint)
            if end.end == "answered":
                with self._lock:
                    self._streak = self._faults = 0
                    self._chance = 0 if len(places) >= self._size(job) else self._chance
            if end.end != "wait":
                return end
            if end.dropped:
                tried -= 1
                continue
            late = end.size and tried >= (LATE if len(places) == 1 else 1)
            cut = len(places) > 1 and not (end.busy or end.gone) and tried >= CUT_AFTER
            if late or cut or tried >= tries * (PATIENT if end.busy else 1):
                if end.busy or end.gone:
                    raise self._end(
                        f"The endpoint `{self.client.address.url}` did not answer after {tried} tries: {end.words}.",
                        "the same call goes on where it was, once the endpoint answers again.",
                    )
                return end
            self._pause(end, tried)

    def _send(self, job: _Job, request: Request, places: list[int]) -> Verdict:
        """One request, counted and kept."""
        if not self.pace.enter():
            raise _Left
        began, end, sent = time.monotonic(), None, False
        try:
            self._take_call()
            sent = True
            try:
                reply = self.client.post(request.path, request.body, kind=request.kind)
                end = judged(reply, read=lambda reply: job.speaks.read(reply, len(places)), client=self.client)
            except NoReply as error:
                end = lost(error)
            if not end.gone:
                said = zip(places, end.said, strict=True) if end.end == "answered" else ()
                with self._lock:  # noted and no longer under way in one step: in between it would count twice
                    self._sent, sent = self._sent - 1, False
                    self.kept.called({job.digests[place]: one for place, one in said})
        finally:  # also at Ctrl-C
            if sent:
                with self._lock:
                    self._sent -= 1
            if end is None or end.dropped:
                self.pace.other()
            elif end.fault:
                self.pace.balked(began=began, wait=min(end.pause or 0.0, LONGEST_WAIT))
            else:
                self.pace.good()
        return end

    def _take_call(self) -> None:
        with self._lock:
            if self.max_calls is None or self.kept.calls + self._sent < self.max_calls:
                self._sent += 1
                return
        self.spent = True
        rows, calls = self.kept.rows, self.kept.calls
        of = f" of {self.expected:,}" if self.expected else ""
        whole = -(-self.expected * max(calls, 1) // max(rows, 1))
        if self.kept.path is None:
            about = f" (about {whole:,})" if self.expected > rows else ""
            hint = f"allow more --max-calls{about}, or give fewer rows."
            raise self._end(f"`--max-calls {self.max_calls}` are spent: {rows:,}{of} rows are answered.", hint)
        about = f" (about {whole - calls:,} more)" if self.expected > rows else ""
        raise self._end(
            f"`--max-calls {self.max_calls}` are spent: {rows:,}{of} rows are answered, and kept in "
            f"`{self.kept.path.parent.parent}`.",
            f"the same command with more --max-calls{about} goes on from there; or give fewer rows.",
        )

    def _pause(self, end: Verdict, tried: int) -> None:
        """Wait before the next try: as long as the server asks, or longer each time, never in step with others."""
        if end.pause is not None and end.pause > LONGEST_WAIT:
            raise self._end(
                f"The endpoint `{self.client.address.url}` asks to wait {end.pause:,.0f} s: {end.words}.",
                "the same call goes on where it was, once that time is over.",
            )
        self.retried += 1
        longest = min(SLOWEST_RETRY, FIRST_WAIT * 2.0 ** (tried - 1))
        jitter = random.uniform(0.5, 1.0) * longest
        if not self.pace.pause(jitter if end.pause is None else end.pause + 0.1 * jitter):
            raise _Left

    def _end(self, message: str, hint: str) -> StoppedError:
        """The error with which everything ends, now and for whoever asks later."""
        self._stopped = StoppedError(message, hint=hint)
        self.pace.stop()
        return self._stopped


class _Left(Exception):  # noqa: N818
    """Another thread has ended the asking."""
