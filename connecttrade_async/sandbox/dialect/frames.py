"""Writes the frames of a stream in the forms of a dialect."""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Self, cast

import msgspec

from connecttrade_async.sandbox.dialect.members import ENUMS, IDS, NUMBERS, camel_name, id_number
from connecttrade_async.sandbox.dialect.streams import (
    BrokerageEvents,
    BrokerageForms,
    EventForms,
    MarketEvents,
    MarketForms,
)
from connecttrade_async.sandbox.dialect.templates import encoded, encoded_raw, render
from connecttrade_async.sandbox.dialect.words import channel_words, interval_words, session_words
from connecttrade_async.sandbox.parameters import Fields

__all__ = ["FrameWriter", "SharedText", "write_brokerage", "write_market"]

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_SPLIT = "\0"
"""Stands in an event for its payload, so that the text around the payload is known; JSON escapes it."""
_NUMBERS = NUMBERS | frozenset(
    {
        *("bid_price", "bid_size", "ask_price", "ask_size", "size", "open", "high", "low", "close", "volume"),
        *("open_interest", "delta", "gamma", "theta", "vega", "rho", "implied_volatility"),
        *("timestamp", "created_at", "updated_at", "time", "start_time"),
    }
)
"""Members that hold a number as text; a time may be digits."""
_KINDS = {"order": "orders", "position": "positions", "balance": "balances"}
_CHANNELS = {"quote": "quotes", "trade": "trades", "bar": "bars", "depth": "depth", "options_chain": "options_chain"}


class SharedText(str):
    """The text of an event with a list of payloads, which may take those of other events.

    Attributes:
        around: the text before and after the payload.
        payload: the text of the payload.
    """

    __slots__ = ("around", "payload")

    around: tuple[str, str]
    payload: str

    @classmethod
    def of(cls, before: str, payload: str, after: str) -> Self:
        """Return the text of an event with one payload."""
        text = cls(f"{before}{payload}{after}")
        text.around = before, after
        text.payload = payload
        return text


