"""The log of a stream: what it sent on which connection, and what it received, for tests to compare.

It holds nothing that a client sent but the name of each action, so no secret can be in it.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

__all__ = ["Fate", "MessageLog", "SentMessage"]

Fate = Literal["sent", "lost", "torn"]


class SentMessage(NamedTuple):
    """One message.

    Attributes:
        link: the number of the link, counted from 1.
        kind: ``welcome``, ``order`` and so on; ``by hand`` for what `Stream.send` sent.
        serial: which event it was, counted from 1; 0 for what is no event.
        text: all of it, also if only a part was sent.
        fate: ``sent`` means given to the socket as a whole, which a reset may still destroy, ``torn`` a part of it,
            ``lost`` nothing.
    """

    link: int
    kind: str
    serial: int
    text: str
    fate: Fate = "sent"


class MessageLog:
    """The last hundred thousand messages, oldest first, and counts of everything since the sandbox was made.

    Attributes:
        total: how many messages were noted in all.
        received: how often each action came, such as ``authenticate``, and ``connect``, ``upgrade``, ``ping``,
            ``close``, ``unreadable``, ``unknown`` and ``disconnect`` for what is no action.
        lives: how many sessions went live: authenticated, and subscribed to something.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._messages: deque[SentMessage] = deque(maxlen=capacity)
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.total = 0
        self.received: Counter[str] = Counter()
        self.lives = 0

    def __repr__(self) -> str:
        return f"<Ledger {self.total} messages, {self.received.total()} received, {self.lives} lives>"

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[SentMessage]:
        return iter(tuple(self._messages))

    def note(self, message: SentMessage) -> None:
        """Write a message down; beyond the capacity the oldest is forgotten."""
        self._messages.append(message)
        self.total += 1

    def count(self, action: str) -> None:
        """Count something that came."""
        self.received[action] += 1
        self.wake_waiters()

    def count_life(self) -> None:
        """Count a session that went live."""
        self.lives += 1
        self.wake_waiters()

    def wake_waiters(self) -> None:
        """End every wait with a condition that holds."""
        for is_so, future in tuple(self._waiting):
            if not future.done() and is_so():
                future.set_result(None)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until a condition on what is counted here is true. Cancelling it leaves nothing behind."""
        if is_so():
            return
        waiting = (is_so, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            await waiting[1]
        finally:
            self._waiting.remove(waiting)
