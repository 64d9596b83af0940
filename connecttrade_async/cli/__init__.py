"""The ``connecttrade`` command. It needs the extra ``cli`` (click and rich).

No other module of the package imports it.
"""

from __future__ import annotations

from connecttrade_async.cli.main import connecttrade

__all__ = ["connecttrade"]
