"""The world of the sandbox: pretend brokerages with users, accounts, orders, fills and prices; pure and seeded.

Nothing in here awaits, reads a clock, or knows how the wire spells anything. Time comes in as an argument.
"""

from connecttrade_async.sandbox.world.account import Account, Balance
from connecttrade_async.sandbox.world.bars import INTERVALS, Bar, Bars, span
from connecttrade_async.sandbox.world.brokers import BROKERS, CONNECTION_TYPES, Broker, find_broker
from connecttrade_async.sandbox.world.chains import Contract, OptionChains
from connecttrade_async.sandbox.world.depth import Depth, Depths, Level
from connecttrade_async.sandbox.world.event_log import Change, OrderLog
from connecttrade_async.sandbox.world.exchange import Exchange
from connecttrade_async.sandbox.world.holdings import Position
from connecttrade_async.sandbox.world.hours import Hours, Keeping
from connecttrade_async.sandbox.world.market import Market, Quote
from connecttrade_async.sandbox.world.order_page import Filter, Page, PagePosition, page_of
from connecttrade_async.sandbox.world.orders import (
    CLOSED,
    EDGES,
    LEG_SIDES,
    OPEN,
    SIDES,
    STATUSES,
    STOCK_SIDES,
    TIFS,
    TYPES,
    Fill,
    Leg,
    Order,
    Ticket,
    Transaction,
)
from connecttrade_async.sandbox.world.price_path import anchor, moment_of, tick_of
from connecttrade_async.sandbox.world.pricing import Greeks
from connecttrade_async.sandbox.world.symbols import is_crypto, is_listed, is_stock, parse_option
from connecttrade_async.sandbox.world.tokens import Grant, Tokens
from connecttrade_async.sandbox.world.trades import Trade, Trades
from connecttrade_async.sandbox.world.users import Connection, LoginRequest, Token, User
from connecttrade_async.sandbox.world.world import World

__all__ = [
    "BROKERS",
    "CLOSED",
    "CONNECTION_TYPES",
    "EDGES",
    "INTERVALS",
    "LEG_SIDES",
    "OPEN",
    "SIDES",
    "STATUSES",
    "STOCK_SIDES",
    "TIFS",
    "TYPES",
    "Account",
    "Balance",
    "Bar",
    "Bars",
    "Broker",
    "Change",
    "Connection",
    "Contract",
    "Depth",
    "Depths",
    "Exchange",
    "Fill",
    "Filter",
    "Grant",
    "Greeks",
    "Hours",
    "Keeping",
    "Leg",
    "Level",
    "LoginRequest",
    "Market",
    "OptionChains",
    "Order",
    "OrderLog",
    "Page",
    "PagePosition",
    "Position",
    "Quote",
    "Ticket",
    "Token",
    "Tokens",
    "Trade",
    "Trades",
    "Transaction",
    "User",
    "World",
    "anchor",
    "find_broker",
    "is_crypto",
    "is_listed",
    "is_stock",
    "moment_of",
    "page_of",
    "parse_option",
    "span",
    "tick_of",
]
