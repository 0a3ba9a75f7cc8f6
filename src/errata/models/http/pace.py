"""How many requests may be under way at once: one more after each that goes well, half as many at a refusal."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

__all__ = ["Pace"]

FIRST = 4.0


@dataclass(kw_only=True)
class Pace:
    """A gate before a server, shared by threads.

    Until the first refusal every good answer lets one more through, as TCP begins; from then on a round of good answers
    does. A refusal halves the number, once for all requests that were under way when it came.

    most  never more at once than this

    Reference: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer
    networks", Computer Networks and ISDN Systems, 1989.
    """

    most: int = 16
    limit: float = FIRST
    under_way: int = 0
    _careful: bool = False
    _halved: float = 0.0
    _not_before: float = 0.0
    _stopped: bool = False
    _turn: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def __post_init__(self) -> None:
        self.limit = min(self.limit, float(self.most))

    def enter(self) -> bool:
        """Wait for a turn; False when there will be none any more."""
        with self._turn:
            while not self._stopped:
                wait = self._not_before - time.monotonic()
                if wait <= 0 and self.under_way < max(1, int(self.limit)):
                    self.under_way += 1
                    return True
                self._turn.wait(wait if wait > 0 else None)
            return False

    def good(self) -> None:
        """A request went well."""
        with self._turn:
            self.limit = min(float(self.most), self.limit + (1.0 / self.limit if self._careful else 1.0))
            self._left()

    def balked(self, *, began: float, wait: float = 0.0) -> None:
        """The server refused, failed or was late on a request that began then; nobody asks for `wait` seconds."""
        with self._turn:
            now = time.monotonic()
            self._careful = True
            if began >= self._halved:
                self.limit = max(1.0, self.limit / 2)
                self._halved = now
            self._not_before = max(self._not_before, now + wait)
            self._left()

    def other(self) -> None:
        """A request ended in a way that says nothing of the server's load."""
        with self._turn:
            self._left()

    def stop(self) -> None:
        """Let nobody in any more."""
        with self._turn:
            self._stopped = True
            self._turn.notify_all()

    def resume(self) -> None:
        """Let requests in again."""
        with self._turn:
            self._stopped = False

    def pause(self, seconds: float) -> bool:
        """Wait, outside the gate; False when there is no going on."""
        until = time.monotonic() + seconds
        with self._turn:
            while not self._stopped and (left := until - time.monotonic()) > 0:
                self._turn.wait(left)
            return not self._stopped

    def _left(self) -> None:
        self.under_way -= 1
        self._turn.notify_all()
