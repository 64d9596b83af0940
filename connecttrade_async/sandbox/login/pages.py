"""The sandbox's pages: what a person sees at a login link, as HTML that needs no script.

Everything that comes from outside is escaped here and nowhere else: a page is built of `Markup` only, and text becomes
`Markup` by `_text`.
"""

from collections.abc import Iterable
from decimal import Decimal
from html import escape
from typing import NewType
from urllib.parse import quote, urlsplit

from connecttrade_async.sandbox.world import Account, Broker, LoginRequest

__all__ = ["PASSWORD", "STYLE", "Markup", "accounts_page", "brokers_page", "login_page", "refusal_page"]

STYLE = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6878; --paper: #fff; --ground: #eef1f5;
  --line: #d5dbe3;
  --accent: #0b6b5d; --on-accent: #fff; --tint: #e6f3f0; --alarm: #a32020; --alarm-tint: #fdecec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #9fadbd; --paper: #1a222c; --ground: #10161d;
  --line: #34404e; --accent: #4fc3ae; --on-accent: #06231e; --tint: #17302d; --alarm: #ff9d9d;
  --alarm-tint: #3a1d20; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; padding: 2rem 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 42rem; margin: 0 auto; padding: 2rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: 14px; box-shadow: 0 8px 30px rgb(0 0 0 / 8%); }
header, footer { max-width: 42rem; margin: 0 auto; color: var(--soft); font-size: .875rem; }
header { display: flex; justify-content: space-between; gap: 1rem; padding: 0 .25rem .75rem; }
header strong { color: var(--ink); }
footer { padding: 1rem .25rem 0; }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 0; font-size: 1rem; }
p { margin: 0 0 1.25rem; }
.soft { color: var(--soft); }
fieldset { margin: 0 0 1.5rem; padding: 0; border: 0; }
legend { padding: 0; margin-bottom: .5rem; font-weight: 600; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr)); gap: .625rem; }
.card { display: flex; align-items: center; gap: .75rem; padding: .75rem .875rem; border: 1px solid var(--line);
  border-radius: 10px; overflow-wrap: anywhere; }
label.card { cursor: pointer; }
label.card:hover { border-color: var(--accent); }
.card:has(:checked) { border-color: var(--accent); background: var(--tint); }
.card input { accent-color: var(--accent); width: 1.1rem; height: 1.1rem; flex: none; margin: 0; }
.card span { flex: 1; }
.card small, dd small { display: block; color: var(--soft); }
.account { display: block; }
.account dl { margin: .5rem 0 0; display: grid; grid-template-columns: auto 1fr; gap: .125rem 1rem; }
.account dt { color: var(--soft); }
.account dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.field { display: block; margin-bottom: 1rem; font-weight: 600; }
.field input { display: block; width: 100%; margin-top: .25rem; padding: .625rem .75rem; font: inherit;
  font-weight: 400;
  color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 8px; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin-top: 1.5rem; }
button, .button { padding: .625rem 1.25rem; font: inherit; font-weight: 600; border-radius: 8px; cursor: pointer;
  border: 1px solid var(--line); background: transparent; color: inherit; text-decoration: none; }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:hover, .button:hover { filter: brightness(1.08); border-color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.note { padding: .75rem 1rem; margin-bottom: 1.25rem; border-radius: 8px; background: var(--tint); }
.alarm { background: var(--alarm-tint); color: var(--alarm); }
code { padding: .1em .35em; border-radius: 4px; background: var(--ground); font-size: .95em; }
ul { margin: 0 0 1.25rem; padding-left: 1.25rem; }
@media (max-width: 30rem) { body { padding: 1rem .5rem; } main { padding: 1.25rem; } .actions > * { flex: 1 1 100%;
  text-align: center; } }
"""


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


def brokers_page(link: LoginRequest, brokers: Iterable[Broker]) -> Markup:
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


def login_page(link: LoginRequest, broker: Broker, login: str, problem: str = "") -> Markup:
    """The second page: name and password; `problem` says why the last attempt failed."""
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


def accounts_page(
    link: LoginRequest, broker: Broker, login: str, accounts: Iterable[tuple[Account, Decimal]]
) -> Markup:
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


def _host(link: LoginRequest) -> str:
    return urlsplit(link.redirect_url).hostname or ""


def _path(link: LoginRequest) -> Markup:
    return Markup(f"/connect/{quote(link.token, safe='')}")


def _text(words: str) -> Markup:
    return Markup(escape(words))
