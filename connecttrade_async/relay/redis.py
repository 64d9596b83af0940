"""Connections to Redis or Valkey: the only module that imports ``redis``.

Each connection is used by one task. It is dropped on any error and on cancellation, and the next call opens a new one.
With Sentinel that finds the new master, which a connection that stays open would not.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from redis import asyncio as aredis, exceptions as problems
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from connecttrade_async.errors import ConfigurationError, RelayError
from connecttrade_async.relay.log import LogPosition, LogSnapshot
from connecttrade_async.relay.scripts import PROBE, VIEW, RelayKeys, Script
from connecttrade_async.secret import Secret, redact, without_frames

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_VERSION = (6, 2)  # XTRIM MINID
MAX_TIMEOUT = 5.0  # seconds
CONNECT = 3.0  # times as long as a call: opening a connection takes several round trips
READ_MARGIN = 1.0  # seconds that the answer of a blocking read may take beyond the block
# Settings of the caller's client that would resend a blocked read, change the form of answers or share state: these
# beginnings of their names.
DROPPED = (
    *("retry", "health_check_interval", "decode_responses", "parser_class", "legacy_responses"),
    *("maint", "oss_cluster", "orig_", "event_dispatcher", "himport"),
)
SECRETS = ("password", "username")
PROBLEMS: tuple[tuple[type[Exception], str], ...] = (
    (problems.AuthenticationError, "refused"),
    (problems.NoPermissionError, "permission"),
    (problems.ReadOnlyError, "read-only"),
    (problems.OutOfMemoryError, "full"),
)
# The beginning of an error, where the library has no class for it or a script reports it.
CODES = {
    "WRONGPASS": "refused",
    "NOAUTH": "refused",
    "NOPERM": "permission",
    "READONLY": "read-only",
    "OOM": "full",
    "WRONGTYPE": "key",
    "MASTERDOWN": "unreachable",
    "LOADING": "unreachable",
    "UNBLOCKED": "unreachable",
    "MISCONF": "read-only",
    "NOREPLICAS": "read-only",
}
_COMMAND = re.compile(r"'([a-z|]+)' command|command '([a-z|]+)'", re.IGNORECASE)
_REFUSED_KEYS = re.compile(r"access (?:at least )?one of the keys|access the .*key")
# What servers report for a command inside a script: 7.0 in other words than later ones.
_REFUSED_IN_SCRIPT = re.compile(r"ACL failure|no permission|can't (?:run this command|access at least one)")
log = logging.getLogger("connecttrade_async.relay")

Rows = list[tuple[bytes, list[bytes]]]
"""Entries of the log: the id of each, and its names and values in turn."""


class ScriptReply(NamedTuple):
    """The reply of a script.

    Attributes:
        word: the outcome, one of the words of ``scripts``.
        text: the lease, the id or the epoch that explains it.
        number: milliseconds, or a count.
    """

    word: bytes
    text: str
    number: int


class RedisAddress:
    """The server of a relay, as an address or a client of redis-py names it.

    Args:
        target: ``redis://``, ``rediss://`` or ``unix://``, or a ``redis.asyncio.Redis``, also one of a Sentinel. Of a
            client only the settings are used, on connections of the relay's own.

    Raises:
        ConfigurationError: it is neither. The message does not show an address, which may hold a password.
    """

    __slots__ = ("_client", "_kind", "_settings", "name", "secrets")

    def __init__(self, target: object) -> None:
        self.name = "unknown"
        if isinstance(target, str | Secret):
            target = Secret.wrap(target)  # rebound before it is checked: tracebacks can print variables
            pool = _pool_of(target)
        elif isinstance(target, aredis.Redis):
            pool = cast("Any", target).connection_pool
        else:
            wanted = "an address such as redis://host or a redis.asyncio.Redis"
            raise ConfigurationError(f"url_or_client must be {wanted}, got {type(target).__name__}")
        settings: dict[str, Any] = {
            name: value for name, value in pool.connection_kwargs.items() if not name.startswith(DROPPED)
        }
        self.secrets: tuple[Secret, ...] = ()
        for name in SECRETS:
            if isinstance(settings.get(name), str):
                secret = Secret(settings[name])
                settings[name] = secret.reveal()
                self.secrets += (secret,) if name == "password" else ()
        self._client = target  # keeps a Sentinel's pool alive, to which its settings refer weakly
        self._kind: Any = pool.connection_class
        self._settings = settings
        self.name = _name_of(pool, settings)

    def connection(self, timeout: float) -> Any:  # noqa: ANN401 - of a class that the target chooses
        """Return a new connection that is not open yet.

        Args:
            timeout: seconds to connect.
        """
        return self._kind(
            **self._settings
            | {
                # Answers differ in form between the protocols. The timeouts of this module replace the library's.
                "protocol": 2,
                "retry": Retry(NoBackoff(), 0),
                "socket_timeout": None,
                "socket_connect_timeout": timeout,
            }
        )

    def channel(self, keys: RelayKeys, timeout: float) -> RedisChannel:
        """Return a channel to the server that opens its connection with its first call.

        Args:
            keys: the keys of the relay.
            timeout: seconds for one call, without connecting.
        """
        return RedisChannel(self, keys, timeout)

    def __repr__(self) -> str:
        return f"<RedisAddress {self.name}>"


def _pool_of(address: Secret) -> Any:  # noqa: ANN401 - a pool of redis-py
    try:
        pool: Any = cast("Any", aredis.ConnectionPool).from_url(str.__str__(address.reveal()))
    except Exception:  # noqa: BLE001 - of any class, and its text may quote the address
        pool = None
    if pool is None:
        msg = "url_or_client must be redis://, rediss:// or unix:// as redis-py takes it, got another address"
        raise ConfigurationError(msg)
    return pool


def _name_of(pool: Any, settings: dict[str, Any]) -> str:  # noqa: ANN401 - a pool of redis-py
    service: object = getattr(pool, "service_name", None)
    if service is not None:
        return f"sentinel {service}"
    if "path" in settings:
        return f"unix://{settings['path']}?db={settings.get('db', 0)}"
    scheme = "rediss" if issubclass(pool.connection_class, aredis.SSLConnection) else "redis"
    return f"{scheme}://{settings.get('host', 'localhost')}:{settings.get('port', 6379)}/{settings.get('db', 0)}"


class RedisChannel:
    """One connection with the commands of the relay; one task uses it at a time.

    Args:
        address: the server.
        keys: the keys of the relay.
        timeout: seconds for one call, without connecting.
    """

    __slots__ = ("_address", "_connection", "_keys", "_timeout")

    def __init__(self, address: RedisAddress, keys: RelayKeys, timeout: float) -> None:
        self._address = address
        self._keys = keys
        self._timeout = min(timeout, MAX_TIMEOUT)
        self._connection: Any = None

    async def run(self, script: Script, *arguments: str | bytes | int) -> ScriptReply:
        """Run a script that writes.

        Raises:
            RelayError: the server could not be used. The script may have run.

        Cancelling drops the connection; the script may have run.
        """
        word, text, number = await self._run(script, self._keys, *arguments)
        return ScriptReply(word, text.decode("utf-8", "replace"), number)

    async def view(self) -> LogSnapshot:
        """Return the log and the lease now.

        Raises:
            RelayError: the server could not be used.
        """
        answer = await self._run(VIEW, self._keys)
        _, top, state, owner, remaining, standby, now, entries, last_at = answer
        worker, _, epoch = owner.decode("utf-8", "replace").rpartition(":")
        is_owned = epoch.isdigit()
        return LogSnapshot(
            top=LogPosition.parse(top),
            is_live=state == b"live",
            leader=worker if is_owned else None,
            epoch=int(epoch) if is_owned else None,
            remaining=max(remaining, 0),
            standby=max(standby, 0),
            now=now,
            entries=entries,
            last_at=last_at,
        )

    async def read(self, after: LogPosition, count: int, block: float) -> Rows:
        """Return the entries behind a position, in order; wait for the first one.

        Args:
            after: the position.
            count: the greatest number of entries.
            block: the longest wait, in seconds.

        Raises:
            RelayError: the server could not be used.
        """
        wait = max(1, int(block * 1000))
        command = ("XREAD", "COUNT", count, "BLOCK", wait, "STREAMS", self._keys.log, str(after))
        found = await self._call(command, block + max(READ_MARGIN, self._timeout))
        return [] if not found else cast("Rows", found[0][1])

    async def check(self, *, leads: bool) -> None:
        """Check the server's version, the keys and the permissions, and warn about a policy that evicts.

        Args:
            leads: whether to check the permissions to write too.

        Raises:
            RelayError: the server could not be used, with the reason.
        """
        await self._check_version()
        lease = self._keys.lease
        probe = (f"{lease}:probe", f"{lease}:probe:log")
        _, command, problem, *kinds = await self._run(PROBE, (*self._keys, *probe), "1" if leads else "0")
        for key, kind in zip(self._keys, kinds, strict=True):
            expected = ("stream", "none") if key == self._keys.log else ("string", "none")
            if kind.decode() not in expected:
                detail = f"the key {key} is a {kind.decode()} and not a {expected[0]}: delete it, or choose a prefix"
                raise RelayError(kind="key", detail=detail)
        if problem:
            raise self._error_of(problem.decode("utf-8", "replace"), command.decode().lower())
        await self._call(("XREAD", "COUNT", 1, "STREAMS", probe[1], "0-0"), self._timeout)

    async def _check_version(self) -> None:
        try:
            answer: bytes = await self._call(("INFO",), self._timeout)
        except RelayError as exc:
            if exc.kind != "permission":
                raise
            log.warning("the version and the policy of the relay's Redis server are unknown: %s", exc.detail)
            return
        facts = dict(re.findall(r"^([a-z_]+):(.*?)\r?$", answer.decode("utf-8", "replace"), re.MULTILINE))
        version = facts.get("redis_version", "")
        parts = re.match(r"(\d+)\.(\d+)", version)
        if parts is not None and (int(parts[1]), int(parts[2])) < MIN_VERSION:
            detail = f"it is version {version}, and the relay needs {'.'.join(map(str, MIN_VERSION))} or later"
            raise RelayError(kind="version", detail=detail)
        policy = facts.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            log.warning(
                "the relay's Redis server may evict its log: maxmemory-policy is %s; set it to noeviction", policy
            )

    async def _run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> Any:  # noqa: ANN401 - each script has its own form
        rest = (len(keys), *keys, *arguments)
        try:
            return await self._call(("EVALSHA", script.digest, *rest), self._timeout)
        except RelayError as exc:
            if exc.kind != "no script":
                raise
        return await self._call(("EVAL", script.text, *rest), self._timeout)

    async def _call(self, command: tuple[str | bytes | int, ...], timeout: float) -> Any:  # noqa: ANN401 - each command has its own form
        failure: BaseException | None = None
        try:
            if self._connection is None:
                connect = min(CONNECT * self._timeout, MAX_TIMEOUT)
                async with asyncio.timeout(connect):
                    self._connection = self._address.connection(connect)
                    await self._connection.connect()
            async with asyncio.timeout(timeout):
                await self._connection.send_command(*command)
                return await self._connection.read_response()
        except problems.NoScriptError:
            failure = RelayError(kind="no script", detail="the script is not loaded")
        except problems.ResponseError as exc:
            error = self._error_of(str(exc), str(command[0]).lower(), exc)
            if error.kind in ("unreachable", "read-only", "refused"):
                await self._drop()  # another server may be the master now
            failure = error
        except (problems.RedisError, OSError, TimeoutError) as exc:
            await self._drop()
            failure = self._error_of(str(exc) or f"no answer within {timeout:g} s", str(command[0]).lower(), exc)
        except BaseException:
            await self._drop()  # an answer under way would be taken for that of the next command
            raise
        raise failure

    def _error_of(self, text: str, command: str, exc: Exception | None = None) -> RelayError:
        """Return the error for a problem, without secrets."""
        code = text.split(" ", 1)[0]
        kind = next((kind for known, kind in PROBLEMS if isinstance(exc, known)), None) or CODES.get(code)
        if kind is None and _REFUSED_IN_SCRIPT.search(text):
            kind = "permission"
        if kind is None:
            kind = "failed" if exc is None or isinstance(exc, problems.ResponseError) else "unreachable"
        detail = redact(text, self.secrets)
        if kind == "permission" and _REFUSED_KEYS.search(text):
            detail = f"its user may not use the keys {self._keys.lease.removesuffix('lease')}* ({detail})"
        elif kind == "permission":
            named = _COMMAND.search(text)
            name = next(filter(None, named.groups()), command) if named is not None else command
            detail = f"its user may not use the command {name.upper()} ({detail})"
        elif kind == "read-only":
            detail = f"it does not accept writes ({detail})"
        elif kind == "full":
            detail = f"its memory is full ({detail})"
        elif kind == "key":
            detail = f"a key of the relay has another type ({detail}): delete it, or choose a prefix"
        elif kind == "refused":
            detail = f"it refuses the username or the password ({detail})"
        elif kind == "unreachable":
            detail = f"{self._address.name} cannot be reached ({detail})"
        error = RelayError(kind=kind, detail=detail)
        error.__cause__ = None if exc is None else without_frames(exc)
        return error

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The password of the server."""
        return self._address.secrets

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._drop()

    def __repr__(self) -> str:
        return f"<RedisChannel {self._address.name}>"
