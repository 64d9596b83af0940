"""Plausible other forms of the frames of a market data server, each by a rule that gives it one meaning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

Frame = dict[str, Any]
EVENTS = ("quote", "trade", "bar", "depth", "options_chain")
PLURALS = {"quote": "quotes", "trade": "trades", "bar": "bars", "depth": "depth", "options_chain": "options_chains"}
NUMBER = re.compile(r"-?[0-9]+([.][0-9]+)?(e[0-9]+)?")


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


CASES: dict[str, Callable[[str], str]] = {
    "snake": str,
    "camel": camel,
    "pascal": lambda name: camel(name)[:1].upper() + camel(name)[1:],
    "upper": str.upper,
    "dashes": lambda name: name.replace("_", "-"),
}
TAGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "plural": lambda kind: PLURALS[kind],
    "update": lambda kind: f"{kind}_update",
    "updated": lambda kind: f"{kind}.updated",
    "event": lambda kind: camel(f"{kind}_event"),
    "change": lambda kind: f"{kind}Change",
    "upper": lambda kind: PLURALS[kind].upper(),
    "data": lambda kind: f"{kind}-data",
}


def text_of(value: Any) -> str:
    """Return the text of a value in JSON."""
    return msgspec.json.encode(value).decode()


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How a server speaks: one choice for each question that the documentation leaves open."""

    tag: str = "type"
    tagged: str = "plain"
    place: str = "flat"
    case: str = "snake"
    beside: bool = False
    numbers: bool = False
    batch: str = "single"
    welcome: str = "typed"
    login: str = "typed"
    confirmation: str = "typed"
    refusal: str = "typed"
    listing: str = "typed"
    ids: str = "text"

    def speak(self, frame: Frame) -> list[str]:
        """Return the texts of a frame."""
        kind = frame["type"]
        if kind in EVENTS:
            return self._batched(self._event(frame))
        spoken: dict[str, Callable[[Frame], list[Any]]] = {
            "welcome": self._welcome,
            "authenticated": self._login,
            "subscribed": self._confirmation,
            "unsubscribed": self._confirmation,
            "error": self._refusal,
            "subscriptions": self._listing,
            "snapshot": self._listing,
        }
        return [each if isinstance(each, str) else text_of(each) for each in spoken[kind](self._with_id(frame))]

    def _with_id(self, frame: Frame) -> Frame:
        return frame | {"id": int(frame["id"])} if self.ids == "number" and "id" in frame else frame

    def _spelled(self, value: Any) -> Any:
        if isinstance(value, dict):
            members = cast("Frame", value)
            return {CASES[self.case](key): self._spelled(each) for key, each in members.items()}
        if isinstance(value, list):
            return [self._spelled(each) for each in cast("list[object]", value)]
        is_number = self.numbers and isinstance(value, str) and NUMBER.fullmatch(value)
        return msgspec.Raw(cast("str", value).encode()) if is_number else value

    def _event(self, frame: Frame) -> Frame:
        kind = str(frame["type"])
        fields = {name: value for name, value in frame.items() if name != "type"}
        outer: Frame = {self.tag: TAGS[self.tagged](kind)}
        if self.beside and self.place not in {"flat", "list"}:
            subject = "underlying" if kind == "options_chain" else "symbol"
            outer |= self._spelled({subject: fields.pop(subject)})
        payload: Frame = self._spelled(fields)
        match self.place:
            case "flat":
                return outer | payload
            case "kind":
                return outer | {kind: payload}
            case "plural":
                return outer | {PLURALS[kind]: [payload]}
            case "nested":
                return outer | {"data": {kind: payload}}
            case "list":
                return outer | {"data": [payload]}
            case place:
                return outer | {place: payload}

    def _batched(self, event: Frame) -> list[str]:
        match self.batch:
            case "frames":
                return [text_of([event])]
            case "lines":
                return [text_of({"type": "heartbeat"}) + "\n" + text_of(event)]
            case _:
                return [text_of(event)]

    def _welcome(self, frame: Frame) -> list[Any]:
        forms: dict[str, list[Any]] = {
            "typed": [frame],
            "text": ["hello there"],
            "status": [{"status": "connected", "message": "please authenticate"}],
            "other": [[{"T": "hello"}]],
        }
        return forms[self.welcome]

    def _login(self, frame: Frame) -> list[Any]:
        forms: dict[str, list[Any]] = {
            "typed": [frame],
            "event": [{self.tag: "authenticated"}],
            "status": [{"status": "authenticated"}],
            "success": [{"event": "auth", "success": True}],
            "action": [{"action": "authenticate", "status": "ok"}],
            "message": [[{"T": "success", "msg": "authenticated"}]],
        }
        return forms[self.login]

    def _confirmation(self, frame: Frame) -> list[Any]:
        kind, request_id, symbols = frame["type"], frame["id"], frame.get("symbols", [])
        channel = frame["channel"]
        forms: dict[str, list[Any]] = {
            "typed": [frame],
            "event": [{"event": kind, "id": request_id, "channel": channel, "symbols": symbols}],
            "id": [{"type": kind, "id": request_id}],
            "unnumbered": [{"type": kind, "channel": channel, "symbols": symbols}],
            "each": [{"type": kind, "id": request_id, "channel": channel, "symbol": symbol} for symbol in symbols],
            "status": [{"status": kind, "channel": channel, "symbols": symbols}],
            "success": [{"id": request_id, "success": True}],
            "nested": [{"type": kind, "data": {"id": request_id, "channel": channel, "symbols": symbols}}],
            "comma": [{"type": kind, "channel": channel.upper(), "symbols": ",".join(symbols)}],
            "message": [{"id": request_id, "message": f"you are {kind} to {channel}"}],
            "by channel": [{"T": kind, channel: symbols}],
            "echo": [{"type": kind.removesuffix("d"), "id": request_id, "status": "ok"}],
        }
        return forms[self.confirmation]

    def _refusal(self, frame: Frame) -> list[Any]:
        request_id, code, message = frame.get("id"), frame["code"], frame["message"]
        named = {} if request_id is None else {"id": request_id}
        forms: dict[str, list[Any]] = {
            "typed": [frame],
            "nested": [{**named, "error": {"code": code, "message": message}}],
            "status": [{**named, "status": "error", "code": code, "message": message}],
            "success": [{**named, "success": False, "error": message}],
            "echo": [{**named, "type": "subscribe", "status": "rejected", "message": message}],
            "data": [{"type": "error", "data": {**named, "message": message}}],
            "messages": [[{"T": "error", "code": int(code), "msg": message, **named}]],
        }
        return forms[self.refusal]

    def _listing(self, frame: Frame) -> list[Any]:
        kind, request_id = frame["type"], frame["id"]
        field = "subscriptions" if kind == "subscriptions" else "bars"
        items = self._spelled(frame[field])
        named = {"symbol": frame["symbol"]} if "symbol" in frame else {}
        forms: dict[str, list[Any]] = {
            "typed": [{**frame, field: items}],
            "id": [{"id": request_id, **named, field: items}],
            "data": [{"id": request_id, "data": items, **named}],
            "nested": [{"type": kind, "id": request_id, "data": {field: items, **named}}],
            "event": [{"event": kind, "id": request_id, **named, field: items}],
        }
        return forms[self.listing]


