"""The login pages: a person picks a broker, logs in, and consents or declines.

Every page works without a script. What has happened so far is kept with the link, not in the browser, so going back
and reloading do no harm.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import parse_qsl, quote

from aiohttp import web

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.errors import BadRequestError, GoneError, NotFoundError, RefusalError
from connecttrade_async.sandbox.login import consent
from connecttrade_async.sandbox.login.pages import (
    PASSWORD,
    Markup,
    accounts_page,
    brokers_page,
    login_page,
    refusal_page,
)
from connecttrade_async.sandbox.rest.routes import PARTS
from connecttrade_async.sandbox.world import BROKERS, Broker, LoginRequest, World, find_broker

__all__ = ["login_routes"]

_TRIES = 3
_LONGEST_NAME = 100
_MOST_FIELDS = 20
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TITLES = {NotFoundError.status: "There is no such link", GoneError.status: "This link is over"}

Fields = dict[str, str]
Visit = Callable[[LoginRequest, Fields, datetime], web.Response]


def login_routes(world: World, clock: Clock, write_id: Callable[[str], str]) -> list[web.RouteDef]:
    """Return every login page with its handler.

    Args:
        world: where the links were made.
        clock: what time it is.
        write_id: returns an id as the answers of REST write it.
    """
    desk = LoginHandlers(world, write_id)
    table: tuple[tuple[str, str, Visit], ...] = (
        ("GET", "", desk.show_brokers),
        ("GET", "/login", desk.show_login),
        ("POST", "/login", desk.log_in),
        ("POST", "/fail", desk.fail),
        ("GET", "/accounts", desk.show_accounts),
        ("POST", "/consent", desk.settle),
        ("POST", "/decline", desk.decline),
    )
    return [
        web.route(method, f"/connect/{{token}}{path}", _handler(world, clock, visit)) for method, path, visit in table
    ]


class LoginHandlers:
    """What happens on each page. Every method takes a link that is good, the fields sent, and the present moment."""

    def __init__(self, world: World, write_id: Callable[[str], str]) -> None:
        self._world = world
        self._write_id = write_id

    def show_brokers(self, link: LoginRequest, _fields: Fields, _now: datetime) -> web.Response:
        able = [broker for broker in BROKERS.values() if broker.can(link.connection_type)]
        return _html(brokers_page(link, able))

    def show_login(self, link: LoginRequest, fields: Fields, _now: datetime) -> web.Response:
        broker = _broker(link, fields)
        return _html(login_page(link, broker, self._world.users[link.user_id].login(broker)))

    def log_in(self, link: LoginRequest, fields: Fields, _now: datetime) -> web.Response:
        broker, name = _broker(link, fields), fields.get("username", "").strip()
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            return _html(login_page(link, broker, "", "Please give a name."), status=400)
        if fields.get("password") != PASSWORD:
            return self._turn_away(link, broker, name)
        link.signed_in = (broker, name)
        return _go(f"/connect/{quote(link.token)}/accounts", status=303)

    def fail(self, link: LoginRequest, _fields: Fields, _now: datetime) -> web.Response:
        return _go(consent.decline(link, *consent.LOGIN_FAILED))

    def show_accounts(self, link: LoginRequest, _fields: Fields, now: datetime) -> web.Response:
        if link.signed_in is None:
            return _go(f"/connect/{quote(link.token)}", status=303)
        broker, login = link.signed_in
        accounts = () if link.connection_type == "market_data" else self._world.books.open(broker, login, now)
        worth = [(account, self._world.balance(account, now).equity) for account in accounts]
        return _html(accounts_page(link, broker, login, worth))

    def settle(self, link: LoginRequest, fields: Fields, now: datetime) -> web.Response:
        if fields.get("decision") == "decline":
            return _go(consent.decline(link))
        if fields.get("decision") != "allow" or link.signed_in is None:
            raise BadRequestError("Log in first, then allow or decline.")
        return _go(consent.approve(self._world, link, now, *link.signed_in, write_id=self._write_id))

    def decline(self, link: LoginRequest, _fields: Fields, _now: datetime) -> web.Response:
        return _go(consent.decline(link))

    def _turn_away(self, link: LoginRequest, broker: Broker, name: str) -> web.Response:
        link.failures += 1
        if link.failures >= _TRIES:
            return _go(consent.decline(link, *consent.LOGIN_FAILED))
        return _html(login_page(link, broker, name, "That name and password do not match."), status=401)


def _handler(world: World, clock: Clock, visit: Visit) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        now = clock.now()
        try:
            fields = await _fields(request)
            return visit(world.link(PARTS.get()["token"], now), fields, now)
        except RefusalError as refusal:
            title = _TITLES.get(refusal.status, "This did not work")
            return _html(refusal_page(title, refusal.message), status=refusal.status)

    return handle


async def _fields(request: web.Request) -> Fields:
    """What a form sent, in the query or in the body."""
    raw = (await request.read()).decode("utf-8", "replace") if request.method == "POST" else request.query_string
    try:
        return dict(parse_qsl(raw, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise BadRequestError("The form has too many fields.") from None


def _broker(link: LoginRequest, fields: Fields) -> Broker:
    broker = find_broker(fields.get("broker", ""))
    if not broker.can(link.connection_type):
        raise BadRequestError(f"{broker.name} offers no {link.connection_type} connection.")
    return broker


def _html(page: Markup, *, status: int = 200) -> web.Response:
    return web.Response(text=page, status=status, headers=_HEADERS, content_type="text/html")


def _go(url: str, *, status: int = 302) -> web.Response:
    return web.Response(status=status, headers={**_HEADERS, "Location": url})
