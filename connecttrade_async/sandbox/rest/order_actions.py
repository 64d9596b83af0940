"""The sandbox's trading: ``POST /orders``, and ``PATCH`` and ``DELETE`` of one order.

Silent in the documentation, chosen here: what is wrong with a request is an error, what a broker does not like about a
sensible order is an order with status ``rejected`` and its ``reject_reason``. A connection that is not of type
``trade`` is a 401, like an entitlement that is missing; a broker that can only be read is a 400. Changing or
cancelling an order that is closed is a 400 with a sentence that names its status; cancelling twice is cancelling once.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from connecttrade_async.sandbox.errors import BadRequestError, NotFoundError, UnauthorizedError
from connecttrade_async.sandbox.parameters import Fields, amount, choice, count, text
from connecttrade_async.sandbox.rest.endpoints import Answer, Call
from connecttrade_async.sandbox.world import LEG_SIDES, TIFS, TYPES, Account, Leg, Order, Ticket, find_broker

__all__ = ["cancel_order", "place_order", "replace_order"]

_LONGEST_ID = 64
_LARGEST_RATIO = 1000
_INSTRUMENTS = ("STK", "OPT", "MLEG_OPT", "CRYPTO")
_CHANGES = ("order_qty", "order_notional", "order_limit_price", "stop_price")


def place_order(call: Call) -> Answer:
    """``POST /orders``: a new order, pending or rejected."""
    members = call.fields
    account = _account(call, text(members, "account_id"))
    _check_broker(members, account)
    ticket = _ticket(members)
    instrument = members.get("instrument")
    if instrument is not None and choice("instrument", str(instrument), _INSTRUMENTS) != ticket.instrument:
        raise BadRequestError(f"instrument must be {ticket.instrument} for this symbol, or be left out.")
    return _answer(call, account, call.desk.world.floor.place(account, ticket, call.now))


def replace_order(call: Call) -> Answer:
    """``PATCH /accounts/{account_id}/orders/{order_id}``: the order that takes the old one's place (Assumed).

    A new ``order_qty`` counts what the old order has filled already (Assumed), so the successor is for the rest.
    """
    members = call.fields
    account = _account(call, call.path["account_id"])
    old = account.order(call.path["order_id"])
    _check_broker(members, account)
    changes = {name: value for name in _CHANGES if (value := amount(members, name)) is not None}
    if not changes:
        raise BadRequestError(f"At least one of {', '.join(_CHANGES)} is needed.")
    ticket = _changed(old, _order_id(members, "new_cl_order_id"), changes)
    return _answer(call, account, call.desk.world.floor.replace(account, old.order_id, ticket, call.now))


def cancel_order(call: Call) -> Answer:
    """``DELETE /accounts/{account_id}/orders/{order_id}``: the order, on its way to be cancelled (Assumed)."""
    account = _account(call, call.path["account_id"])
    return _answer(call, account, call.desk.world.floor.cancel(account, call.path["order_id"], call.now))


def _answer(call: Call, account: Account, order: Order) -> Answer:
    return Answer(call.payloads.order(order, account.broker))


def _account(call: Call, account_id: str) -> Account:
    """The user's account of this id, if the user may trade in it."""
    call.desk.entitlements.check("trade")
    pairs = [pair for pair in call.desk.world.accounts(call.user) if pair[1].account_id == account_id]
    if not pairs:
        raise NotFoundError(f"There is no account {account_id!r}.")
    account = pairs[0][1]
    if not account.broker.trading:
        raise BadRequestError(f"{account.broker.name} can be read only: no order can be placed there.")
    if all(connection.connection_type != "trade" for connection, _ in pairs):
        raise UnauthorizedError("The connection to this account is not of the connection_type trade.")
    return account


def _check_broker(members: Fields, account: Account) -> None:
    if find_broker(text(members, "broker")) is not account.broker:
        raise BadRequestError(f"broker must be {account.broker.code} for this account.")


def _order_id(members: Fields, name: str) -> str:
    value = text(members, name)
    if len(value) > _LONGEST_ID or not value.isprintable():
        raise BadRequestError(f"{name} must be at most {_LONGEST_ID} printable characters.")
    return value


def _ticket(members: Fields) -> Ticket:
    return Ticket(
        cl_order_id=_order_id(members, "cl_order_id"),
        side=text(members, "side"),
        order_type=choice("order_type", text(members, "order_type"), TYPES),
        order_tif=choice("order_tif", text(members, "order_tif"), TIFS),
        symbol=None if members.get("symbol") is None else text(members, "symbol"),
        order_qty=amount(members, "order_qty"),
        order_notional=amount(members, "order_notional"),
        order_limit_price=amount(members, "order_limit_price"),
        stop_price=amount(members, "stop_price"),
        legs=_legs(members.get("legs")),
    )


def _legs(value: object) -> tuple[Leg, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadRequestError("legs must be an array.")
    return tuple(_leg(number, leg) for number, leg in enumerate(cast("list[object]", value)))


def _leg(number: int, value: object) -> Leg:
    if not isinstance(value, dict):
        raise BadRequestError(f"legs[{number}] must be an object.")
    members, where = cast("Fields", value), f"legs[{number}]"
    try:
        action = choice("action", text(members, "action"), LEG_SIDES)
        return Leg(text(members, "symbol"), action, count("ratio", text(members, "ratio"), 1, _LARGEST_RATIO))
    except BadRequestError as error:
        raise BadRequestError(f"{where}.{error.message}") from None


def _changed(old: Order, cl_order_id: str, changes: Mapping[str, Decimal]) -> Ticket:
    """The old order as a ticket, with the changes."""
    kind = "order_notional" if old.order_qty is None else "order_qty"
    if changes.keys() & {"order_qty", "order_notional"} - {kind}:
        raise BadRequestError(f"The order is by {kind}; nothing else of its amount can be changed.")
    wanted: dict[str, Decimal | None] = {name: getattr(old, name) for name in _CHANGES} | dict(changes)
    return Ticket(
        cl_order_id=cl_order_id,
        side=old.side,
        order_type=old.order_type,
        order_tif=old.order_tif,
        symbol=old.symbol,
        legs=old.legs,
        **wanted,
    )
