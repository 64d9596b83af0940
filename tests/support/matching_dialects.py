"""The client's dialect for each dialect of the sandbox, as a caller writes it for a known server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, cast

from msgspec.structs import asdict

from connecttrade_async import Dialect
from connecttrade_async.dialect.parts import (
    BrokerageDialect,
    ChannelNames,
    ControlKind,
    ControlRule,
    ErrorMeanings,
    FieldNames,
    Handshake,
    MarketDataDialect,
    MarketOptions,
    MarketTags,
    OptionName,
    RestDialect,
    UpdateTags,
)
from connecttrade_async.models import Fill, Leg, Order
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.market import Bar, Depth, Greeks, Level, OptionContract, OptionsChain, Quote, Trade
from connecttrade_async.models.positions import Position
from connecttrade_async.sandbox.dialect import PRESETS, BrokerageForms, MarketForms, RestForms, SandboxDialect
from connecttrade_async.sandbox.dialect.words import interval_words, session_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import msgspec

__all__ = ["MATCHING", "matching_dialect"]

SOON = 0.1  # seconds to assume a step for which the server has no word
NOUNS = ("users", "connections", "accounts", "balances", "positions", "orders", "transactions")
MODELS: Mapping[str, Mapping[str, type[msgspec.Struct]]] = {
    "brokerage": {"order": Order, "position": Position, "balance": Balance, "fill": Fill, "leg": Leg},
    "market_data": {
        "quote": Quote,
        "trade": Trade,
        "bar": Bar,
        "depth": Depth,
        "options_chain": OptionsChain,
        "level": Level,
        "option_contract": OptionContract,
        "greeks": Greeks,
    },
}
SAID: tuple[tuple[str, ControlKind], ...] = (
    ("subscriptions", "subscriptions"),
    ("snapshot", "snapshot"),
    ("refused", "error"),
    ("displaced", "error"),
    ("addressed_error", "error"),
    ("error", "error"),
    ("authenticated", "authenticated"),
    ("subscribed", "subscribed"),
    ("unsubscribed", "unsubscribed"),
    ("welcome", "welcome"),
)
# Placeholders that are in every frame of a template, so that a rule may ask for them.
CERTAIN = {"message", "topics", "topic", "symbols", "symbol", "subscriptions", "bars"}
SHARED_CODES = {"1000", "1008"}  # close codes that say nothing of their own
STANDARD = {"401", "403", "409", "429"}


def matching_dialect(
    spoken: SandboxDialect, stream: Literal["brokerage", "market_data"] = "brokerage", **handshake: Any
) -> Dialect:
    """Return the client's dialect for a dialect of the sandbox.

    Args:
        spoken: the dialect of the sandbox.
        stream: the stream of which the names of fields are taken: each stream of the sandbox has names of its own.
        handshake: further settings of the handshake.
    """
    forms = spoken.brokerage if stream == "brokerage" else spoken.market_data
    names = FieldNames(case=forms.events.case, aliases=_aliases(forms, MODELS[stream]))
    return Dialect(
        brokerage=_brokerage(spoken.brokerage, handshake),
        market_data=_market_data(spoken.market_data, handshake),
        names=names,
        rest=_rest(spoken.rest),
        errors=_errors(forms),
    )


def _aliases(forms: BrokerageForms | MarketForms, models: Mapping[str, type[msgspec.Struct]]) -> dict[str, Any]:
    found: dict[str, dict[str, str]] = {}
    for model, kind in models.items():
        fields = kind.__struct_encode_fields__
        renamed = {name: wire for name, wire in forms.events.names.items() if name in fields}
        if renamed:
            found[model] = renamed
    for reply in ("subscribed", "unsubscribed"):
        for path, value in _leaves(getattr(forms.messages, reply)):
            name = str(value).strip("{}")
            if path != name and "." not in path and name in {"topics", "topic", "symbols", "symbol", "channel"}:
                found.setdefault(reply, {})[name] = path
    return found


# --- what is sent


def _placed(*members: tuple[str, Any]) -> dict[str, Any]:
    """Return an object with members at paths; an empty path is no member."""
    frame: dict[str, Any] = {}
    for path, value in members:
        if path:
            *outer, last = path.split(".")
            place = frame
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = value
    return frame


def _pong(forms: BrokerageForms | MarketForms) -> dict[str, Any]:
    return dict(forms.heartbeat.pong or {})


def _brokerage(forms: BrokerageForms, handshake: Mapping[str, Any]) -> BrokerageDialect:
    heard, events = forms.requests, forms.events
    # A server that takes one topic a frame, or acknowledges the first alone, is asked for each.
    is_each = heard.topics_as != "list" or forms.messages.acknowledges == "first"
    topics: Any = "{topics}" if not is_each else ["{topic}"] if heard.topics_as == "list" else "{topic}"
    requested = ((heard.id, "{id}"), (heard.topics, topics))
    return BrokerageDialect(
        authenticate=_placed(
            (heard.action, heard.authenticate),
            (heard.id, "{id}"),
            (heard.client_id, "{client_id}"),
            (heard.client_secret, "{client_secret}"),
        ),
        subscribe=_placed((heard.action, heard.subscribe), *requested),
        unsubscribe=_placed((heard.action, heard.unsubscribe), *requested),
        pong=_pong(forms),
        each_topic=is_each,
        handshake=_handshake(forms, handshake),
        rules=_rules(forms),
        tag=events.tag,
        updates=UpdateTags(**{kind: (word,) for kind, word in events.words.items()}),
        payload=(events.payload.replace("{topic}", "{kinds}"),),
        user_id="account.user_id" if events.user_id == "account" else "user_id",
        account_id="account.account_id" if events.account_id == "account" else "account_id",
        time=events.names.get("timestamp", "timestamp"),
    )


def _market_data(forms: MarketForms, handshake: Mapping[str, Any]) -> MarketDataDialect:
    heard, events, options = forms.requests, forms.events, asdict(forms.requests.options)
    is_each = heard.symbols_as != "list" or forms.messages.acknowledges == "first"
    symbols: Any = "{symbols}" if not is_each else ["{symbol}"] if heard.symbols_as == "list" else "{symbol}"
    [below] = {path.rpartition(".")[0] for path in options.values()}
    spread = f"{below}.{{options}}" if below else "{options}"
    ids, channel = (heard.id, "{id}"), (heard.channel, "{channel}")
    words = {"interval": interval_words(forms), "session": session_words(forms)}
    requested = (ids, channel, (heard.symbols, symbols), (spread, "{options}"))
    return MarketDataDialect(
        authenticate=_placed((heard.action, heard.authenticate), ids, (heard.access_token, "{access_token}")),
        subscribe=_placed((heard.action, heard.subscribe), *requested),
        unsubscribe=_placed((heard.action, heard.unsubscribe), *requested),
        list=_placed((heard.action, heard.list_subscriptions), ids),
        snapshot=_placed((heard.action, heard.snapshot), *requested),
        pong=_pong(forms),
        each_symbol=is_each,
        handshake=_handshake(forms, handshake),
        rules=_rules(forms),
        tag=events.tag,
        channels=ChannelNames(**asdict(forms.channels)),
        options=MarketOptions(
            **{
                name: OptionName(name=path.rpartition(".")[2], values=words.get(name, {}))
                for name, path in options.items()
            }
        ),
        updates=MarketTags(**{kind: (word,) for kind, word in events.words.items()}),
        payload=(events.payload.replace("{topic}", "{kinds}"),),
    )


def _handshake(forms: BrokerageForms | MarketForms, given: Mapping[str, Any]) -> Handshake:
    said = forms.messages
    chosen: dict[str, Any] = {
        "welcome": "none" if said.welcome is None else "first_frame",
        "login": "assume" if said.authenticated is None else "wait",
        "subscription": "assume" if said.subscribed is None else "update",
        "welcome_after": SOON,
        "login_after": SOON,
        "subscription_after": SOON,
    }
    return Handshake(**(chosen | dict(given)))


# --- what is heard


def _rules(forms: BrokerageForms | MarketForms) -> tuple[ControlRule, ...]:
    """Return a rule for each message: by what is constant in it, the most exact first."""
    found: dict[tuple[tuple[str, Any], ...], ControlRule] = {}
    beat: ControlKind = "heartbeat" if forms.heartbeat.pong is None else "ping"
    templates: list[tuple[Any, ControlKind]] = [(getattr(forms.messages, name, None), kind) for name, kind in SAID]
    templates.insert(0, (forms.heartbeat.frame, beat))
    for template, kind in templates:
        when: dict[str, bool | str | tuple[str, ...]] = dict(_conditions(template))
        if when:
            found.setdefault(tuple(sorted(when.items(), key=str)), ControlRule(when=when, meaning=kind))
    return tuple(sorted(found.values(), key=lambda rule: (-len(rule.when), "*" in rule.when.values())))


def _conditions(template: Any) -> Iterator[tuple[str, bool | str]]:
    if isinstance(template, str):
        if template:
            yield "$", template
        return
    for path, value in _leaves(template):
        names = re.findall(r"\{(\w+)\}", value) if isinstance(value, str) else []
        if isinstance(value, bool) or (isinstance(value, str) and not names):
            yield path, value
        elif names and names[0] in CERTAIN:
            yield path, "*"


def _leaves(template: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a template with its path."""
    if isinstance(template, list):
        items: list[Any] = template  # pyright: ignore[reportUnknownVariableType]
        # A frame that is a list of one message counts as the message; a list inside it only has to be there.
        if above:
            yield above, "{message}"
        elif len(items) == 1:
            yield from _leaves(items[0])
        return
    if isinstance(template, dict):
        for name, value in cast("dict[str, Any]", template).items():
            path = f"{above}.{name}" if above else name
            if isinstance(value, dict | list):
                yield from _leaves(value, path)
            else:
                yield path, value


