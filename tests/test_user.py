from __future__ import annotations

import copy
import gc
import sys

import msgspec
import pytest

from connecttrade_async import ConfigurationError, ConnectTrade


def test_user_handle_takes_few_bytes() -> None:
    ct = ConnectTrade("client", "hush")
    user = ct.user("u-1", "whisper")
    assert (repr(user), user.user_id) == ("<User 'u-1'>", "u-1")
    assert not hasattr(user, "__dict__")
    api = user._api
    parts = (user, api, api.user_secret, api.user_secret.reveal() if api.user_secret else "")
    assert sum(sys.getsizeof(part) for part in parts) < 400
    # Of thousands of handles a full garbage collection has nothing to look at.
    assert not gc.is_tracked(user)
    assert user != ct.user("u-1", "whisper")
    assert len({user, copy.copy(user)}) == 2
    with pytest.raises(TypeError, match="unsupported"):
        msgspec.json.encode(user)


def test_market_data_without_an_address_is_rejected() -> None:
    class OnlyRest:
        api = "https://api.example"

    user = ConnectTrade("client", "hush", endpoints=OnlyRest()).user("u-1", "whisper")
    with pytest.raises(ConfigurationError, match="endpoints must have a market data address, got none"):
        user.market_data("c-1")
