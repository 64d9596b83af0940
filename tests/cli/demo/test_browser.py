from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from connecttrade_async import ConnectTrade, OAuthError, parse_redirect
from connecttrade_async.cli.demo.browser import Page, Visitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connecttrade_async.sandbox import Sandbox


@pytest.fixture
async def link(sandbox: Sandbox) -> AsyncIterator[str]:
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        yield (await user.connections.create("trade", redirect_url="https://app.example/done?a=b")).url


async def follow(person: Visitor, page: Page, **answers: str) -> Page:
    following = await person.submit(page, **answers)
    assert isinstance(following, Page)
    return following


async def test_a_person_reads_and_answers_the_login_pages(link: str) -> None:
    person = Visitor(link)
    brokers = await person.arrive()
    assert brokers.title == "Connect your broker"
    assert "WEBULL" in brokers.forms[0].choices["broker"]
    login = await follow(person, brokers, broker="WEBULL")
    assert login.forms[0].fields["broker"] == "WEBULL"
    consent = await follow(person, login, username="ada", password="sandbox")
    assert consent.forms[0].choices["decision"] == ["allow", "decline"]
    sent_to = await person.submit(consent, decision="decline")
    assert isinstance(sent_to, str)
    with pytest.raises(OAuthError):
        parse_redirect(sent_to)


async def test_a_page_that_is_not_as_expected_is_an_error(link: str) -> None:
    with pytest.raises(OSError, match="answered 404"):
        await Visitor(f"{link}x").arrive()
    person = Visitor(link)
    login = await follow(person, await person.arrive(), broker="ALPACA")
    with pytest.raises(OSError, match="answered 401"):
        await person.submit(login, username="ada", password="wrong")


async def test_redirects_that_lead_nowhere_are_an_error() -> None:
    async def again(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.path if request.path == "/round" else "http://elsewhere.example/")

    app = web.Application()
    app.router.add_get("/{anything}", again)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        here = "http://127.0.0.1:{1}".format(*runner.addresses[0])
        with pytest.raises(OSError, match="redirects only"):
            await Visitor(f"{here}/round").arrive()
        with pytest.raises(OSError, match="begin elsewhere"):
            await Visitor(f"{here}/away").arrive()
    finally:
        await runner.cleanup()