def _errors(forms: BrokerageForms | MarketForms) -> ErrorMeanings:
    usual, endings, late = ErrorMeanings(), forms.endings, str(forms.heartbeat.close_code)
    refused, displaced = str(endings.refused.code), str(endings.displaced.code)
    codes = {"refused": {*usual.refused}, "taken": {*usual.taken}}
    temporary = {*usual.temporary}
    if displaced != refused and displaced not in SHARED_CODES:
        codes["taken"] |= {displaced}
        codes["refused"] -= {displaced}
    unclear = {displaced, late, str(endings.late_code)} | SHARED_CODES
    if refused not in unclear:
        codes["refused"] |= {refused}
        codes["taken"] -= {refused}
    # A close code of a session that lost its heartbeat is no refusal.
    codes["refused"] -= {late, str(endings.late_code)}
    temporary -= codes["refused"] | codes["taken"]
    return ErrorMeanings(
        refused=tuple(sorted(codes["refused"])), taken=tuple(sorted(codes["taken"])), temporary=tuple(sorted(temporary))
    )


# --- REST


def _rest(forms: RestForms) -> RestDialect:
    keys: dict[str, str] = {}
    for noun in NOUNS:
        form = forms.list_form(noun)
        innermost = form.inside if form.key == "array" else noun if form.key == "plural" else form.key
        keys[noun] = noun if innermost == "top" else innermost
    names = {"connection_type": "type"} if forms.request_type == "type" else {}
    return RestDialect(
        lists=keys,
        next_cursor=(_cursor_path(forms, "next_cursor"),),
        prev_cursor=(_cursor_path(forms, "prev_cursor"),),
        next_header=("next-cursor", "x-next-cursor"),
        prev_header=("prev-cursor", "x-prev-cursor"),
        next_parameter=forms.cursor_parameter,
        names=names,
    )


def _cursor_path(forms: RestForms, name: str) -> str:
    is_camel = forms.cursors.endswith("camel") or forms.case == "camel"
    wire = name.replace("_c", "C") if is_camel else name
    return f"{forms.cursor_parent}.{wire}" if forms.cursors.startswith("nested") else wire


MATCHING: Mapping[str, Dialect] = {name: matching_dialect(spoken) for name, spoken in PRESETS.items()}
"""The client's dialect for each preset, with the names of the brokerage stream."""
