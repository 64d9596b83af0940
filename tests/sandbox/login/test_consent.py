"""How a visit ends: the redirect keeps what the app's URL had, and says what happened."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import example, given, strategies as st

from connecttrade_async.sandbox import RefusalError, Sandbox
from connecttrade_async.sandbox.login.consent import extend, token_of

part = st.text(st.characters(codec="ascii", exclude_characters="#?&=+%;", min_codepoint=33))


@given(
    path=part,
    query=st.lists(st.tuples(part, part)),
    fragment=part,
    extra=st.dictionaries(st.text(min_size=1), st.text(min_size=1)),
)
@example(path="/done", query=[], fragment="", extra={"connection_id": "1"})
def test_a_query_is_kept_and_extended(
    path: str, query: list[tuple[str, str]], fragment: str, extra: dict[str, str]
) -> None:
    written = "&".join(f"{name}={value}" for name, value in query)
    url = f"https://app.example/{path}" + (f"?{written}" if query else "") + (f"#{fragment}" if fragment else "")
    extended = extend(url, extra)
    parts = urlsplit(extended)
    assert extended.startswith(f"https://app.example/{path}" + (f"?{written}" if query else ""))
    assert parts.fragment == fragment
    kept = parse_qsl(parts.query, keep_blank_values=True)
    assert kept[len(kept) - len(extra) :] == list(extra.items())


@pytest.mark.parametrize(
    ("url", "extended"),
    [
        ("https://a", "https://a?x=1%202"),
        ("https://a/?", "https://a/?x=1%202"),
        ("https://a/?b=c", "https://a/?b=c&x=1%202"),
        ("https://a/?b=c&", "https://a/?b=c&x=1%202"),
        ("https://a/?b=c#d?e", "https://a/?b=c&x=1%202#d?e"),
        ("https://a/#d?e", "https://a/?x=1%202#d?e"),
    ],
)
def test_extend_adds_parameters_to_the_query(url: str, extended: str) -> None:
    assert extend(url, {"x": "1 2"}) == extended


def invite(sandbox: Sandbox, user_id: str = "jane", kind: str = "trade") -> str:
    world = sandbox.world
    user = world.users.get(user_id) or world.create_user(user_id)
    return f"{sandbox.url}/connect/{world.invite(user, kind, 'https://app.example/?s=1', sandbox.clock.now()).token}"


async def test_approve_and_decline_need_no_http() -> None:
    sandbox = Sandbox()
    back = await sandbox.approve(invite(sandbox), "webull", login="j.doe")
    [connection] = sandbox.world.users["jane"].connections.values()
    assert back == f"https://app.example/?s=1&connection_id={connection.connection_id}"
    assert (connection.broker.code, connection.login) == ("WEBULL", "j.doe")
    assert await sandbox.decline(invite(sandbox)) == (
        "https://app.example/?s=1&error=access_denied"
        "&error_details=The%20person%20declined%20to%20share%20these%20accounts."
    )
    assert (await sandbox.decline(invite(sandbox), error="e", details="d")).endswith("&error=e&error_details=d")


async def test_approve_with_accounts_of_another_user_returns_an_error() -> None:
    sandbox = Sandbox()
    await sandbox.approve(invite(sandbox))
    back = await sandbox.approve(invite(sandbox, "john"), login="jane")
    assert back.startswith("https://app.example/?s=1&error=account_already_linked&error_details=")
    assert sandbox.world.users["john"].connections == {}


async def test_links_that_lead_nowhere() -> None:
    sandbox = Sandbox()
    url = invite(sandbox)
    with pytest.raises(RefusalError, match="must say something"):
        await sandbox.decline(url, error="")
    with pytest.raises(RefusalError, match="read only"):
        await sandbox.approve(url, "CHASE")
    await sandbox.approve(url)
    with pytest.raises(RefusalError, match="used"):
        await sandbox.approve(url)
    late = invite(sandbox)
    sandbox.clock.advance(timedelta(hours=1).total_seconds())
    with pytest.raises(RefusalError, match="expired"):
        await sandbox.decline(late)
    for wrong in ("", "https://app.example/", f"{sandbox.url}/connect/"):
        with pytest.raises(RefusalError, match="no login link"):
            token_of(wrong)
    with pytest.raises(RefusalError, match="no such login link"):
        await sandbox.approve("http://127.0.0.1/connect/none")
