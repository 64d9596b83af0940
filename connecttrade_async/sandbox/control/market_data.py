"""The sandbox's market board: the control path of the market-data stream."""

from collections.abc import Callable, Mapping

from connecttrade_async.sandbox.control.streams import StreamControl, number_of, object_of
from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.parameters import Fields, choice, text
from connecttrade_async.sandbox.streams.market_data import MarketDataStream

__all__ = ["MarketDataControl"]

_LONGEST = 86_400


class MarketDataControl(StreamControl[MarketDataStream]):
    """The switches of the market-data stream, on top of those of every stream."""

    def read(self, members: Fields) -> object:
        """Return the state of the stream, its sessions with their subscriptions, and its settings."""
        stream = self._stream
        return {
            **self._common(members),
            "sessions": [ear._asdict() for ear in stream.sessions],
            "subscriptions": {str(link): listed for link, listed in stream.subscriptions().items()},
            "pace": stream.pace,
            "memory": stream.memory,
            "replaced": stream.replaced,
            "takes": stream.takes,
            "refused": dict(stream.refused),
        }

    def _more_done(self) -> Mapping[str, Callable[[], object]]:
        return {"tick": self._stream.tick}

    def _more_set(self) -> Mapping[str, Callable[[object], object]]:
        return {
            "pace": self._pace,
            "memory": self._memory,
            "replaced": self._replaced,
            "takes": self._takes,
            "refuse": self._refuse,
            "allow": self._allow,
            "expire_token": self._expire_token,
            "replace_token": self._replace_token,
            "publish": self._publish,
        }

    def _pace(self, value: object) -> None:
        seconds = number_of("pace", value)
        if not seconds:
            raise BadRequestError("pace must be above 0.")
        self._stream.pace = seconds

    def _memory(self, value: object) -> None:
        self._stream.memory = min(_LONGEST, number_of("memory", value))

    def _replaced(self, value: object) -> None:
        self._stream.replaced = "ends" if choice("replaced", str(value), ("stays", "ends")) == "ends" else "stays"

    def _takes(self, value: object) -> None:
        self._stream.takes = "some" if choice("takes", str(value), ("all", "some")) == "some" else "all"

    def _refuse(self, value: object) -> None:
        """A symbol, or ``{"symbol", "message"}``."""
        members = {"symbol": value} if isinstance(value, str) else object_of("refuse", value)
        words = text(members, "message") if members.get("message") is not None else ""
        self._stream.refuse(text(members, "symbol"), words)

    def _allow(self, value: object) -> None:
        """A symbol, or true for all."""
        if value is not True and not isinstance(value, str):
            raise BadRequestError("allow must be a symbol, or true for all.")
        self._stream.allow(value if isinstance(value, str) else None)

    def _expire_token(self, value: object) -> None:
        """A connection_id, or true for all."""
        if value is not True and not isinstance(value, str):
            raise BadRequestError("expire_token must be a connection_id, or true for all.")
        self._stream.expire_token(value if isinstance(value, str) else None)

    def _replace_token(self, value: object) -> None:
        """A connection_id. The token is not shown; ``GET /connections/{connection_id}/token`` returns one."""
        self._stream.replace_token(text({"replace_token": value}, "replace_token"))

    def _publish(self, value: object) -> None:
        """``{"channel", "symbol", "data"}``."""
        members = object_of("publish", value)
        data = object_of("data", members.get("data"))
        self._stream.publish(text(members, "channel"), text(members, "symbol"), data)
