from __future__ import annotations

from typing import Any

import pytest

from connecttrade_async import ConfigurationError
from connecttrade_async.relay.settings import Keep, RelaySettings

VALID: dict[str, Any] = {"lease": 3.0, "keep": Keep(), "lead": True, "prefix": "ct"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"lease": 0},
        {"lease": 0.05},
        {"lease": "3"},
        {"lease": float("inf")},
        {"keep": 100_000},
        {"lead": 1},
        {"prefix": ""},
        {"prefix": "a{b}"},
        {"prefix": "a b"},
        {"prefix": "a\n"},
        {"prefix": b"ct"},
    ],
    ids=str,
)
def test_settings_reject_invalid_values(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        RelaySettings(**(VALID | wrong))


@pytest.mark.parametrize("wrong", [{"events": 0}, {"events": 1.5}, {"age": 0}, {"age": "1"}], ids=str)
def test_keep_rejects_invalid_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^Keep\.\w+ must be"):
        Keep(**wrong)


def test_keys_outlive_a_lease_and_last_as_long_as_entries() -> None:
    settings = RelaySettings(**VALID)
    assert (settings.lease_ms, settings.keep_ms) == (3000, 900_000)
    short = RelaySettings(lease=3.0, keep=Keep(age=0.1), lead=True, prefix="ct")
    assert short.keep_ms == 3000
