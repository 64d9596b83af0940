"""The dialects that have a name."""

from collections.abc import Mapping

from connecttrade_async.sandbox.dialect.value import SandboxDialect

__all__ = ["PRESETS"]

PRESETS: Mapping[str, SandboxDialect] = {preset.name: preset for preset in (SandboxDialect(name="assumed"),)}
"""Every preset by its name. ``assumed`` is the wire contract, and the default."""
