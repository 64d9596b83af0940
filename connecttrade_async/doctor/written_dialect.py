"""Put what a command of the doctor has learned into the dialect that earlier ones have written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from connecttrade_async.dialect.parts import FieldNames
    from connecttrade_async.recording.taps import StreamName

__all__ = ["merge_stream"]


def merge_stream(written: Dialect | None, learned: Dialect, stream: StreamName) -> Dialect:
    """Return a written dialect with the part of one stream, and the names of fields, from a learned one.

    Args:
        written: the dialect in the file; None where there is none.
        learned: the configured dialect, changed to what a probe saw.
        stream: the stream that was probed.
    """
    if written is None:
        return learned
    part = learned.brokerage if stream == "brokerage" else learned.market_data
    return _merged(written, learned, **{stream: part})


def _merged(written: Dialect, learned: Dialect, **parts: msgspec.Struct) -> Dialect:
    try:
        return msgspec.structs.replace(written, names=_names(written.names, learned.names), **parts)
    except ConfigurationError:
        # Two names meet that were learned apart; what was seen last holds.
        return msgspec.structs.replace(written, names=learned.names, **parts)


def _names(written: FieldNames, learned: FieldNames) -> FieldNames:
    models = [*written.aliases, *(name for name in learned.aliases if name not in written.aliases)]
    aliases = {name: written.aliases.get(name, {}) | learned.aliases.get(name, {}) for name in models}
    case = written.case if learned.case == Dialect.default.names.case else learned.case
    return msgspec.structs.replace(learned, case=case, aliases=aliases)
