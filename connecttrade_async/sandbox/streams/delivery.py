"""The sandbox's courier: carries the events of either stream over one link, and what may befall them on the way."""

from typing import NamedTuple

from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.sandbox.streams.encoding import FrameEncoding
from connecttrade_async.sandbox.streams.message_log import MessageLog, Sent
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket

__all__ = ["Event", "EventDelivery"]

_TWO_MEBIBYTES = 2 << 20


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
    """Carries events over one link.

    Args:
        link: the link.
        ledger: where is written what was not sent; what was sent, the link writes.
    """

    def __init__(self, link: SandboxWebSocket, ledger: MessageLog) -> None:
        self._link = link
        self._ledger = ledger
        self._late: list[Event] = []

    def lose(self, event: Event) -> None:
        """Do not carry an event."""
        self._ledger.note(self._message(event)._replace(fate="lost"))

    def carry(self, event: Event, fault: StreamFault | None, wording: FrameEncoding) -> None:
        """Carry an event, if the fault lets it through, and after it what was late.

        Args:
            event: the event.
            fault: what befalls it.
            wording: how messages are spelled.
        """
        if fault is not None and fault.kind == "reorder":
            self._late.append(event)
            return
        if fault is None:
            self._link.send(self._message(event))
        else:
            self._befall(fault, event, wording)
        if self._late:
            self._catch_up(event.scope)

    def _befall(self, fault: StreamFault, event: Event, wording: FrameEncoding) -> None:
        message = self._message(event)
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
                news = wording.message("weather", message="This type of message is unknown.")
                self._link.send(Sent(self._link.number, "weather", 0, news))
                self._link.send(message)
            case "duplicate":
                self._link.send(message)
                self._link.send(message)
            case _:
                self._link.send(message)
                self._end(fault)

    def _end(self, fault: StreamFault) -> None:
        if fault.kind == "drop":
            self._link.close(fault.code or 1001)
        else:
            self._link.reset()

    def _catch_up(self, scope: str) -> None:
        late = [event for event in self._late if event.scope == scope]
        self._late = [event for event in self._late if event.scope != scope]
        for event in late:
            self._link.send(self._message(event))

    def _message(self, event: Event) -> Sent:
        return Sent(self._link.number, event.kind, event.serial, event.text)


def _blown_up(text: str, size: int) -> str:
    """The same JSON object with so much padding in it."""
    return f'{text[:-1]},"padding":"{"x" * max(0, size - len(text) - 13)}"}}'
