"""The sandbox's user tokens: JSON Web Tokens in the shape of the real ones, signed with a key of the sandbox alone."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

__all__ = ["user_token"]

_LIFE = timedelta(hours=1)
"""Documented."""


def user_token(key: str, user_id: str, scopes: Sequence[str], now: datetime, serial: str) -> str:
    """Return a JWT (HS256) with user, scopes and expiry.

    Args:
        key: what signs it.
        user_id: its subject.
        scopes: ``read``, or ``read`` and ``trade``.
        now: when it begins; it ends an hour later.
        serial: what makes it another token than the one before.
    """
    header = {"alg": "HS256", "typ": "JWT"}
    claims = {
        "sub": user_id,
        "scope": " ".join(scopes),
        "iat": int(now.timestamp()),
        "exp": int((now + _LIFE).timestamp()),
        "jti": serial,
    }
    signed = f"{_part(header)}.{_part(claims)}"
    signature = hmac.digest(key.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_base64(signature)}"


def _part(members: Mapping[str, object]) -> str:
    return _base64(json.dumps(members, separators=(",", ":")).encode())


def _base64(blob: bytes) -> str:
    return base64.urlsafe_b64encode(blob).decode().rstrip("=")
