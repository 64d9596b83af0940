"""The front door: the ``connecttrade`` command, which needs the extra ``cli`` (click and rich).

Nothing else of the package imports it.
"""

from __future__ import annotations

from connecttrade_async.cli.main import connecttrade

__all__ = ["connecttrade"]
