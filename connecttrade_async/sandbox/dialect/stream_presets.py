"""The forms of both streams in the dialects that have a name. Each differs from the assumed one in one respect."""

from collections.abc import Mapping
from typing import Any

from connecttrade_async.sandbox.dialect.streams import (
    BrokerageEvents,
    BrokerageForms,
    BrokerageMessages,
    BrokerageRequests,
    Heartbeat,
    MarketEvents,
    MarketForms,
    MarketMessages,
    MarketRequests,
)

__all__ = ["STREAM_PRESETS"]

_TOPICS: Mapping[str, Any] = {"order": "orders", "position": "positions", "balance": "balances"}
_CHANNELS: Mapping[str, Any] = {"quote": "quotes", "trade": "trades", "bar": "bars"}
_SILENT = Heartbeat(frame={})
_EVENT = Heartbeat(frame={"event": "heartbeat", "time": "{time}"})
_NO_ANSWER: Mapping[str, Any] = {"authenticated": None, "subscribed": None, "unsubscribed": None}


def _updates(*kinds: str) -> dict[str, Any]:
    return {kind: f"{kind}_update" for kind in kinds}


def _message(kind: str, *names: str, **members: str) -> list[Any]:
    """An array of one message with ``T``; the sentence of the server is under ``msg``."""
    return [{"T": kind, **{name: f"{{{name}}}" for name in names}, **members}]


_FAILURES: Mapping[str, Any] = {
    "error": _message("error", "id", code="{status}", msg="{message}"),
    "refused": _message("error", code="{status}", msg="{message}"),
    "displaced": _message("error", code="{status}", msg="{message}"),
}
_NUMBERED: dict[str, Any] = {"type": "error", "code": "{status}", "message": "{message}"}

STREAM_PRESETS: Mapping[str, tuple[BrokerageForms, MarketForms]] = {
    "assumed": (BrokerageForms(), MarketForms()),
    "rest_object": (
        BrokerageForms(events=BrokerageEvents(user_id="payload", account_id="payload")),
        MarketForms(events=MarketEvents(payload="data")),
    ),
    "topic_data": (
        BrokerageForms(events=BrokerageEvents(tag="topic", **_TOPICS)),
        MarketForms(events=MarketEvents(tag="topic", payload="data", **_CHANNELS)),
    ),
    "topic_list": (
        BrokerageForms(events=BrokerageEvents(tag="topic", listed="many", **_TOPICS)),
        MarketForms(events=MarketEvents(tag="topic", payload="data", listed="many", **_CHANNELS)),
    ),
    "channel_payload": (
        BrokerageForms(events=BrokerageEvents(tag="channel", payload="payload", **_TOPICS)),
        MarketForms(events=MarketEvents(tag="channel", payload="payload", **_CHANNELS)),
    ),
    "type_update": (
        BrokerageForms(events=BrokerageEvents(**_updates("order", "position", "balance"))),
        MarketForms(events=MarketEvents(**_updates("quote", "trade", "bar", "depth", "options_chain"))),
    ),
    "camel": (
        BrokerageForms(
            events=BrokerageEvents(case="camel"),
            messages=BrokerageMessages(
                addressed_error={
                    "type": "error",
                    "userId": "{user_id}",
                    "accountId": "{account_id}",
                    "topic": "{topic}",
                    "code": "{code}",
                    "message": "{message}",
                }
            ),
        ),
        MarketForms(events=MarketEvents(case="camel", options_chain="optionsChain")),
    ),
    "numbers": (
        BrokerageForms(
            events=BrokerageEvents(numbers="bare", ids="number"),
            messages=BrokerageMessages(refused=_NUMBERED, displaced=_NUMBERED),
        ),
        MarketForms(events=MarketEvents(numbers="bare"), messages=MarketMessages(refused=_NUMBERED)),
    ),
    "messages": (
        BrokerageForms(
            events=BrokerageEvents(tag="T", payload="", batch="list"),
            messages=BrokerageMessages(
                welcome=_message("success", msg="connected"),
                authenticated=_message("success", msg="authenticated"),
                subscribed=_message("subscription", "topics"),
                unsubscribed=_message("unsubscription", "topics"),
                addressed_error=_message("error", "user_id", "account_id", "topic", code="{status}", msg="{message}"),
                **_FAILURES,
            ),
        ),
        MarketForms(
            events=MarketEvents(tag="T", batch="list"),
            messages=MarketMessages(
                welcome=_message("success", msg="connected"),
                authenticated=_message("success", msg="authenticated"),
                subscribed=_message("subscription", "id", "channel", "symbols"),
                unsubscribed=_message("unsubscription", "id", "channel", "symbols"),
                subscriptions=_message("subscriptions", "id", "subscriptions"),
                snapshot=_message("snapshot", "id", "symbol", "bars"),
                addressed_error=_message("error", "channel", "symbol", code="{status}", msg="{message}"),
                **_FAILURES,
            ),
        ),
    ),
    "no_acks": (
        BrokerageForms(messages=BrokerageMessages(**_NO_ANSWER)),
        MarketForms(messages=MarketMessages(**_NO_ANSWER)),
    ),
    "silent_heartbeat": (BrokerageForms(heartbeat=_SILENT), MarketForms(heartbeat=_SILENT)),
    "event_heartbeat": (BrokerageForms(heartbeat=_EVENT), MarketForms(heartbeat=_EVENT)),
    "strict": (
        BrokerageForms(requests=BrokerageRequests(unknown="refused")),
        MarketForms(requests=MarketRequests(unknown="refused")),
    ),
    "type_not_action": (
        BrokerageForms(requests=BrokerageRequests(action="type")),
        MarketForms(requests=MarketRequests(action="type")),
    ),
}
"""Both streams of every preset, by its name."""
