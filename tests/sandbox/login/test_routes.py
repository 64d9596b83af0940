"""The login pages as a person's browser walks through them, and as an attacker does."""

import re
from html.parser import HTMLParser
from typing import NamedTuple

import aiohttp
import pytest

from connecttrade_async.sandbox import BROKERS, Sandbox
from connecttrade_async.sandbox.world import find_broker

NASTY = '"><script>alert(1)</script>&'


class Page(NamedTuple):
    status: int
    text: str
    location: str


class Browser:
    """No script, no redirects of its own: it shows where it is sent."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def get(self, path: str = "") -> Page:
        return await self._go("GET", path, None)

    async def post(self, path: str, **fields: str) -> Page:
        return await self._go("POST", path, fields)

    async def _go(self, method: str, path: str, fields: dict[str, str] | None) -> Page:
        async with self._http.request(method, self._url + path, data=fields, allow_redirects=False) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            assert "script" not in answer.headers["Content-Security-Policy"]
            return Page(answer.status, await answer.text(), answer.headers.get("Location", ""))


class Elements(HTMLParser):
    """Every element of a page with its attributes; whatever is opened must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def browse(sandbox: Sandbox, http: aiohttp.ClientSession, kind: str = "trade", broker: str = "") -> Browser:
    jane = sandbox.world.users.get("jane") or sandbox.world.create_user("jane")
    chosen = find_broker(broker) if broker else None
    link = sandbox.world.invite(jane, kind, "https://app.example/done?s=1#top", sandbox.clock.now(), broker=chosen)
    return Browser(http, f"{sandbox.url}/connect/{link.token}")


async def test_a_person_connects(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    browser = browse(sandbox, http)
    brokers = await browser.get()
    assert "app.example" in brokers.text
    radios = [field for field in Elements(brokers.text).named("input") if field["type"] == "radio"]
    assert {field["value"] for field in radios} == {code for code, broker in BROKERS.items() if broker.trading}
    login = await browser.get("/login?broker=WEBULL")
    assert (login.status, "Log in to Webull" in login.text) == (200, True)
    sent = await browser.post("/login", broker="WEBULL", username="jane doe", password="sandbox")
    assert (sent.status, sent.location.endswith("/accounts")) == (303, True)
    accounts = await browser.get("/accounts")
    assert "Paper account" in accounts.text
    assert "Live account" in accounts.text
    assert list(sandbox.world.accounts(sandbox.world.users["jane"])) == []
    done = await browser.post("/consent", decision="allow")
    [connection] = sandbox.world.users["jane"].connections.values()
    assert done[::2] == (302, f"https://app.example/done?s=1&connection_id={connection.connection_id}#top")
    assert (connection.login, len(connection.accounts)) == ("jane doe", 2)
    used = await browser.get()
    assert (used.status, "already been used" in used.text) == (410, True)


async def test_the_broker_asked_for_is_chosen_beforehand(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    fields = Elements((await browse(sandbox, http, "readonly", "CHASE").get()).text).named("input")
    assert len(fields) == len(BROKERS)
    assert [field["value"] for field in fields if "checked" in field] == ["CHASE"]


async def test_market_data_shares_no_accounts(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    browser = browse(sandbox, http, "market_data", "ALPACA")
    await browser.post("/login", broker="ALPACA", username="jane", password="sandbox")
    page = await browser.get("/accounts")
    assert "Paper account" not in page.text
    assert "connection_id=" in (await browser.post("/consent", decision="allow")).location


@pytest.mark.parametrize(
    ("path", "fields", "error"),
    [
        ("/decline", {}, "access_denied"),
        ("/consent", {"decision": "decline"}, "access_denied"),
        ("/fail", {}, "login_failed"),
    ],
)
async def test_a_person_says_no(
    sandbox: Sandbox, http: aiohttp.ClientSession, path: str, fields: dict[str, str], error: str
) -> None:
    browser = browse(sandbox, http)
    page = await browser.post(path, **fields)
    assert page.status == 302
    assert re.fullmatch(rf"https://app\.example/done\?s=1&error={error}&error_details=[^#&]+#top", page.location)
    assert (await browser.get()).status == 410


async def test_three_wrong_passwords_end_the_visit(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    browser = browse(sandbox, http)
    for _ in range(2):
        page = await browser.post("/login", broker="ALPACA", username="jane", password="guess")
        assert (page.status, 'role="alert"' in page.text) == (401, True)
    page = await browser.post("/login", broker="ALPACA", username="jane", password="guess")
    assert (page.status, "error=login_failed" in page.location) == (302, True)


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\x07b"])
async def test_a_name_is_needed(sandbox: Sandbox, http: aiohttp.ClientSession, name: str) -> None:
    page = await browse(sandbox, http).post("/login", broker="ALPACA", username=name, password="sandbox")
    assert (page.status, "Please give a name." in page.text) == (400, True)


async def test_steps_cannot_be_skipped(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    browser = browse(sandbox, http)
    assert (await browser.get("/accounts")).status == 303
    assert (await browser.post("/consent", decision="allow")).status == 400
    assert (await browser.get("/login")).status == 400
    assert (await browser.get("/login?broker=CHASE")).status == 400
    assert (await browser.post("/login", **{f"f{n}": "x" for n in range(30)})).status == 400


async def test_links_expired_and_unknown_say_so(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    browser = browse(sandbox, http)
    sandbox.clock.advance(15 * 60)
    page = await browser.get()
    assert (page.status, "has expired" in page.text) == (410, True)
    assert (await Browser(http, f"{sandbox.url}/connect/none").get()).status == 404


async def test_login_with_accounts_of_another_user_redirects_with_an_error(
    sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    john = sandbox.world.create_user("john")
    sandbox.world.consent(
        sandbox.world.invite(john, "trade", "https://app.example/", sandbox.clock.now()),
        find_broker("ALPACA"),
        "john",
        sandbox.clock.now(),
    )
    browser = browse(sandbox, http)
    await browser.post("/login", broker="ALPACA", username="john", password="sandbox")
    assert "error=account_already_linked" in (await browser.post("/consent", decision="allow")).location


async def test_what_people_type_is_escaped(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    browser = browse(sandbox, http)
    pages = [
        await browser.post("/login", broker="ALPACA", username=NASTY, password="wrong"),
        await browser.get(f"/login?broker={NASTY}"),
    ]
    await browser.post("/login", broker="ALPACA", username=NASTY, password="sandbox")
    pages.append(await browser.get("/accounts"))
    for page in pages:
        assert "<script" not in page.text
        assert Elements(page.text).named("script") == []
        assert "&lt;script" in page.text


async def test_every_field_has_a_label(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    browser = browse(sandbox, http)
    for page in (await browser.get(), await browser.get("/login?broker=ALPACA")):
        elements = Elements(page.text)
        visible = [field for field in elements.named("input") if field.get("type") != "hidden"]
        assert len(elements.named("label")) == len(visible) > 0
        assert [field["lang"] for field in elements.named("html")] == ["en"]