CHOICES: dict[str, list[str]] = {
    "tag": ["type", "event", "topic", "channel", "T", "ev"],
    "tagged": sorted(TAGS),
    "place": ["flat", "data", "payload", "body", "kind", "plural", "nested", "list"],
    "case": sorted(CASES),
    "batch": ["single", "frames", "lines"],
    "welcome": ["typed", "text", "status", "other"],
    "login": ["typed", "event", "status", "success", "action", "message"],
    "confirmation": [
        *("typed", "event", "id", "unnumbered", "each", "status", "success", "nested", "comma", "message"),
        *("by channel", "echo"),
    ],
    "refusal": ["typed", "nested", "status", "success", "echo", "data", "messages"],
    "listing": ["typed", "id", "data", "nested", "event"],
    "ids": ["text", "number"],
}
FORMS = st.builds(
    Form,
    **{name: st.sampled_from(values) for name, values in CHOICES.items()},
    beside=st.booleans(),
    numbers=st.booleans(),
)
SINGLE_FORMS = {
    f"{name}-{value}": Form(**{name: value})  # type: ignore[arg-type]
    for name, values in CHOICES.items()
    for value in values
} | {"beside": Form(place="data", beside=True), "numbers": Form(numbers=True)}
"""Forms that differ from the assumed one in one choice, by name."""
