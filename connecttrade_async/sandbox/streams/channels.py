"""The sandbox's channels: what can be asked of the market-data stream, read strictly.

Documented: the channels, and that they have options. Assumed: how a request is spelled, the options' names, what an
option is when it is absent, and the codes: 400 for what makes no sense, 403 for what is refused, 404 for what there is
not. Two subscriptions of one symbol with different options are two; ``backfill`` is done once and is no part of either.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, cast

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.parameters import Fields, choice, count, day, moment, text
from connecttrade_async.sandbox.world import INTERVALS

__all__ = ["CHANNELS", "HOURS", "History", "Request", "Subscription", "read_history", "read_request"]

CHANNELS: Mapping[str, str] = {
    "quotes": "quote",
    "trades": "trade",
    "bars": "bar",
    "depth": "depth",
    "options_chain": "options_chain",
}
"""The channels (documented), and the type of each one's messages (Assumed)."""
HOURS = ("all", "regular", "extended")
_ENVELOPE = frozenset({"action", "id", "channel", "symbols"})
_MOST_BARS, _MOST_LEVELS = 1000, 100
_USUAL_BARS, _USUAL_LEVELS = 100, 10


class Subscription(NamedTuple):
    """One thing that a link may listen to. `symbol` is an option chain's underlying."""

    channel: str
    symbol: str
    options: tuple[tuple[str, str | bool], ...] = ()

    @property
    def given(self) -> dict[str, str | bool]:
        """Its options."""
        return dict(self.options)


class Request(NamedTuple):
    """What a subscribe or an unsubscribe asks for. `backfill` counts past bars."""

    channel: str
    symbols: tuple[str, ...]
    options: tuple[tuple[str, str | bool], ...]
    backfill: int = 0

    def subscriptions(self) -> Iterator[Subscription]:
        """The things that it names."""
        return (Subscription(self.channel, symbol, self.options) for symbol in self.symbols)


class History(NamedTuple):
    """What a snapshot asks for: past bars, none of which begins before `start` or from `end` on. Times are text."""

    symbol: str
    interval: str
    limit: int
    start: str | None
    end: str | None


def read_request(members: Fields) -> Request:
    """What a subscribe or unsubscribe asks for.

    Raises:
        BadRequestError: there is no such channel or option, or no symbol.
    """
    channel = choice("channel", text(members, "channel"), CHANNELS)
    options, backfill = _OPTIONS[channel](members), 0
    if channel == "bars":
        backfill = _count(members, "backfill", 0, 0, _MOST_BARS)
    known = _ENVELOPE | options.keys() | _EXTRA.get(channel, frozenset())
    _check_known(channel, members, known)
    symbols = _chain_of(members) if channel == "options_chain" else _symbols(members)
    return Request(channel, symbols, tuple(options.items()), backfill)


def read_history(members: Fields) -> History:
    """What a snapshot asks for. Assumed: of one symbol at a time.

    Raises:
        BadRequestError: it asks for something else than bars, for more than one symbol, or makes no sense.
    """
    if text(members, "channel") != "bars":
        raise BadRequestError("channel must be bars: there is no snapshot of another.")
    _check_known("bars", members, _ENVELOPE | {"interval", "start_time", "end_time", "limit"})
    symbol, *more = _symbols(members)
    if more:
        raise BadRequestError("symbols must be one symbol for a snapshot.")
    start, end = (None if members.get(name) is None else text(members, name) for name in ("start_time", "end_time"))
    if start is not None and end is not None and moment("start_time", start) > moment("end_time", end):
        raise BadRequestError("start_time lies after end_time.")
    limit = _count(members, "limit", _USUAL_BARS, 1, _MOST_BARS)
    return History(symbol, str(_bars(members)["interval"]), limit, start, end)


def _quotes(_: Fields) -> dict[str, str | bool]:
    return {}


def _trades(members: Fields) -> dict[str, str | bool]:
    return {"session": _word(members, "session", "all", HOURS)}


def _bars(members: Fields) -> dict[str, str | bool]:
    return {"interval": _word(members, "interval", "1m", INTERVALS)}


def _depth(members: Fields) -> dict[str, str | bool]:
    return {"levels": str(_count(members, "levels", _USUAL_LEVELS, 1, _MOST_LEVELS))}


def _chain(members: Fields) -> dict[str, str | bool]:
    greeks = members.get("greeks", False)
    if not isinstance(greeks, bool):
        raise BadRequestError("greeks must be true or false.")
    if members.get("expiration") is None:
        return {"greeks": greeks}
    return {"expiration": day("expiration", text(members, "expiration")).isoformat(), "greeks": greeks}


_OPTIONS: Mapping[str, Callable[[Fields], dict[str, str | bool]]] = {
    "quotes": _quotes,
    "trades": _trades,
    "bars": _bars,
    "depth": _depth,
    "options_chain": _chain,
}
_EXTRA = {"bars": frozenset({"backfill"}), "options_chain": frozenset({"underlying", "expiration"})}


def _chain_of(members: Fields) -> tuple[str, ...]:
    underlying = text(members, "underlying")
    if members.get("symbols") not in (None, [], [underlying]):
        raise BadRequestError("symbols may be the underlying and nothing else.")
    return (underlying,)


def _symbols(members: Fields) -> tuple[str, ...]:
    value = members.get("symbols")
    names = cast("list[object]", value) if isinstance(value, list) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise BadRequestError("symbols must be an array of one or more symbols.")
    return tuple(dict.fromkeys(cast("list[str]", names)))


def _word(members: Fields, name: str, usual: str, known: Iterable[str]) -> str:
    return usual if members.get(name) is None else choice(name, text(members, name), known)


def _count(members: Fields, name: str, usual: int, low: int, high: int) -> int:
    """A count, as a number or as the digits of one."""
    value = members.get(name)
    if value is None:
        return usual
    return count(name, "" if isinstance(value, bool | float) else str(value), low, high)


def _check_known(channel: str, members: Fields, known: frozenset[str]) -> None:
    unknown = members.keys() - known
    if unknown:
        raise BadRequestError(f"{channel} has no {', '.join(sorted(unknown))}.")
