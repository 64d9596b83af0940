"""The sandbox's pages: what a person sees at a login link, as HTML that needs no script.

Everything that comes from outside is escaped here and nowhere else: a page is built of `Markup` only, and text becomes
`Markup` by `_text`.
"""

from collections.abc import Iterable
from decimal import Decimal
from html import escape
from typing import NewType
from urllib.parse import quote, urlsplit

from .style import STYLE
from .world import Account, Broker, LoginLink

__all__ = ["PASSWORD", "Markup", "accounts_page", "brokers_page", "login_page", "refusal_page"]

Markup = NewType("Markup", str)
"""HTML in which everything is escaped that must be."""

PASSWORD = "sandbox"  # noqa: S105  the pretend password that every login page shows
"""The one password that is right, at every broker and for every name."""

_READ = "See balances, positions, orders and transactions"
_PURPOSES = {
    "trade": ("read and trade", "accounts", (_READ, "Place, replace and cancel orders")),
    "readonly": ("read", "accounts", (_READ, "Nothing else: it cannot trade or move money")),
    "market_data": ("receive market data of", "market data", ("Receive quotes", "It sees none of your accounts")),
}
"""By connection type: what the app would like to do, what is shared, and what that allows."""


def brokers_page(link: LoginLink, brokers: Iterable[Broker]) -> Markup:
    """The first page: which broker."""
    verb = _PURPOSES[link.connection_type][0]
    cards = "".join(_broker_card(broker, is_chosen=broker is link.broker) for broker in brokers)
    return _page(
        "Connect your broker",
        1,
        f"""<p><strong>{_text(_host(link))}</strong> would like to {verb} your brokerage account. Where is it?</p>
<form method="get" action="{_path(link)}/login">
<fieldset><legend>Your broker</legend><div class="grid">{cards}</div></fieldset>
<div class="actions"><button class="main">Continue</button><button form="decline">Not now</button></div>
</form><form id="decline" method="post" action="{_path(link)}/decline"></form>""",
    )


def login_page(link: LoginLink, broker: Broker, login: str, problem: str = "") -> Markup:
    """The second page: who, and with which password; `problem` says what was wrong the last time."""
    alarm = f'<p class="note alarm" role="alert" id="problem">{_text(problem)}</p>' if problem else ""
    described = ' aria-invalid="true" aria-describedby="problem"' if problem else ""
    return _page(
        f"Log in to {broker.name}",
        2,
        f"""{alarm}<p class="note">This is a sandbox, so no real login is needed. Use any name; the password is
<code>{PASSWORD}</code>. Three wrong ones end the visit.</p>
<form method="post" action="{_path(link)}/login">
<input type="hidden" name="broker" value="{broker.code}">
<label class="field">Name<input name="username" value="{_text(login)}" required maxlength="100"
 autocomplete="off"></label>
<label class="field">Password<input name="password" type="password" required autocomplete="off" autofocus{described}>
</label>
<div class="actions"><button class="main">Log in</button><a class="button" href="{_path(link)}">Another broker</a>
<button form="fail">I cannot log in</button></div>
</form><form id="fail" method="post" action="{_path(link)}/fail"></form>""",
    )


def accounts_page(link: LoginLink, broker: Broker, login: str, accounts: Iterable[tuple[Account, Decimal]]) -> Markup:
    """The third page: what will be shared, and the person's consent. Beside each account stands its equity."""
    what, promises = _PURPOSES[link.connection_type][1:]
    items = "".join(f"<li>{promise}</li>" for promise in promises)
    cards = "".join(_account_card(account, equity) for account, equity in accounts)
    shown = f'<fieldset><legend>Your accounts</legend><div class="grid">{cards}</div></fieldset>' if cards else ""
    return _page(
        f"Share your {broker.name} {what} with {_host(link)}?",
        3,
        f"""<p class="soft">You are logged in as {_text(login)}.</p>{shown}
<h2>What this allows</h2><ul>{items}</ul>
<form method="post" action="{_path(link)}/consent"><div class="actions">
<button class="main" name="decision" value="allow">Allow</button>
<button name="decision" value="decline">Decline</button></div></form>""",
    )


def refusal_page(title: str, sentence: str) -> Markup:
    """A page that ends the visit: the link is used up, expired or unknown."""
    return _page(title, 0, f"<p>{_text(sentence)}</p><p class='soft'>Go back to the app and begin again there.</p>")


def _page(title: str, step: int, content: str) -> Markup:
    steps = f"<span>Step {step} of 3</span>" if step else ""
    return Markup(
        f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title><style>{STYLE}</style></head>
<body><header><strong>Connect Trade sandbox</strong>{steps}</header>
<main><h1>{_text(title)}</h1>{content}</main>
<footer>A pretend broker for tests. Nothing here is real money.</footer></body></html>
"""
    )


def _broker_card(broker: Broker, *, is_chosen: bool) -> Markup:
    checked = " checked" if is_chosen else ""
    ability = "Trading and market data" if broker.trading else "Read-only"
    return Markup(
        f'<label class="card"><input type="radio" name="broker" value="{broker.code}" required{checked}>'
        f"<span>{_text(broker.name)}<small>{ability}</small></span></label>"
    )


def _account_card(account: Account, equity: Decimal) -> Markup:
    return Markup(
        f'<div class="card account"><h2>{account.kind.capitalize()} account</h2><dl>'
        f"<dt>Number</dt><dd>ending in {account.number[-4:]}</dd>"
        f"<dt>Worth</dt><dd>${equity:,.2f}</dd></dl></div>"
    )


def _host(link: LoginLink) -> str:
    return urlsplit(link.redirect_url).hostname or ""


def _path(link: LoginLink) -> Markup:
    return Markup(f"/connect/{quote(link.token, safe='')}")


def _text(words: str) -> Markup:
    return Markup(escape(words))
