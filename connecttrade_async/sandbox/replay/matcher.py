"""The choice of the recorded exchange or frame that a request or a frame of this run stands for."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import quote, unquote

import msgspec

from connecttrade_async.sandbox.replay.bindings import FAMILY_OF, Bindings, snake_name
from connecttrade_async.sandbox.replay.records import Exchange
from connecttrade_async.sandbox.rest.routes import PATHS

__all__ = ["Comparison", "ExchangeMatcher", "Request", "compare"]

_HIDDEN = "***"
"""Stands in a recording for a credential."""
_CREDENTIALS = frozenset({"access_token", "client_id", "client_secret", "user_secret"})
_VOLATILE = frozenset(
    {"end_date", "end_time", "next_cursor", "prev_cursor", "redirect_url", "start_date", "start_time", "timestamp"}
)
"""Parameters and members that hold times, cursors and addresses, which differ between two runs."""
_PART = re.compile(r"\{([A-Za-z_]\w*)\}")


class Request(NamedTuple):
    """One request of this run; `path` is as it came, quoted."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    user: str | None
    body: str


class Comparison(msgspec.Struct):
    """What differs between a recorded value and one of this run.

    Attributes:
        pairs: ids as (family, recorded, actual).
        difference: how many other values differ.
        is_alike: whether both have the same shape; False ends the comparison.
    """

    pairs: list[tuple[str, str, str]] = msgspec.field(default_factory=list[tuple[str, str, str]])
    difference: int = 0
    is_alike: bool = True

    def add(self, name: str, recorded: str, actual: str, *, is_strict: bool = False) -> None:
        """Compare two texts under a name.

        Args:
            name: of the parameter or the member.
            recorded: the text in the recording.
            actual: the text of this run.
            is_strict: whether a text that holds no id, time, cursor or credential must be the same.
        """
        name = snake_name(name)
        if name in FAMILY_OF:
            self.pairs.append((FAMILY_OF[name], recorded, actual))
        elif _HIDDEN not in {recorded, actual} and name not in _CREDENTIALS and recorded != actual:
            self.difference += 1
            self.is_alike = self.is_alike and (not is_strict or name in _VOLATILE)


def compare(recorded: Any, actual: Any, into: Comparison, name: str = "", *, is_strict: bool = False) -> None:  # noqa: ANN401  JSON
    """Compare two JSON values: the same names and types at every place, and with `is_strict` the same values."""
    if type(recorded) is not type(actual):
        into.is_alike = False
    elif isinstance(recorded, dict):
        into.is_alike = into.is_alike and recorded.keys() == actual.keys()
        for key in recorded.keys() & actual.keys():
            compare(recorded[key], actual[key], into, key, is_strict=is_strict)
    elif isinstance(recorded, list):
        olds, news = list(cast("Iterable[Any]", recorded)), list(cast("Iterable[Any]", actual))
        into.is_alike = into.is_alike and len(olds) == len(news)
        # The order of topics and symbols says nothing, so lists of text are compared sorted.
        if all(isinstance(item, str) for item in olds + news):
            olds, news = sorted(olds), sorted(news)
        for old, new in zip(olds, news, strict=False):
            compare(old, new, into, name, is_strict=is_strict)
    elif isinstance(recorded, str) or (recorded is not None and snake_name(name) in FAMILY_OF):
        into.add(name, str(recorded), str(actual), is_strict=is_strict)
    elif recorded != actual:
        into.difference += 1
        into.is_alike = into.is_alike and not is_strict


class _Candidate(NamedTuple):
    exchange: Exchange
    parts: dict[str, str]
    query: list[tuple[str, str]]
    body: object


