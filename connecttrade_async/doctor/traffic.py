"""The traffic of a doctor's probe: a recording by shape, for a report about the form of the wire alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connecttrade_async.recording.recorder import Recorder
from connecttrade_async.recording.redaction import Redactor, ShapePolicy, ValuePolicy

if TYPE_CHECKING:
    import os

    from connecttrade_async.client import ConnectTrade
    from connecttrade_async.secret import Secret

__all__ = ["ShapeRecorder"]


class ShapeRecorder(Recorder):
    """A recorder that replaces each value by its class, such as ``uuid:A`` or ``decimal(9,2):B``.

    Args:
        ct: the client.
        path: the file to create; it must not exist.
        with_values: whether the values stay. Secrets and tokens are masked even then.
        settings: as for ``Recorder``.
    """

    def __init__(
        self,
        ct: ConnectTrade,
        path: str | os.PathLike[str],
        *,
        with_values: bool = False,
        **settings: Any,  # noqa: ANN401 - those of Recorder
    ) -> None:
        self._with_values = with_values
        super().__init__(ct, path, **settings)

    def _new_redactor(self, secret: Secret) -> Redactor:
        if self._with_values:
            return Redactor(ValuePolicy(), [secret], hides_identities=False)
        return Redactor(ShapePolicy(), [secret])
