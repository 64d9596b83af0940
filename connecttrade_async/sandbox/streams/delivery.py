"""Delivery of events over one WebSocket, and the faults that strike single events."""

from typing import NamedTuple

from connecttrade_async.sandbox.dialect.frames import FrameWriter
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.sandbox.streams.message_log import MessageLog, SentMessage
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket

__all__ = ["Event", "EventDelivery"]

_TWO_MEBIBYTES = 2 << 20
_MOST = 100
"""Events in one frame at most, where the dialect has several in one."""


class Event(NamedTuple):
    """One event as it is sent.

    Attributes:
        serial: counts the events of a stream from 1.
        kind: the type of its message.
        scope: the account of the event, or its symbol.
        text: the message.
    """

    serial: int
    kind: str
    scope: str
    text: str


class EventDelivery:
    """Delivers events over one WebSocket.

    Args:
        link: the link.
        ledger: where is written what was not sent; what was sent, the link writes.
    """

    def __init__(self, link: SandboxWebSocket, ledger: MessageLog) -> None:
        self._link = link
        self._ledger = ledger
        self._late: list[Event] = []
        self._waiting: list[SentMessage] = []
        self._frames: FrameWriter | None = None

    def lose(self, event: Event) -> None:
        """Do not carry an event."""
        self._ledger.note(self._message(event)._replace(fate="lost"))

    def carry(self, event: Event, fault: StreamFault | None, frames: FrameWriter) -> None:
        """Carry an event, if the fault lets it through, and after it what was late.

        Args:
            event: the event.
            fault: what befalls it.
            frames: writes the frames of the stream.
        """
        if fault is not None and fault.kind == "reorder":
            self._late.append(event)
            return
        if fault is None and not frames.joins:
            self._link.send(self._message(event))
        else:
            self._frames = frames
            self._befall(fault, event, frames)
        if self._late:
            self._catch_up(event.scope)

    def flush(self) -> None:
        """Send the events that wait for others to share a frame with."""
        if self._frames is not None and self._waiting:
            waiting, self._waiting = self._waiting, []
            for start in range(0, len(waiting), _MOST):
                batch = waiting[start : start + _MOST]
                self._link.send_together(batch, self._frames.join(message.text for message in batch))

    def _send(self, event: Event) -> None:
        if self._frames is not None and self._frames.joins:
            self._waiting.append(self._message(event))
        else:
            self._link.send(self._message(event))

    def _befall(self, fault: StreamFault | None, event: Event, frames: FrameWriter) -> None:
        if fault is None:
            self._send(event)
            return
        message = self._message(event)
        # Events that wait for a shared frame are older, so they must be sent before the fault strikes.
        self.flush()
        match fault.kind:
            case "lose":
                self.lose(event)
            case "tear":
                self._link.truncate(message)
            case "garble":
                self._link.send(message._replace(text=event.text[: len(event.text) // 2], fate="torn"))
            case "oversize":
                self._link.send(message._replace(text=_blown_up(event.text, fault.size or _TWO_MEBIBYTES)))
            case "unknown":
                self._link.send(SentMessage(self._link.number, "weather", 0, frames.unknown()))
                self._send(event)
            case "duplicate":
                self._send(event)
                self._send(event)
            case _:
                self._send(event)
                self.flush()
                self._end(fault)

    def _end(self, fault: StreamFault) -> None:
        if fault.kind == "drop":
            self._link.close(fault.code or 1001)
        else:
            self._link.reset()

    def _catch_up(self, scope: str) -> None:
        # Only an event of the same account or symbol overtakes: between others, a client cannot notice the order.
        late = [event for event in self._late if event.scope == scope]
        self._late = [event for event in self._late if event.scope != scope]
        for event in late:
            self._send(event)

    def _message(self, event: Event) -> SentMessage:
        return SentMessage(self._link.number, event.kind, event.serial, event.text)


def _blown_up(text: str, size: int) -> str:
    """The same JSON object with so much padding in it."""
    return f'{text[:-1]},"padding":"{"x" * max(0, size - len(text) - 13)}"}}'