class ExchangeMatcher:
    """Hands out recorded exchanges, each once.

    Args:
        exchanges: in the order of their times.
        bindings: the ids of the replay.
    """

    def __init__(self, exchanges: Iterable[Exchange], bindings: Bindings) -> None:
        self._bindings = bindings
        self._patterns: dict[tuple[str, str], re.Pattern[str]] = {}
        self._left: dict[tuple[str, str], dict[int, _Candidate]] = {}
        self._awaited: dict[int, float] = {}
        for number, exchange in enumerate(exchanges):
            template, pattern, parts = _template(exchange)
            operation = (exchange.method, template)
            self._patterns[operation] = pattern
            candidate = _Candidate(exchange, parts, sorted(exchange.query), _body(exchange.request))
            self._left.setdefault(operation, {})[number] = candidate
            self._awaited[number] = exchange.at

    @property
    def left(self) -> tuple[str, ...]:
        """The operations that were not asked for, such as ``GET /users``, in the order of their times."""
        numbers = {number: " ".join(operation) for operation, left in self._left.items() for number in left}
        return tuple(numbers[number] for number in sorted(numbers))

    @property
    def next_at(self) -> float:
        """The time of the first exchange that was not taken and is still awaited; infinite if there is none."""
        return next(iter(self._awaited.values()), math.inf)

    def stop_waiting(self, at: float) -> None:
        """Await no exchange before a time any longer. A request can still take it."""
        while self.next_at < at:
            del self._awaited[next(iter(self._awaited))]

    def take(self, request: Request) -> Exchange | None:
        """Return the recorded exchange that a request stands for, and bind its ids; None if there is none.

        Of several it is the one with the fewest differences, and of these the first.
        """
        body, path = _body(request.body), _quoted(request.path)
        best: tuple[int, int, tuple[str, str], Comparison] | None = None
        for operation, pattern in self._patterns.items():
            match = pattern.fullmatch(path) if operation[0] == request.method else None
            if match is None:
                continue
            parts = _parts(match)
            for number, candidate in self._left[operation].items():
                found = _compared(candidate, request, parts, body)
                if not found.is_alike or not self._bindings.can_bind(found.pairs):
                    continue
                difference = found.difference + self._count_unknown(found)
                if best is None or (difference, number) < best[:2]:
                    best = (difference, number, operation, found)
                if not difference:
                    break
        if best is None:
            return None
        _, number, operation, found = best
        self._bindings.bind(found.pairs)
        self._awaited.pop(number, None)
        return self._left[operation].pop(number).exchange

    def _count_unknown(self, found: Comparison) -> int:
        """Count the ids that this run would bind to others."""
        return sum(old != new and not self._bindings.is_bound(kind, old, new) for kind, old, new in found.pairs)


def _compared(candidate: _Candidate, request: Request, parts: Mapping[str, str], body: object) -> Comparison:
    found, exchange = Comparison(), candidate.exchange
    found.pairs += [(FAMILY_OF.get(name, name), value, parts[name]) for name, value in candidate.parts.items()]
    query = sorted(request.query)
    found.is_alike = [name for name, _ in candidate.query] == [name for name, _ in query]
    found.is_alike = found.is_alike and (exchange.user is None) is (request.user is None)
    if found.is_alike:
        for (name, value), (_, other) in zip(candidate.query, query, strict=True):
            found.add(name, value, other, is_strict=True)
        if exchange.user is not None and request.user is not None:
            found.add("user_id", exchange.user, request.user)
        compare(candidate.body, body, found)
    return found


def _body(text: str | None) -> object:
    if not text:
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def _template(exchange: Exchange) -> tuple[str, re.Pattern[str], dict[str, str]]:
    """Return the template of an exchange's path, its pattern, and the parts that vary."""
    path = _quoted(exchange.path)
    given = (exchange.operation or "").partition(" ")[2]
    for template in (given, *PATHS):
        pattern = re.compile("".join(_pieces(template)))
        match = pattern.fullmatch(path)
        if template and match is not None:
            return template, pattern, _parts(match)
    return path, re.compile(re.escape(path)), {}


def _parts(match: re.Match[str]) -> dict[str, str]:
    return {name: unquote(value) for name, value in match.groupdict().items()}


def _quoted(path: str) -> str:
    """Return a path with every part quoted in one way, so that a slash within an id stays within its part."""
    return "/".join(quote(unquote(part), safe="") for part in path.split("/"))


def _pieces(template: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, piece in enumerate(_PART.split(template)):
        if number % 2 == 0:
            yield re.escape(piece)
        elif piece not in seen:
            seen.add(piece)
            yield f"(?P<{piece}>[^/]+)"
        else:
            yield f"(?P={piece})"
