"""A dialect: every name and form of the wire that is assumed, as one value that a file can replace."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping  # noqa: TC003 - help() evaluates what the signatures name
from pathlib import Path
from typing import Any, ClassVar, cast

import msgspec

from connecttrade_async.dialect.checks import check_brokerage, check_market_data, check_names, check_rest
from connecttrade_async.dialect.parts import (
    BrokerageDialect,
    DialectPart,
    ErrorMeanings,
    FieldNames,
    MarketDataDialect,
    RestDialect,
)
from connecttrade_async.dialect.shape import check_shape
from connecttrade_async.dialect.toml_text import encode_toml
from connecttrade_async.errors import ConfigurationError

__all__ = ["Dialect"]

MAX_BYTES = 1 << 18
INLINE = frozenset({"authenticate", "subscribe", "unsubscribe", "list", "snapshot", "pong", "values", "when"})


class Dialect(DialectPart, frozen=True, kw_only=True):
    """How the server speaks: the names and forms of frames, envelopes, cursors and fields.

    The defaults are the documented, seen and assumed forms; the docstrings of the parts mark which is which. A dialect
    is compiled once per stream, so that another one decodes as fast.

    Attributes:
        brokerage: the brokerage stream.
        market_data: the market data stream.
        names: the names of fields in models and messages.
        rest: the REST API.
        errors: the meanings of error codes, close codes and words of the streams.

    Raises:
        ConfigurationError: a value is invalid; the message has its key.
    """

    default: ClassVar[Dialect]
    """The dialect of the documented, seen and assumed forms."""

    brokerage: BrokerageDialect = BrokerageDialect()
    market_data: MarketDataDialect = MarketDataDialect()
    names: FieldNames = FieldNames()
    rest: RestDialect = RestDialect()
    errors: ErrorMeanings = ErrorMeanings()

    def __post_init__(self) -> None:
        """Reject values of other types, templates without their placeholders, and names that meet."""
        check_shape("", self, Dialect)
        check_brokerage(self.brokerage)
        check_market_data(self.market_data)
        check_names(self.names)
        check_rest(self.rest)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Dialect:
        """Return the dialect of plain values, as decoded from TOML or JSON; what they omit is the default.

        Raises:
            ConfigurationError: a key is unknown or a value is invalid; the message has the key.
        """
        check_shape("", values, Dialect)
        try:
            return msgspec.convert(values, Dialect)
        except msgspec.ValidationError as exc:
            # An error of ``__post_init__`` arrives here with another message, which lacks the key.
            raise exc.__cause__ or exc from None

    @classmethod
    def load(cls, path: str | Path) -> Dialect:
        """Read a dialect from a file: JSON if its name ends with ``.json``, else TOML.

        Args:
            path: the path of a file of at most 262,144 bytes, in UTF-8.

        Raises:
            ConfigurationError: the file cannot be read or decoded, or a value is invalid.
        """
        file = Path(path)
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
        except OSError as exc:
            msg = f"dialect must be a file that can be read, got {str(path)!r}: {exc.strerror or type(exc).__name__}"
            raise ConfigurationError(msg) from None
        if len(content) > MAX_BYTES:
            msg = f"dialect must be a file of at most {MAX_BYTES} bytes, got {str(path)!r}, which is larger"
            raise ConfigurationError(msg)
        return cls.from_dict(_decoded(content, file))

    def to_dict(self) -> dict[str, Any]:
        """Return all values as plain ones, defaults included; ``from_dict`` takes them."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    def to_toml(self, *, full: bool = False) -> str:
        """Return the TOML that ``load`` takes.

        Args:
            full: whether to include values that equal the default.
        """
        values = self.to_dict()
        return encode_toml(values if full else _difference(values, Dialect.default.to_dict()), INLINE)

    def dump(self, path: str | Path, *, full: bool = False) -> None:
        """Write the TOML that ``load`` takes to a file, which is replaced if it exists.

        Args:
            path: the path.
            full: whether to include values that equal the default.

        Raises:
            OSError: the file cannot be written.
        """
        Path(path).write_text(self.to_toml(full=full), encoding="utf-8")


Dialect.default = Dialect()


def _decoded(content: bytes, file: Path) -> dict[str, Any]:
    """Return the values of a file."""
    is_json = file.suffix.lower() == ".json"
    try:
        values: Any = msgspec.json.decode(content) if is_json else tomllib.loads(content.decode())
    except (ValueError, RecursionError) as exc:
        # TOML's and JSON's errors are ValueErrors; their texts have positions and single characters of the file.
        msg = f"dialect must be a file of {'JSON' if is_json else 'TOML'}, got {str(file)!r}: {_problem(exc)}"
    else:
        return cast("dict[str, Any]", values)
    raise ConfigurationError(msg)


def _problem(exc: Exception) -> str:
    # The text of a UnicodeDecodeError holds bytes of the file.
    return str(exc)[:200] if isinstance(exc, tomllib.TOMLDecodeError | msgspec.MsgspecError) else type(exc).__name__


def _difference(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are not the default; templates and lists stay whole."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if value == default:
            continue
        is_table = name not in INLINE and isinstance(value, dict) and isinstance(default, dict)
        found[name] = _difference(cast("dict[str, Any]", value), cast("dict[str, Any]", default)) if is_table else value
    return found
