"""The control paths of the streams: one table of (name, reader, setter) for each of them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, fields as fields_of, replace
from operator import attrgetter, methodcaller
from typing import Any, cast

import msgspec

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.sandbox.parameters import Fields, choice, number, object_of, text

__all__ = ["BROKERAGE", "MARKET_DATA", "StreamControl"]

_LONGEST = 86_400

Reader = Callable[[Any], object]
Setter = Callable[[Any, object], object]


class Setting(msgspec.Struct, frozen=True):
    """One row of a stream's table.

    Attributes:
        name: the member of the state, and the member by which a ``POST`` names the change.
        read: returns the value of the member; None keeps it out of the state.
        set: applies the member's value to the stream; None for what cannot be set.
        is_action: whether the only value to send is ``true``.
    """

    name: str
    read: Reader | None = None
    set: Setter | None = None
    is_action: bool = False


class StreamControl:
    """The control path of one stream, read from its table."""

    def __init__(self, path: str, table: Iterable[Setting]) -> None:
        self.path = path
        self._readers: Mapping[str, Reader] = {row.name: row.read for row in table if row.read is not None}
        self._settable: Mapping[str, Setting] = {row.name: row for row in table if row.set is not None}

    def read(self, stream: object) -> object:
        """Return the state of the stream, its sessions, and its settings."""
        return {name: read(stream) for name, read in self._readers.items()}

    async def act(self, stream: object, members: Fields) -> None:
        """Do one thing, named by the one member: ``{"drop": 1001}``, ``{"freeze": true}``, ``{"delay": 0.1}``...

        Raises:
            BadRequestError: there is no such member, or its value is wrong.
        """
        known = ", ".join(self._settable)
        if len(members) != 1:
            raise BadRequestError(f"Send one of {known}.")
        [(name, value)] = members.items()
        row = self._settable.get(name)
        if row is None or row.set is None or (row.is_action and value is not True):
            raise BadRequestError(f"There is no such {name} here. Send one of {known}.")
        done = row.set(stream, value)
        if isinstance(done, Awaitable):
            await done


def _action(name: str) -> Setting:
    return Setting(name, set=lambda stream, _: methodcaller(name)(stream), is_action=True)


def _attribute(name: str, parse: Callable[[str, object], object]) -> Setting:
    return Setting(name, attrgetter(name), lambda stream, value: setattr(stream, name, parse(name, value)))


def _one_of(*known: str) -> Callable[[str, object], object]:
    return lambda name, value: choice(name, str(value), known)


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRequestError(f"{name} must be true or false.")
    return value


def _pace(name: str, value: object) -> float:
    seconds = number(name, value)
    if not seconds:
        raise BadRequestError(f"{name} must be above 0.")
    return seconds


def _drop(stream: Any, value: object) -> None:  # noqa: ANN401  either stream
    """A close code, true for the usual one, null for none."""
    if value is True:
        stream.drop()
    else:
        stream.drop(None if value is None else int(number("drop", value)))


def _wording(stream: Any, value: object) -> None:  # noqa: ANN401  either stream
    members, known = object_of("wording", value), [field.name for field in fields_of(stream.wording)]
    if members.keys() - known:
        raise BadRequestError(f"wording has only {', '.join(known)}.")
    stream.wording = replace(stream.wording, **cast("dict[str, Any]", members))


def _publish(*names: str) -> Setter:
    """An event: the texts of these members, and ``data``, an object."""

    def publish(stream: Any, value: object) -> None:  # noqa: ANN401  the stream whose table has the names
        members = object_of("publish", value)
        stream.publish(*[text(members, name) for name in names], object_of("data", members.get("data")))

    return publish


def _error(*names: str) -> Setter:
    """An error that concerns only what it names: ``message``, ``code`` if not 500, and any of these names."""

    def complain(stream: Any, value: object) -> None:  # noqa: ANN401  the stream whose table has the names
        members = object_of("error", value)
        if members.keys() - {"message", "code", *names}:
            raise BadRequestError(f"error has only message, code, {', '.join(names)}.")
        address = {name: text(members, name) for name in names if members.get(name) is not None}
        stream.publish_error(text(members, "message"), int(number("code", members.get("code", 500))), **address)

    return complain


def _refuse(stream: Any, value: object) -> None:  # noqa: ANN401  the market-data stream
    """A symbol, or ``{"symbol", "message"}``."""
    members = {"symbol": value} if isinstance(value, str) else object_of("refuse", value)
    words = text(members, "message") if members.get("message") is not None else ""
    stream.refuse(text(members, "symbol"), words)


def _one_or_all(name: str, what: str) -> Setting:
    def act(stream: Any, value: object) -> None:  # noqa: ANN401  the market-data stream
        if value is not True and not isinstance(value, str):
            raise BadRequestError(f"{name} must be a {what}, or true for all.")
        methodcaller(name, value if isinstance(value, str) else None)(stream)

    return Setting(name, set=act)


def _sessions(stream: Any) -> object:  # noqa: ANN401  either stream
    return [session._asdict() for session in stream.sessions]


_STATE = (
    *(Setting(name, attrgetter(name)) for name in ("url", "published")),
    Setting("lives", attrgetter("log.lives")),
    Setting("received", lambda stream: dict(stream.log.received)),
)
_ACTIONS = tuple(map(_action, ("reset", "freeze", "thaw", "displace", "restart")))
_SETTINGS = (
    Setting("drop", set=_drop),
    _attribute("silent", _boolean),
    _attribute("delay", number),
    _attribute("displaces", _one_of("older", "newer", "neither")),
    _attribute("login_limit", number),
    Setting("wording", lambda stream: asdict(stream.wording), _wording),
    Setting("faults", lambda stream: [armed.fault.members | {"fired": armed.fired} for armed in stream.faults.armed]),
    Setting("fault", set=lambda stream, value: stream.faults.add(StreamFault.read(object_of("fault", value)))),
    Setting(
        "send", set=lambda stream, value: stream.send(value if isinstance(value, str) else object_of("send", value))
    ),
    Setting("burst", set=lambda stream, value: stream.burst(int(number("burst", value)))),
    Setting("sessions", _sessions),
)

BROKERAGE = StreamControl(
    "/stream",
    (
        *_STATE,
        *_ACTIONS,
        *_SETTINGS,
        Setting("publish", set=_publish("topic", "user_id", "account_id")),
        Setting("error", set=_error("user_id", "account_id", "topic")),
    ),
)
"""The control path of the brokerage stream."""

MARKET_DATA = StreamControl(
    "/market_data",
    (
        *_STATE,
        *_ACTIONS,
        _action("tick"),
        *_SETTINGS,
        Setting("subscriptions", lambda stream: {str(link): held for link, held in stream.subscriptions().items()}),
        _attribute("pace", _pace),
        _attribute("memory", lambda name, value: min(_LONGEST, number(name, value))),
        _attribute("replaced", _one_of("stays", "ends")),
        _attribute("takes", _one_of("all", "some")),
        Setting("refuse", set=_refuse),
        Setting("refused", lambda stream: dict(stream.refused)),
        _one_or_all("allow", "symbol"),
        _one_or_all("expire_token", "connection_id"),
        Setting(
            "replace_token",
            set=lambda stream, value: stream.replace_token(text({"replace_token": value}, "replace_token")),
        ),
        Setting("publish", set=_publish("channel", "symbol")),
        Setting("error", set=_error("channel", "symbol")),
    ),
)
"""The control path of the market-data stream. It never shows a token."""
