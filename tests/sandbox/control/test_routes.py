"""The control path: everything that Python can set, over HTTP, for programs of this machine only."""

from typing import Any

import aiohttp
import pytest

from connecttrade_async.sandbox import Sandbox, SandboxDialect


class Panel:
    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self._url, self._http = f"{sandbox.url}/_sandbox", http

    async def fetch(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        sent = {"json": body} if method == "POST" else {}
        async with self._http.request(method, self._url + path, headers=headers, **sent) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.json()


@pytest.fixture
def panel(sandbox: Sandbox, http: aiohttp.ClientSession) -> Panel:
    return Panel(sandbox, http)


async def test_faults_route_adds_lists_and_clears_faults(
    panel: Panel, sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    status, [fault] = await panel.fetch("POST", "/faults", {"kind": "status", "status": 500})
    told = {"kind": "status", "times": 1, "after": 0, "status": 500, "seen": 0, "fired": 0, "is_spent": False}
    assert (status, fault) == (200, told)
    async with http.get(f"{sandbox.url}/users") as answer:
        assert answer.status == 500
    assert (await panel.fetch("GET", "/faults"))[1][0]["is_spent"]
    assert await panel.fetch("DELETE", "/faults") == (200, [])
    status, refused = await panel.fetch("POST", "/faults", {"kind": "flood"})
    assert (status, refused["message"].startswith("kind must be one of")) == (400, True)
    assert (await panel.fetch("POST", "/faults", []))[0] == 400


async def test_clock_route_holds_advances_and_releases_the_clock(panel: Panel, sandbox: Sandbox) -> None:
    held = {"now": "2026-01-01T00:00:00+00:00", "is_held": True}
    assert await panel.fetch("POST", "/clock", {"hold": "2026-01-01T00:00:00Z"}) == (200, held)
    assert (await panel.fetch("POST", "/clock", {"advance": 60}))[1]["now"] == "2026-01-01T00:01:00+00:00"
    assert (await panel.fetch("POST", "/clock", {"release": True}))[1]["is_held"] is False
    assert (await panel.fetch("POST", "/clock", {"hold": True}))[1]["is_held"] is True
    assert (await panel.fetch("GET", "/clock"))[1]["now"] == sandbox.clock.now().isoformat()
    for wrong in (
        {},
        {"advance": -1},
        {"advance": 1e300},
        {"hold": "soon"},
        {"hold": True, "advance": 5},
        {"advance": "5"},
    ):
        assert (await panel.fetch("POST", "/clock", wrong))[0] == 400


async def test_spellings_and_entitlements(panel: Panel, sandbox: Sandbox) -> None:
    status, spelled = await panel.fetch("POST", "/spellings", {"orders": "envelope"})
    assert (status, spelled["orders"], sandbox.spellings.orders) == (200, "envelope", "envelope")
    assert await panel.fetch("GET", "/spellings") == (200, spelled)
    assert await panel.fetch("POST", "/entitlements", {"trading": False}) == (
        200,
        {"trading": False, "market_data": True},
    )
    assert sandbox.entitlements.trading is False
    assert (await panel.fetch("GET", "/entitlements"))[1]["trading"] is False
    for path, wrong in (
        ("/spellings", {"orders": "list"}),
        ("/spellings", {"color": "red"}),
        ("/entitlements", {"trading": 1}),
    ):
        assert (await panel.fetch("POST", path, wrong))[0] == 400


async def test_approve_and_decline(panel: Panel, sandbox: Sandbox) -> None:
    jane = sandbox.world.create_user("jane")

    def url() -> str:
        link = sandbox.world.invite(jane, "trade", "https://app.example/", sandbox.clock.now())
        return f"{sandbox.url}/connect/{link.token}"

    status, answer = await panel.fetch("POST", "/approve", {"url": url(), "broker": "public", "login": "j"})
    [connection] = jane.connections.values()
    assert (status, answer) == (200, {"redirect_url": f"https://app.example/?connection_id={connection.connection_id}"})
    assert (connection.broker.code, connection.login) == ("PUBLIC", "j")
    assert "error=access_denied" in (await panel.fetch("POST", "/decline", {"url": url()}))[1]["redirect_url"]
    named = (await panel.fetch("POST", "/decline", {"url": url(), "error": "e", "details": "d"}))[1]["redirect_url"]
    assert named == "https://app.example/?error=e&error_details=d"
    assert (await panel.fetch("POST", "/approve", {"url": f"{sandbox.url}/connect/none"}))[0] == 404
    assert (await panel.fetch("POST", "/approve", {}))[0] == 400


async def test_served_route_lists_and_clears_the_requests(
    panel: Panel, sandbox: Sandbox, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{sandbox.url}/users") as answer:
        assert answer.status == 401
    visit = {"method": "GET", "path": "/users", "route": "/users", "status": 401, "worked": False, "fault": None}
    assert await panel.fetch("GET", "/served") == (200, {"total": 1, "requests": [visit]})
    assert await panel.fetch("DELETE", "/served") == (200, {"total": 0, "requests": []})


async def test_no_web_page_may_drive_it(panel: Panel) -> None:
    for origin in ("https://evil.example", "null"):
        assert (await panel.fetch("GET", "/served", Origin=origin))[0] == 404
    assert (await panel.fetch("GET", "/none"))[0] == 404


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7", "[::2]", ""],
)
async def test_control_path_refuses_a_host_that_does_not_name_this_machine(panel: Panel, host: str) -> None:
    before = await panel.fetch("GET", "/clock")
    status, _ = await panel.fetch("POST", "/clock", {"advance": 60}, Host=host)
    assert status == 404
    assert await panel.fetch("GET", "/clock") == before


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.8.9.1:1", "[::1]", "[::1]:80"])
async def test_control_path_serves_every_name_of_this_machine(panel: Panel, host: str) -> None:
    assert (await panel.fetch("GET", "/clock", Host=host))[0] == 200


async def test_market_route_sets_prices_halts_and_latency(panel: Panel, sandbox: Sandbox) -> None:
    told: dict[str, Any] = {"hours": "open", "latency": 0.02, "prices": {}, "halted": []}
    assert await panel.fetch("GET", "/market") == (200, told)
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"symbol": "AAPL", "price": "99.50"}, {"prices": {"AAPL": "99.50"}}),
        ({"symbol": "AAPL", "price": None}, {"prices": {}}),
        ({"halt": "F"}, {"halted": ["F"]}),
        ({"halt": True}, {"halted": True}),
        ({"resume": True}, {"halted": []}),
        ({"resume": "F"}, {"halted": []}),
        ({"latency": 0.5}, {"latency": 0.5}),
    ]
    for sent, change in changes:
        told |= change
        assert await panel.fetch("POST", "/market", sent) == (200, told)
    assert sandbox.broker.latency == 0.5
    for wrong in ({}, {"symbol": "AAPL"}, {"halt": False}, {"latency": -1}, {"symbol": "AAPL", "price": "0"}):
        assert (await panel.fetch("POST", "/market", wrong))[0] == 400


