"""Reads a client's frame in the forms of a dialect, as the frame that the wire contract has in its place."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import msgspec

from connecttrade_async.sandbox.dialect.streams import (
    BrokerageForms,
    BrokerageRequests,
    ChannelWords,
    MarketForms,
    MarketRequests,
)
from connecttrade_async.sandbox.dialect.words import channel_words, interval_words, session_words
from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.parameters import Fields

__all__ = ["RequestReader", "read_brokerage", "read_market"]

_OPTIONS = {"session", "interval", "backfill", "levels", "underlying", "expiration", "greeks"}
_MEMBERS: Mapping[str, frozenset[str]] = {
    "authenticate": frozenset({"client_id", "client_secret", "access_token"}),
    "subscribe": frozenset({"topics", "channel", "symbols", *_OPTIONS}),
    "unsubscribe": frozenset({"topics", "channel", "symbols", *_OPTIONS}),
    "list_subscriptions": frozenset(),
    "snapshot": frozenset({"channel", "symbols", "interval", "start_time", "end_time", "limit"}),
}
"""The members of each action, on either stream."""
_ABSENT = object()


class _MemberPath(NamedTuple):
    """Where a member stands, and the words that it may have; None for any value."""

    path: tuple[str, ...]
    words: Mapping[str, str] | None = None
    listed: str = ""


class RequestReader:
    """Reads the frames of one stream's clients.

    Args:
        actions: the action of each word for one.
        places: where each member of the wire contract stands.
        refused: the actions in which an unknown member is refused.
        is_assumed: whether all of this is the wire contract's own form, so that nothing is to be done.
    """

    def __init__(
        self,
        actions: Mapping[str, str],
        places: Mapping[str, _MemberPath],
        refused: frozenset[str],
        *,
        is_assumed: bool,
    ) -> None:
        self._actions = actions
        self._places = places
        self._refused = refused
        self._is_assumed = is_assumed
        self._inverse = {name: {word: own for own, word in (at.words or {}).items()} for name, at in places.items()}

    @property
    def rule(self) -> str:
        """A sentence that says which actions there are."""
        return f"{'.'.join(self._places['action'].path)} must be one of {', '.join(self._actions)}."

    def read(self, members: Fields) -> Fields:
        """Return the frame that the wire contract has in place of this one; without ``action`` if it has no known one.

        Raises:
            BadRequestError: a word is unknown, or a member of an action that refuses unknown members.
        """
        if self._is_assumed:
            return members
        word = _at(members, self._places["action"].path)
        action = self._actions.get(word) if isinstance(word, str) else None
        found = self.id_of(members)
        if action is None:
            return found
        found["action"] = action
        known = [name for name in self._places if name in _MEMBERS[action]]
        if action in self._refused:
            self._check_known(members, known)
        for name in known:
            value = _at(members, self._places[name].path)
            if value is not _ABSENT:
                found[name] = self._value(name, value)
        return found

    def id_of(self, members: Fields) -> dict[str, object]:
        """Return the id of a frame as the member ``id``, if it has one."""
        value = _at(members, self._places["id"].path) if "id" in self._places else _ABSENT
        return {} if value is _ABSENT else {"id": value}

    def _value(self, name: str, value: object) -> object:
        place = self._places[name]
        if place.listed == "text":
            return value.split(",") if isinstance(value, str) else None
        if place.listed == "one":
            return [value] if isinstance(value, str) else None
        if place.words is None or value is None:
            return value
        own = self._inverse[name].get(value) if isinstance(value, str) else None
        if own is None:
            raise BadRequestError(f"{'.'.join(place.path)} must be one of {', '.join(place.words.values())}.")
        return own

    def _check_known(self, members: Fields, names: list[str]) -> None:
        known = {self._places[name].path for name in (*names, "action", "id") if name in self._places}
        unknown = sorted(".".join(path) for path in _leaves(members, known, ()) if path not in known)
        if unknown:
            raise BadRequestError(f"There is no {', '.join(unknown)} here.")


def read_brokerage(forms: BrokerageForms) -> RequestReader:
    """Return the reader of the brokerage stream."""
    heard = forms.requests
    names = ("action", "id", "client_id", "client_secret")
    places = {name: _MemberPath(tuple(path.split("."))) for name in names if (path := getattr(heard, name))}
    places["topics"] = _MemberPath(tuple(heard.topics.split(".")), None, heard.topics_as)
    actions = {getattr(heard, name): name for name in ("authenticate", "subscribe", "unsubscribe")}
    refused = frozenset(_MEMBERS if heard.unknown == "refused" else ())
    return RequestReader(actions, places, refused, is_assumed=heard == BrokerageRequests())


def read_market(forms: MarketForms) -> RequestReader:
    """Return the reader of the market data stream."""
    heard, options = forms.requests, msgspec.structs.asdict(forms.requests.options)
    names = ("action", "id", "access_token")
    places = {name: _MemberPath(tuple(path.split("."))) for name in names if (path := getattr(heard, name))}
    words = {"interval": interval_words(forms), "session": session_words(forms)}
    places |= {name: _MemberPath(tuple(path.split(".")), words.get(name)) for name, path in options.items()}
    places["channel"] = _MemberPath(tuple(heard.channel.split(".")), channel_words(forms))
    places["symbols"] = _MemberPath(tuple(heard.symbols.split(".")), None, heard.symbols_as)
    known = ("authenticate", "subscribe", "unsubscribe", "list_subscriptions", "snapshot")
    actions = {getattr(heard, name): name for name in known}
    refused = frozenset(_MEMBERS if heard.unknown == "refused" else ("subscribe", "unsubscribe", "snapshot"))
    is_assumed = (heard, forms.channels) == (MarketRequests(), ChannelWords()) and (
        (forms.intervals, forms.sessions) == ("assumed", "lower")
    )
    return RequestReader(actions, places, refused, is_assumed=is_assumed)


def _at(members: Fields, path: tuple[str, ...]) -> object:
    *outer, last = path
    for name in outer:
        inner = members.get(name)
        if not isinstance(inner, dict):
            return _ABSENT
        members = cast("Fields", inner)
    return members.get(last, _ABSENT)


def _leaves(members: Fields, known: set[tuple[str, ...]], above: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the paths of a frame's members; an object is entered only where a known path leads into it."""
    found: list[tuple[str, ...]] = []
    for name, value in members.items():
        path = (*above, name)
        if isinstance(value, dict) and any(other[: len(path)] == path and other != path for other in known):
            found += _leaves(cast("Fields", value), known, path)
        else:
            found.append(path)
    return found
