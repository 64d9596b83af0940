"""Market data in the user's own browser: the server creates the token, and the page opens the stream with it.

All of a user's market data goes to one address, and the vendor recommends the user's browser for it. The page gets only
the token: the client's secret and the user's secret stay on the server. Run this, with the id of a connection of type
``market_data`` and both credentials in the environment, and open http://127.0.0.1:8080:

    python examples/token_for_the_browser.py CONNECTION_ID
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from aiohttp import web

from connecttrade_async import AuthenticationError, ConnectTrade, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT = web.AppKey("client", ConnectTrade)
CONNECTION_ID = web.AppKey("connection_id", str)
STREAM = os.environ.get("CONNECTTRADE_MDSTREAM_URL", "wss://mdstream.connecttrade.com")
PAGE = """<!doctype html><title>Quotes</title><pre id="quotes"></pre><script>
const send = (socket, frame) => socket.send(JSON.stringify(frame));
(async () => {
  const answer = await fetch("/token", {method: "POST"});
  const {access_token} = await answer.json();
  const socket = new WebSocket(%s);
  socket.onmessage = ({data}) => {
    const frame = JSON.parse(data);
    if (frame.type === "welcome") send(socket, {action: "authenticate", access_token});
    const request = {action: "subscribe", id: "1", channel: "quotes", symbols: ["AAPL"]};
    if (frame.type === "authenticated") send(socket, request);
    if (frame.type === "quote") document.getElementById("quotes").textContent = `${frame.symbol} ${frame.bid_price}`;
  };
})();
</script>"""


async def page(request: web.Request) -> web.Response:
    """``GET /``: the page, which holds no secret."""
    del request
    return web.Response(text=PAGE % json.dumps(STREAM), content_type="text/html")


async def token(request: web.Request) -> web.Response:
    """``POST /token``: a new token for the user of the session, which replaces the one before.

    It is a POST, so that no image or link of another page creates one. Read the user from your own session.
    """
    user = request.app[CLIENT].user(os.environ["CONNECTTRADE_USER_ID"], os.environ["CONNECTTRADE_USER_SECRET"])
    try:
        made = await user.connections.token(request.app[CONNECTION_ID])
    except (AuthenticationError, NotFoundError) as exc:
        raise web.HTTPForbidden(text=exc.message) from exc
    ends = None if made.expires_at is None else made.expires_at.isoformat()
    body = {"access_token": made.access_token.reveal(), "expires_at": ends}
    return web.json_response(body, headers={"Cache-Control": "no-store"})


async def connected(app: web.Application) -> AsyncIterator[None]:
    """Keep one client while the server runs."""
    async with ConnectTrade.from_env() as ct:
        app[CLIENT] = ct
        yield


def make_app(connection_id: str) -> web.Application:
    """Return the web application."""
    app = web.Application()
    app[CONNECTION_ID] = connection_id
    app.add_routes([web.get("/", page), web.post("/token", token)])
    app.cleanup_ctx.append(connected)
    return app


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("usage: python examples/token_for_the_browser.py CONNECTION_ID")
    web.run_app(make_app(sys.argv[1]), host="127.0.0.1", port=8080)
