"""The REST routes: which path leads to which endpoint, credentials, and JSON in and out.

Documented: ``client-id`` and ``client-secret`` on every request, ``user-id`` and ``user-secret`` on all but the three
about users; errors are JSON objects with ``message``.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar

from aiohttp import web

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.errors import BadRequestError, RefusalError, UnauthorizedError
from connecttrade_async.sandbox.parameters import fields
from connecttrade_async.sandbox.rest.endpoints import (
    Answer,
    Call,
    RestContext,
    create_connection,
    create_user,
    delete_connection,
    delete_user,
    list_accounts,
    list_balances,
    list_connections,
    list_positions,
    list_transactions,
    list_users,
    mint_market_token,
    mint_user_token,
)
from connecttrade_async.sandbox.rest.order_actions import cancel_order, place_order, replace_order
from connecttrade_async.sandbox.rest.order_list import list_orders
from connecttrade_async.sandbox.rest.translator import HttpAnswer, Translator
from connecttrade_async.sandbox.settings import Credentials
from connecttrade_async.sandbox.world import User

__all__ = ["PARTS", "PATHS", "json_response", "rest_routes", "written_response"]

PARTS: ContextVar[Mapping[str, str]] = ContextVar("parts")
"""The parts of the path that vary, by name, of the request that is being answered."""

Endpoint = Callable[[Call], Answer]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FOR_CLIENT: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/users", create_user),
    ("GET", "/users", list_users),
    ("DELETE", "/users/{user_id}", delete_user),
)
_FOR_USER: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/connections", create_connection),
    ("GET", "/connections", list_connections),
    ("DELETE", "/connections/{connection_id}", delete_connection),
    ("GET", "/connections/{connection_id}/token", mint_market_token),
    ("POST", "/auth/tokens/user", mint_user_token),
    ("GET", "/accounts", list_accounts),
    ("GET", "/balances", list_balances),
    ("GET", "/positions", list_positions),
    ("POST", "/orders", place_order),
    ("GET", "/orders", list_orders),
    ("PATCH", "/accounts/{account_id}/orders/{order_id}", replace_order),
    ("DELETE", "/accounts/{account_id}/orders/{order_id}", cancel_order),
    ("GET", "/transactions", list_transactions),
)


PATHS = tuple(dict.fromkeys(path for _, path, _ in _FOR_CLIENT + _FOR_USER))
"""The templates of all paths."""

_ACCOUNT = frozenset({"account_id", "connection_id"})
_AMOUNTS = frozenset({"broker", "order_limit_price", "order_notional", "order_qty", "stop_price"})
_ORDER = frozenset({"account_id", "cl_order_id", "instrument", "legs", "order_tif", "order_type", "side", "symbol"})
_ORDER_FILTERS = frozenset(
    {"end_time", "limit", "next_cursor", "prev_cursor", "side", "sort", "start_time", "status", "symbols"}
)
_QUERY_NAMES: Mapping[Endpoint, frozenset[str]] = {
    list_accounts: frozenset({"broker", "connection_id"}),
    list_balances: _ACCOUNT,
    list_positions: _ACCOUNT | {"symbols"},
    list_orders: _ACCOUNT | _ORDER_FILTERS,
    list_transactions: _ACCOUNT | {"end_date", "start_date"},
}
_BODY_NAMES: Mapping[Endpoint, frozenset[str]] = {
    create_user: frozenset({"user_id"}),
    create_connection: frozenset({"broker", "connection_type", "redirect_url"}),
    mint_user_token: frozenset({"scopes"}),
    place_order: _ORDER | _AMOUNTS,
    replace_order: _AMOUNTS | {"new_cl_order_id"},
}
"""The names of the wire contract; `strict` refuses all others."""


def rest_routes(desk: RestContext, clock: Clock, credentials: Credentials) -> list[web.RouteDef]:
    """Every REST path of the wire contract, each with its handler."""

    def handler(path: str, endpoint: Endpoint, *, needs_user: bool) -> Handler:
        noun = path.rpartition("/")[2]

        async def handle(request: web.Request) -> web.StreamResponse:
            translator = desk.translator
            try:
                credentials.check(request.headers)
                known = _recognize(desk, request) if needs_user else None
                query = _query(request)
                body = await request.read() if request.method in {"POST", "PATCH"} else b""
                if desk.is_strict:
                    _check_names(translator, endpoint, query, body)
                call = Call(
                    desk=desk,
                    path=translator.path(PARTS.get()),
                    query=translator.query(query),
                    body=body,
                    now=clock.now(),
                    known=known,
                )
                desk.world.floor.bring_up(call.now)
                answer = endpoint(call)
            except RefusalError as refusal:
                return written_response(translator.error(refusal.status, refusal.message))
            return written_response(translator.answer(answer.payload, noun, answer.page, url=request.url))

        return handle

    routes = [(entry, False) for entry in _FOR_CLIENT] + [(entry, True) for entry in _FOR_USER]
    return [
        web.route(method, path, handler(path, endpoint, needs_user=needs_user))
        for (method, path, endpoint), needs_user in routes
    ]


def json_response(payload: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A payload as compact JSON."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")


def written_response(written: HttpAnswer, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """What the translator wrote, as a response."""
    return web.Response(
        body=written.body,
        status=written.status,
        headers={**written.headers, **(headers or {})},
        content_type=written.content_type,
        charset="utf-8",
    )


def _check_names(translator: Translator, endpoint: Endpoint, query: Mapping[str, str], body: bytes) -> None:
    """Refuse what the wire contract does not name.

    Raises:
        BadRequestError: the sentence names the unknown parameters or members.
    """
    unknown = sorted(query.keys() - translator.names(_QUERY_NAMES.get(endpoint, frozenset())))
    if unknown:
        raise BadRequestError(f"Unknown query parameters: {', '.join(unknown)}.")
    unknown = sorted(fields(body).keys() - translator.names(_BODY_NAMES.get(endpoint, frozenset()))) if body else []
    if unknown:
        raise BadRequestError(f"Unknown members of the body: {', '.join(unknown)}.")


def _recognize(desk: RestContext, request: web.Request) -> User:
    user_id, secret = request.headers.get("user-id"), request.headers.get("user-secret")
    if not user_id or not secret:
        raise UnauthorizedError("The headers user-id and user-secret are required.")
    user = desk.world.recognize(user_id, secret)
    if user is None:
        raise UnauthorizedError("The user-id or the user-secret is wrong.")
    return user


def _query(request: web.Request) -> dict[str, str]:
    query = request.query
    for name in query:
        if len(query.getall(name)) > 1:
            raise BadRequestError(f"{name} was given more than once.")
    return dict(query)
