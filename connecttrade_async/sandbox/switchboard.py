"""The sandbox's switchboard: the control path of the stream, for whoever drives the sandbox from outside."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields as fields_of, replace
from typing import Any, cast

from .parameters import Fields, choice, text
from .refusals import BadRequestError
from .stream import Stream
from .streamfault import StreamFault

__all__ = ["Switchboard"]

_MOST = 1_000_000


class Switchboard:
    """The switches. Each takes the members of a JSON object and answers with what the state is now."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._done: Mapping[str, Callable[[], object]] = {
            "reset": stream.reset,
            "freeze": stream.freeze,
            "thaw": stream.thaw,
            "displace": stream.displace,
            "restart": stream.restart,
        }
        self._set: Mapping[str, Callable[[object], object]] = {
            "drop": self._drop,
            "silent": self._silence,
            "delay": self._delay,
            "displaces": self._displaces,
            "login_limit": self._limit,
            "wording": self._wording,
            "fault": self._fault,
            "publish": self._publish,
            "send": self._send,
            "burst": self._burst,
        }

    def read(self, _: Fields) -> object:
        """What the stream is, who is connected, and what is set."""
        stream = self._stream
        return {
            "url": stream.url,
            "sessions": [talk._asdict() for talk in stream.sessions],
            "published": stream.published,
            "lives": stream.ledger.lives,
            "received": dict(stream.ledger.received),
            "silent": stream.silent,
            "delay": stream.delay,
            "displaces": stream.displaces,
            "login_limit": stream.login_limit,
            "wording": asdict(stream.wording),
            "faults": [_given(armed.fault) | {"fired": armed.fired} for armed in stream.faults.armed],
        }

    def list_sent(self, _: Fields) -> object:
        """The ledger's messages."""
        ledger = self._stream.ledger
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
            self._stream.drop(int(_number("drop", value)))

    def _silence(self, value: object) -> None:
        if not isinstance(value, bool):
            raise BadRequestError("silent must be true or false.")
        self._stream.silent = value

    def _delay(self, value: object) -> None:
        self._stream.delay = _number("delay", value)

    def _displaces(self, value: object) -> None:
        self._stream.displaces = "newer" if choice("displaces", str(value), ("older", "newer")) == "newer" else "older"

    def _limit(self, value: object) -> None:
        self._stream.login_limit = _number("login_limit", value)

    def _wording(self, value: object) -> None:
        members, known = _object("wording", value), [field.name for field in fields_of(self._stream.wording)]
        if members.keys() - known:
            raise BadRequestError(f"wording has only {', '.join(known)}.")
        self._stream.wording = replace(self._stream.wording, **cast("dict[str, Any]", members))

    def _fault(self, value: object) -> None:
        self._stream.faults.add(StreamFault.read(_object("fault", value)))

    def _publish(self, value: object) -> None:
        """``{"topic", "user_id", "account_id", "data"}``."""
        members = _object("publish", value)
        topic, user_id, account_id = (text(members, name) for name in ("topic", "user_id", "account_id"))
        self._stream.publish(topic, user_id, account_id, _object("data", members.get("data")))

    def _send(self, value: object) -> None:
        self._stream.send(value if isinstance(value, str) else _object("send", value))

    def _burst(self, value: object) -> Awaitable[int]:
        return self._stream.burst(int(_number("burst", value)))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise BadRequestError(f"{name} must be a number from 0 to {_MOST}.")
    return value


def _object(name: str, value: object) -> Fields:
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object.")
    return cast("Fields", value)


def _given(fault: StreamFault) -> dict[str, object]:
    members: dict[str, object] = asdict(fault)
    return {name: value for name, value in members.items() if value is not None or name == "times"}
