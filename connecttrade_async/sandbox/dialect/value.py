"""One dialect of the sandbox as a value: readable from JSON and writable to it."""

from collections.abc import Mapping
from typing import Any, Self, cast

import msgspec

from connecttrade_async.sandbox.dialect.rest import RestForms
from connecttrade_async.sandbox.dialect.streams import BrokerageForms, MarketForms

__all__ = ["SandboxDialect"]


class SandboxDialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which form each frame of the streams and each REST answer has.

    Every field is one choice, with a closed set of values or a documented domain. A field that is left out has the form
    that the wire contract assumes.

    Attributes:
        name: the name of the preset, or any name.
        brokerage: the forms of the brokerage stream.
        market_data: the forms of the market data stream.
        rest: the forms of the REST answers.
    """

    name: str = "custom"
    brokerage: BrokerageForms = msgspec.field(default_factory=BrokerageForms)
    market_data: MarketForms = msgspec.field(default_factory=MarketForms)
    rest: RestForms = msgspec.field(default_factory=RestForms)

    def __post_init__(self) -> None:
        if self.brokerage.events.ids != self.rest.ids:
            raise ValueError(f"ids must be {self.rest.ids} in events as over REST, got {self.brokerage.events.ids}")

    @classmethod
    def from_dict(cls, members: Mapping[str, object]) -> Self:
        """Read a dialect from a JSON object that has its fields as members.

        Args:
            members: the object; a member that is left out has its default.

        Raises:
            ValueError: a member is unknown or has a value that it cannot have; the message names its path.
        """
        try:
            return msgspec.convert(members, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"dialect must be an object with the fields of a dialect, got one where {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return the dialect as a JSON object, with every field of it."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))
