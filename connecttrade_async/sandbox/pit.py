"""The sandbox's pit: the control paths that put a hand on the market from outside."""

from decimal import Decimal

from .paper import PaperBroker
from .parameters import Fields, amount, text
from .refusals import BadRequestError
from .world import Order

__all__ = ["BrokerControl"]


class BrokerControl:
    """The switches. Each takes the members of a JSON object and answers with what the state is now."""

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker

    def read_market(self, _: Fields) -> object:
        """Hours, latency, and what was set by hand; ``"halted": true`` is everything."""
        broker = self._broker
        return {
            "hours": broker.hours,
            "latency": broker.latency,
            "prices": {symbol: str(price) for symbol, price in broker.pins.items()},
            "halted": True if broker.halted is None else list(broker.halted),
        }

    def set_market(self, members: Fields) -> object:
        """``{"symbol", "price"}``, ``{"halt"}`` or ``{"resume"}`` a symbol or true, ``{"latency"}``.

        A price of null lets it walk again.
        """
        match dict(members):
            case {"symbol": str(symbol), "price": None, **rest} if not rest:
                self._broker.free_price(symbol)
            case {"symbol": str(symbol), "price": str(), **rest} if not rest:
                self._broker.set_price(symbol, _number(members, "price"))
            case {"halt": True | str() as symbol, **rest} if not rest:
                self._broker.halt(symbol if isinstance(symbol, str) else None)
            case {"resume": True | str() as symbol, **rest} if not rest:
                self._broker.resume(symbol if isinstance(symbol, str) else None)
            case {"latency": int() | float() as seconds, **rest} if not rest:
                self._broker.latency = seconds
            case _:
                raise BadRequestError(
                    'Send {"symbol", "price"}, {"halt": symbol or true}, {"resume": symbol or true} or {"latency"}.'
                )
        return self.read_market(members)

    def fill(self, members: Fields) -> object:
        """``{"order_id", "quantity"?, "price"?}``."""
        quantity, price = amount(members, "quantity"), amount(members, "price")
        return _told(self._broker.fill(text(members, "order_id"), quantity, price))

    def reject(self, members: Fields) -> object:
        """``{"order_id", "reason"}``."""
        return _told(self._broker.reject(text(members, "order_id"), text(members, "reason")))


def _told(order: Order) -> object:
    return {"order_id": order.order_id, "status": order.status, "filled_qty": str(order.filled_qty)}


def _number(members: Fields, name: str) -> Decimal:
    return amount(members, name) or Decimal(0)
