"""The dialects that have a name."""

from collections.abc import Mapping

from connecttrade_async.sandbox.dialect.rest import REST_PRESETS, RestForms
from connecttrade_async.sandbox.dialect.stream_presets import STREAM_PRESETS
from connecttrade_async.sandbox.dialect.value import SandboxDialect

__all__ = ["PRESETS", "find_dialect"]

PRESETS: Mapping[str, SandboxDialect] = {
    name: SandboxDialect(
        name=name, brokerage=brokerage, market_data=market_data, rest=REST_PRESETS.get(name, RestForms())
    )
    for name, (brokerage, market_data) in STREAM_PRESETS.items()
}
"""Every preset by its name. ``assumed`` is the wire contract, and the default."""


def find_dialect(dialect: str | SandboxDialect | Mapping[str, object]) -> SandboxDialect:
    """Return the dialect of a name, or of a value, checked.

    Args:
        dialect: the name of a preset, a dialect, or a JSON object: ``{"name"}`` alone means the preset of that name,
            anything else the fields of a dialect.

    Raises:
        ValueError: there is no preset of that name, or the value is not that of a coherent server.
    """
    if isinstance(dialect, SandboxDialect):
        return SandboxDialect.from_dict(dialect.to_dict())
    if not isinstance(dialect, str):
        name = dialect.get("name")
        if not isinstance(name, str) or len(dialect) > 1:
            return SandboxDialect.from_dict(dialect)
        dialect = name
    if dialect not in PRESETS:
        raise ValueError(f"dialect must be one of {', '.join(PRESETS)}, got {dialect!r}")
    return PRESETS[dialect]