async def test_fills_and_rejections(panel: Panel, sandbox: Sandbox) -> None:
    jane = sandbox.world.create_user("jane")
    link = sandbox.world.invite(jane, "trade", "https://app.example/", sandbox.clock.now())
    await sandbox.approve(f"{sandbox.url}/connect/{link.token}")
    account = next(sandbox.world.accounts(jane))[1].account_id
    one, two = (sandbox.world.add_order(account, sandbox.clock.now(), qty=5).order_id for _ in range(2))
    told = {"order_id": one, "status": "partially_filled", "filled_qty": "2"}
    assert await panel.fetch("POST", "/fill", {"order_id": one, "quantity": "2", "price": "9.99"}) == (200, told)
    assert (await panel.fetch("POST", "/fill", {"order_id": one}))[1]["status"] == "filled"
    assert (await panel.fetch("POST", "/reject", {"order_id": two, "reason": "No."}))[1]["status"] == "rejected"
    assert (await panel.fetch("POST", "/fill", {"order_id": one}))[0] == 400
    assert (await panel.fetch("POST", "/fill", {"order_id": "none"}))[0] == 404


async def test_dialect_is_read_and_set_by_name_and_by_value(panel: Panel, sandbox: Sandbox) -> None:
    assert await panel.fetch("GET", "/dialect") == (200, SandboxDialect(name="assumed").to_dict())
    mine = SandboxDialect(name="mine")
    assert await panel.fetch("POST", "/dialect", mine.to_dict()) == (200, mine.to_dict())
    assert sandbox.dialect == mine
    assert (await panel.fetch("POST", "/dialect", {"name": "assumed"}))[0] == 200
    assert sandbox.dialect == SandboxDialect(name="assumed")


@pytest.mark.parametrize("wrong", [{"name": "esperanto"}, {"name": 7}, {"tongue": {}}, {"name": "x", "brokerage": 1}])
async def test_dialect_that_is_none_is_refused_with_one_clear_error(panel: Panel, sandbox: Sandbox, wrong: Any) -> None:
    status, refused = await panel.fetch("POST", "/dialect", wrong)
    assert (status, refused["message"].startswith("dialect must be ")) == (400, True)
    assert sandbox.dialect == SandboxDialect(name="assumed")
