"""The sandbox's dialects: which form each frame of the streams and each REST answer has."""

from connecttrade_async.sandbox.dialect.presets import PRESETS, find_dialect
from connecttrade_async.sandbox.dialect.rest import ListForm, RestForms
from connecttrade_async.sandbox.dialect.streams import BrokerageForms, MarketForms
from connecttrade_async.sandbox.dialect.value import SandboxDialect

__all__ = ["PRESETS", "BrokerageForms", "ListForm", "MarketForms", "RestForms", "SandboxDialect", "find_dialect"]
