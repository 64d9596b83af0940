"""The heartbeat of one session: frames that the server sends by itself, and the answers that it demands."""

import asyncio
from collections.abc import Callable

from connecttrade_async.sandbox.dialect.streams import Heartbeat
from connecttrade_async.sandbox.dialect.templates import rendered
from connecttrade_async.sandbox.parameters import Fields

__all__ = ["HeartbeatTimer"]


class HeartbeatTimer:
    """Sends the heartbeats of one session from `start` to `stop`.

    Args:
        form: the frame, its rate, and the answer that it demands.
        send: sends the heartbeat of this number.
        fail: ends the session, because an answer did not come.
    """

    def __init__(self, form: Heartbeat, send: Callable[[int], object], fail: Callable[[], object]) -> None:
        self._form = form
        self._send = send
        self._fail = fail
        self._count = 0
        self._next: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the first heartbeat after the time between two of them."""
        self._next = asyncio.get_running_loop().call_later(self._form.every, self._beat)

    def stop(self) -> None:
        """Send no more of them."""
        for handle in (self._next, self._deadline):
            if handle is not None:
                handle.cancel()

    def takes(self, members: Fields) -> bool:
        """Return whether a frame of the client answers the heartbeat; the answer to the last one ends the wait."""
        pong = self._form.pong
        if pong is None:
            return False
        found = {name: members.get(name) for name in pong}
        if found == rendered(pong, {"id": str(self._count)}):
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            return True
        return bool(found) and all(_is_late(found[name], value) for name, value in pong.items())

    def _beat(self) -> None:
        self._count += 1
        loop = asyncio.get_running_loop()
        if self._form.pong is not None and self._deadline is None:
            self._deadline = loop.call_later(self._form.pong_within, self._fail)
        self._next = loop.call_later(self._form.every, self._beat)
        self._send(self._count)


def _is_late(value: object, wanted: object) -> bool:
    """Return whether a member is that of an answer to an earlier heartbeat, which the wait does not end with."""
    return value == wanted or (wanted == "{id}" and isinstance(value, str))
