"""A web backend that lets a person connect a broker: one route sends them to the login pages, one reads the way back.

Run a sandbox, export the lines that it prints, then run this and open http://127.0.0.1:8080/connect/ada:

    connecttrade sandbox
    python examples/connect_a_user.py
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aiohttp import web

from connecttrade_async import ConnectTrade, OAuthError, Secret, parse_redirect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8080")  # live brokers want a public https address here
CLIENT = web.AppKey("client", ConnectTrade)
USER_SECRETS = web.AppKey("user_secrets", dict[str, Secret])  # yours would be an encrypted column of your users' table


async def start(request: web.Request) -> web.Response:
    """``GET /connect/{user_id}``: make the user if it is new, and send the person to the login pages."""
    ct, secrets = request.app[CLIENT], request.app[USER_SECRETS]
    user_id = request.match_info["user_id"]
    if user_id not in secrets:
        secrets[user_id] = (await ct.users.create(user_id)).user_secret
    user = ct.user(user_id, secrets[user_id])
    login = await user.connections.create("trade", redirect_url=f"{PUBLIC_URL}/done/{user_id}")
    raise web.HTTPFound(login.url)


async def done(request: web.Request) -> web.Response:
    """``GET /done/{user_id}``: the person is back, connected or not."""
    try:
        connection = parse_redirect(str(request.url))
    except OAuthError as error:
        return web.Response(text=f"Not connected: {error.details or error.error}", status=400)
    user_id = request.match_info["user_id"]
    secret = request.app[USER_SECRETS].get(user_id)
    if secret is None:
        raise web.HTTPNotFound(text="No user of that name has begun to connect.")
    user = request.app[CLIENT].user(user_id, secret)
    # Read it from the API, because any visitor can type an address. Another user's connection is a NotFoundError.
    accounts = await user.accounts.list(connection_id=connection.connection_id)
    return web.json_response([account.account_id for account in accounts])


async def client(app: web.Application) -> AsyncIterator[None]:
    """Keep one client for the life of the backend: all users share its connections."""
    async with ConnectTrade.from_env() as ct:
        app[CLIENT] = ct
        yield


def make_app() -> web.Application:
    """Return the backend."""
    app = web.Application()
    app[USER_SECRETS] = {}
    app.add_routes([web.get("/connect/{user_id}", start), web.get("/done/{user_id}", done)])
    app.cleanup_ctx.append(client)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=8080)
