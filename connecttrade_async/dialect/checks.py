"""Rules for the values of a dialect beyond their types: placeholders, paths, and names that must differ."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import msgspec

from connecttrade_async.dialect.templates import check_template
from connecttrade_async.errors import ConfigurationError, shown
from connecttrade_async.models import (
    Account,
    Balance,
    Connection,
    Fill,
    Leg,
    Order,
    Position,
    Transaction,
)
from connecttrade_async.models.market import Bar, Depth, Greeks, Level, OptionContract, OptionsChain, Quote, Trade

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connecttrade_async.dialect.parts import (
        BrokerageDialect,
        ControlRule,
        FieldNames,
        MarketDataDialect,
        RestDialect,
    )
    from connecttrade_async.dialect.templates import Template

    Row = tuple[str, Template, tuple[str, ...], tuple[str, ...]]
    """The key of a template, the template, its allowed placeholders and the needed ones."""

__all__ = ["check_brokerage", "check_market_data", "check_names", "check_rest"]

PATH = re.compile(r"[^.\s]+(?:\.[^.\s]+){0,7}")
REPLY_FIELDS = frozenset({"topics", "topic", "id", "channel", "symbols", "symbol", "underlying"})
# The fields that aliases may rename, by model; those of control messages are not models of this library.
_FIELDS: dict[str, frozenset[str]] = {
    "welcome": frozenset({"message"}),
    "subscribed": REPLY_FIELDS,
    "unsubscribed": REPLY_FIELDS,
    "error": REPLY_FIELDS | {"code", "message", "user_id", "account_id", "connection_id"},
    "subscriptions": frozenset({"id", "subscriptions", "channel", "symbols", "underlying"}),
    "snapshot": frozenset({"id", "symbol", "bars"}),
}
_MODELS: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("account", Account),
    ("balance", Balance),
    ("bar", Bar),
    ("connection", Connection),
    ("depth", Depth),
    ("fill", Fill),
    ("greeks", Greeks),
    ("leg", Leg),
    ("level", Level),
    ("option_contract", OptionContract),
    ("options_chain", OptionsChain),
    ("order", Order),
    ("position", Position),
    ("quote", Quote),
    ("trade", Trade),
    ("transaction", Transaction),
)


def check_brokerage(part: BrokerageDialect) -> None:
    """Validate the part of the brokerage stream.

    Raises:
        ConfigurationError: a value is invalid; the message has its key.
    """
    topics = _plural("topic", each=part.each_topic)
    requests = tuple(dict.fromkeys(("id", "topics", topics)))
    _check_templates(
        ("brokerage.authenticate", part.authenticate, ("client_id", "client_secret", "id"), ("client_secret",)),
        ("brokerage.subscribe", part.subscribe, requests, (topics,)),
        ("brokerage.unsubscribe", part.unsubscribe, requests, ()),
        ("brokerage.pong", part.pong, ("id",), ()),
    )
    _check_stream("brokerage", part)
    for name in ("user_id", "account_id", "time"):
        _check_path(f"brokerage.{name}", getattr(part, name))
    _check_different("brokerage.topics", msgspec.structs.astuple(part.topics))


def check_market_data(part: MarketDataDialect) -> None:
    """Validate the part of the market data stream.

    Raises:
        ConfigurationError: a value is invalid; the message has its key.
    """
    symbols = _plural("symbol", each=part.each_symbol)
    requests = tuple(dict.fromkeys(("id", "channel", "symbols", symbols, "options")))
    _check_templates(
        ("market_data.authenticate", part.authenticate, ("access_token", "id"), ("access_token",)),
        ("market_data.subscribe", part.subscribe, requests, (symbols, "options")),
        ("market_data.unsubscribe", part.unsubscribe, requests, ()),
        ("market_data.list", part.list, ("id",), ()),
        ("market_data.snapshot", part.snapshot, requests, ()),
        ("market_data.pong", part.pong, ("id",), ()),
    )
    _check_stream("market_data", part)
    _check_different("market_data.channels", msgspec.structs.astuple(part.channels))
    options = {name: getattr(part.options, name) for name in part.options.__struct_fields__}
    _check_different("market_data.options", [option.name or name for name, option in options.items()])
    for name, option in options.items():
        _check_different(f"market_data.options.{name}.values", option.values.values())


def check_names(part: FieldNames) -> None:
    """Validate the names of fields.

    Raises:
        ConfigurationError: a model or a field is unknown, or two fields of a model have one name.
    """
    known = {**_FIELDS, **{name: frozenset(model.__struct_encode_fields__) for name, model in _MODELS}}
    for model, aliases in part.aliases.items():
        key = f"names.aliases.{model}"
        if model not in known:
            msg = f"each key of names.aliases must be one of {', '.join(sorted(known))}, got {shown(model)}"
            raise ConfigurationError(msg)
        fields = sorted(name for name in known[model] if not name.startswith("_"))
        for name, alias in aliases.items():
            if name not in fields:
                msg = f"each key of {key} must be one of {', '.join(fields)}, got {shown(name)}"
                raise ConfigurationError(msg)
            _check_name(f"{key}.{name}", alias)
        _check_different(key, [aliases.get(name, name) for name in fields])


def check_rest(part: RestDialect) -> None:
    """Validate the part of the REST API.

    Raises:
        ConfigurationError: a name is empty.
    """
    for name in ("next_parameter", "prev_parameter"):
        _check_name(f"rest.{name}", getattr(part, name))
    for table in ("lists", "names"):
        for name, value in getattr(part, table).items():
            _check_name(f"rest.{table}.{name}", value)


def _check_templates(*rows: Row) -> None:
    for key, template, allowed, needed in rows:
        check_template(key, template, allowed=allowed, needed=needed)


def _plural(name: str, *, each: bool) -> str:
    return name if each else f"{name}s"


def _check_stream(name: str, stream: BrokerageDialect | MarketDataDialect) -> None:
    _check_path(f"{name}.tag", stream.tag)
    for index, path in enumerate(stream.payload):
        if path:
            _check_path(f"{name}.payload[{index}]", path)
    if not stream.payload:
        msg = f"{name}.payload must have at least one path, got an empty list"
        raise ConfigurationError(msg)
    for index, rule in enumerate(stream.rules):
        _check_rule(f"{name}.rules[{index}].when", rule)
    _check_tags(f"{name}.controls", f"{name}.updates", (stream.controls, stream.updates))


def _check_rule(key: str, rule: ControlRule) -> None:
    if not rule.when:
        msg = f"{key} must have at least one member, got an empty table"
        raise ConfigurationError(msg)
    for path in rule.when:
        _check_path(f"{key}.{path}", path)


def _check_tags(controls_key: str, updates_key: str, tables: Iterable[msgspec.Struct]) -> None:
    seen: dict[str, str] = {}
    for key, table in zip((controls_key, updates_key), tables, strict=True):
        for name, tags in msgspec.structs.asdict(table).items():
            for tag in cast("tuple[str, ...]", tags):
                _check_name(f"{key}.{name}", tag)
                other = seen.setdefault(tag.casefold(), f"{key}.{name}")
                if other != f"{key}.{name}":
                    msg = f"{key}.{name} must not share a tag with {other}, got {shown(tag)}"
                    raise ConfigurationError(msg)


def _check_different(key: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        _check_name(key, name)
        if name in seen:
            msg = f"each name in {key} must be different, got {shown(name)} twice"
            raise ConfigurationError(msg)
        seen.add(name)


def _check_name(key: str, name: str) -> None:
    if not name:
        msg = f"{key} must be a non-empty text, got {shown(name)}"
        raise ConfigurationError(msg)


def _check_path(key: str, path: str) -> None:
    if PATH.fullmatch(path) is None:
        msg = f"{key} must be a name, or names with dots between them, got {shown(path)}"
        raise ConfigurationError(msg)
