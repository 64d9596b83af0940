"""The control paths of the streams, for programs outside."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields as fields_of, replace
from typing import Any, Generic, Literal, TypeVar, cast

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.sandbox.parameters import Fields, choice, text
from connecttrade_async.sandbox.streams.brokerage import BrokerageStream
from connecttrade_async.sandbox.streams.market_data import MarketDataStream

__all__ = ["BrokerageStreamControl", "StreamControl", "number_of", "object_of"]

_MOST = 1_000_000
_DISPLACES = ("older", "newer", "neither")

_StreamT = TypeVar("_StreamT", BrokerageStream, MarketDataStream)


class StreamControl(ABC, Generic[_StreamT]):
    """The switches of a stream. Each takes the members of a JSON object and answers with what the state is now."""

    def __init__(self, stream: _StreamT) -> None:
        self._stream: _StreamT = stream
        self._done: Mapping[str, Callable[[], object]] = {
            "reset": stream.reset,
            "freeze": stream.freeze,
            "thaw": stream.thaw,
            "displace": stream.displace,
            "restart": stream.restart,
            **self._more_done(),
        }
        self._set: Mapping[str, Callable[[object], object]] = {
            "drop": self._drop,
            "silent": self._silence,
            "delay": self._delay,
            "displaces": self._displaces,
            "login_limit": self._limit,
            "wording": self._wording,
            "fault": self._fault,
            "send": self._send,
            "burst": self._burst,
            **self._more_set(),
        }

    @abstractmethod
    def read(self, members: Fields) -> object:
        """Return the state of the stream, its sessions, and its settings."""

    def _more_done(self) -> Mapping[str, Callable[[], object]]:
        """Return the actions that only this stream has; each is requested by ``true``."""
        return {}

    @abstractmethod
    def _more_set(self) -> Mapping[str, Callable[[object], object]]:
        """What only this stream can do with a value."""

    def _common(self, _: Fields) -> dict[str, object]:
        stream = self._stream
        return {
            "url": stream.url,
            "published": stream.published,
            "lives": stream.log.lives,
            "received": dict(stream.log.received),
            "silent": stream.silent,
            "delay": stream.delay,
            "displaces": stream.displaces,
            "login_limit": stream.login_limit,
            "wording": asdict(stream.wording),
            "faults": [_given(armed.fault) | {"fired": armed.fired} for armed in stream.faults.armed],
        }

    def list_sent(self, _: Fields) -> object:
        """The ledger's messages."""
        ledger = self._stream.log
        return {"total": ledger.total, "messages": [message._asdict() for message in ledger]}

    def clear(self, members: Fields) -> object:
        """Let nothing go wrong any more."""
        self._stream.faults.clear()
        return self.read(members)

    async def act(self, members: Fields) -> object:
        """Do one thing, named by the one member: ``{"drop": 1001}``, ``{"freeze": true}``, ``{"delay": 0.1}``..."""
        known = ", ".join((*self._done, *self._set))
        if len(members) != 1:
            raise BadRequestError(f"Send one of {known}.")
        [(name, value)] = members.items()
        done: object
        if name in self._done and value is True:
            done = self._done[name]()
        elif name in self._set:
            done = self._set[name](value)
        else:
            raise BadRequestError(f"There is no such {name} here. Send one of {known}.")
        if isinstance(done, Awaitable):
            await done
        return self.read(members)

    def _drop(self, value: object) -> None:
        """A close code, true for the usual one, null for none."""
        if value is True:
            self._stream.drop()
        elif value is None:
            self._stream.drop(None)
        else:
            self._stream.drop(int(number_of("drop", value)))

    def _silence(self, value: object) -> None:
        if not isinstance(value, bool):
            raise BadRequestError("silent must be true or false.")
        self._stream.silent = value

    def _delay(self, value: object) -> None:
        self._stream.delay = number_of("delay", value)

    def _displaces(self, value: object) -> None:
        chosen = choice("displaces", str(value), _DISPLACES)
        self._stream.displaces = cast("Literal['older', 'newer', 'neither']", chosen)

    def _limit(self, value: object) -> None:
        self._stream.login_limit = number_of("login_limit", value)

    def _wording(self, value: object) -> None:
        members, known = object_of("wording", value), [field.name for field in fields_of(self._stream.wording)]
        if members.keys() - known:
            raise BadRequestError(f"wording has only {', '.join(known)}.")
        self._stream.wording = replace(self._stream.wording, **cast("dict[str, Any]", members))

    def _fault(self, value: object) -> None:
        self._stream.faults.add(StreamFault.read(object_of("fault", value)))

    def _send(self, value: object) -> None:
        self._stream.send(value if isinstance(value, str) else object_of("send", value))

    def _burst(self, value: object) -> Awaitable[int]:
        return self._stream.burst(int(number_of("burst", value)))


class BrokerageStreamControl(StreamControl[BrokerageStream]):
    """The switches of the brokerage stream, on top of those of every stream."""

    def read(self, members: Fields) -> object:
        """Return the state of the stream, its sessions, and its settings."""
        return {**self._common(members), "sessions": [talk._asdict() for talk in self._stream.sessions]}

    def _more_set(self) -> Mapping[str, Callable[[object], object]]:
        return {"publish": self._publish}

    def _publish(self, value: object) -> None:
        """``{"topic", "user_id", "account_id", "data"}``."""
        members = object_of("publish", value)
        topic, user_id, account_id = (text(members, name) for name in ("topic", "user_id", "account_id"))
        self._stream.publish(topic, user_id, account_id, object_of("data", members.get("data")))


def number_of(name: str, value: object) -> float:
    """A number that is neither negative nor beyond reason.

    Raises:
        BadRequestError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise BadRequestError(f"{name} must be a number from 0 to {_MOST}.")
    return value


def object_of(name: str, value: object) -> Fields:
    """A JSON object.

    Raises:
        BadRequestError: it is none.
    """
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object.")
    return cast("Fields", value)


def _given(fault: StreamFault) -> dict[str, object]:
    members: dict[str, object] = asdict(fault)
    return {name: value for name, value in members.items() if value is not None or name == "times"}