class FrameWriter:
    """Writes the frames of one stream.

    Args:
        forms: the forms of the stream.
        places: where each member that an event has beside its payload stands.
        topics: the word for the topic or channel of each kind.
        words: the words for the values of a member, by its name.
    """

    def __init__(
        self,
        forms: BrokerageForms | MarketForms,
        places: Mapping[str, str],
        topics: Mapping[str, str],
        words: Mapping[str, Mapping[str, str]],
    ) -> None:
        events = forms.events
        self._forms = forms
        self._events: EventForms = events
        self._tag = events.tag
        self._kinds = events.words
        self._places = places
        self._words = words
        self._keys: dict[str, str] = dict(events.names)
        self._paths = {
            kind: tuple(events.payload.format(kind=kind, topic=topics[kind]).split(".")) if events.payload else ()
            for kind in events.words
        }
        self._has_numeric_ids = isinstance(events, BrokerageEvents) and events.ids == "number"
        self._encode = encoded_raw if events.numbers == "bare" else encoded
        self._is_assumed = self._has_assumed_events()
        self.joins = events.batch != "none" or events.listed == "many"

    @property
    def is_assumed(self) -> bool:
        """Whether an event is the wire contract's, apart from its tags, and from being flat."""
        return self._is_assumed

    def message(self, kind: str, **values: object) -> str | None:
        """Return the text of a message that is no event, None if there is none in this dialect.

        Args:
            kind: the name of its template, such as ``welcome``.
            values: the values of its placeholders.
        """
        return render(
            getattr(self._forms.messages, kind), {name: self._said(name, one) for name, one in values.items()}
        )

    def event(self, kind: str, owner: Fields, data: Fields) -> str:
        """Return the text of an event.

        Args:
            kind: ``order``, ``quote`` and so on.
            owner: the members beside the payload: ``user_id``, ``account_id`` and ``timestamp``, or none.
            data: the payload.
        """
        tag: dict[str, object] = {self._tag: self._kinds[kind]}
        if self._is_assumed:
            if self._events.payload:
                return encoded({**tag, **owner, "data": data})
            return encoded({**tag, **data, **owner})
        beside, inside = self._placed(owner, data)
        frame: dict[str, object] = {**tag, **cast("Fields", self._converted(beside))}
        payload, path = self._converted(inside), self._paths[kind]
        if not path:
            return self._encode({**frame, **cast("Fields", payload)})
        text = self._encode(payload)
        place = frame
        for name in path[:-1]:
            place[name] = place = {}
        place[path[-1]] = _SPLIT if self._events.listed == "no" else [_SPLIT]
        before, after = self._encode(frame).split(self._encode(_SPLIT))
        return SharedText.of(before, text, after) if self._events.listed == "many" else f"{before}{text}{after}"

    def unknown(self) -> str:
        """Return an event of a kind that no client knows."""
        return encoded({self._tag: "weather", "message": "This type of message is unknown."})

    def join(self, events: Iterable[str]) -> list[str]:
        """Return the frames that hold some events, in their order."""
        texts: list[str] = []
        for _, group in groupby(events, key=lambda event: event.around if isinstance(event, SharedText) else event):
            first, *others = group
            if isinstance(first, SharedText):
                payloads = [event.payload for event in (first, *others) if isinstance(event, SharedText)]
                texts.append(",".join(payloads).join(first.around))
            else:
                texts += (first, *others)
        match self._events.batch:
            case "list":
                return [f"[{','.join(texts)}]"] if texts else []
            case "lines":
                return ["\n".join(texts)] if texts else []
            case _:
                return texts

    def _has_assumed_events(self) -> bool:
        assumed = BrokerageEvents() if isinstance(self._events, BrokerageEvents) else MarketEvents()
        alike = msgspec.structs.replace(assumed, tag=self._tag, payload=self._events.payload, **self._kinds)
        return self._events == alike and self._events.payload in {"", "data"} and not any(self._words.values())

    def _placed(self, owner: Fields, data: Fields) -> tuple[Fields, Fields]:
        """Return the members beside the payload, and those in it."""
        inside, account, beside = dict(data), dict[str, object](), dict[str, object]()
        values = {name: owner.get(name, data.get(name)) for name in self._places}
        for name, value in values.items():
            place = self._places[name]
            if value is None:
                continue
            if place in {"frame", "both"}:
                beside[name] = value
                if name not in owner and place == "frame":
                    del inside[name]
            if place in {"payload", "both"}:
                inside[name] = value
            elif place == "account":
                account[name] = value
        if self._places.get("account_id") == "account":
            inside.pop("account_id", None)
            if "account_number" in inside:
                account["account_number"] = inside.pop("account_number")
        return beside, {**inside, "account": account} if account else inside

    def _converted(self, value: object, name: str = "") -> object:
        if isinstance(value, Mapping):
            members = cast("Fields", value)
            return {self._key(key): self._converted(member, key) for key, member in members.items()}
        if isinstance(value, list):
            return [self._converted(member, name) for member in cast("list[object]", value)]
        return self._spelled(name, value) if isinstance(value, str) else value

    def _said(self, name: str, value: object) -> object:
        """Return the value of a placeholder; past bars and subscriptions are spelled as events are."""
        if name in {"bars", "subscriptions"}:
            return self._converted(value)
        if name == "account_id":
            return self._converted(value, name)
        return self._words[name].get(value, value) if name in self._words and isinstance(value, str) else value

    def _key(self, name: str) -> str:
        if name not in self._keys:
            self._keys[name] = camel_name(name) if self._events.case == "camel" else name
        return self._keys[name]

    def _spelled(self, name: str, value: str) -> object:
        if name in _NUMBERS:
            is_bare = self._events.numbers == "bare" and _NUMBER.fullmatch(value) is not None
            return msgspec.Raw(value.encode()) if is_bare else value
        if name in self._words:
            return self._words[name].get(value, value)
        if name in IDS:
            return id_number(value) if self._has_numeric_ids else value
        if name not in ENUMS or not isinstance(self._events, BrokerageEvents):
            return value
        word = "canceled" if self._events.canceled and value == "cancelled" else value
        word = word.replace("_", self._events.enum_space)
        return word if self._events.enum_case == "assumed" else getattr(word, self._events.enum_case)()


def write_brokerage(forms: BrokerageForms) -> FrameWriter:
    """Return the writer of the brokerage stream."""
    events = forms.events
    places = {"user_id": events.user_id, "account_id": events.account_id, "timestamp": events.timestamp}
    return FrameWriter(forms, places, _KINDS, {})


def write_market(forms: MarketForms) -> FrameWriter:
    """Return the writer of the market data stream."""
    channels = channel_words(forms)
    places = {"symbol": forms.events.symbol, "underlying": forms.events.symbol}
    topics = {kind: channels[channel] for kind, channel in _CHANNELS.items()}
    spelled = {"channel": channels, "interval": interval_words(forms), "session": session_words(forms)}
    words = {name: known for name, known in spelled.items() if any(own != word for own, word in known.items())}
    return FrameWriter(forms, places, topics, words)
