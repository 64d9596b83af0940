"""The tests mirror the package: ``books/merge.py`` is tested by ``tests/books/test_merge.py``.

A module without a test file of its own name stands in ``COVERED_BY``, with the tests or the folder that cover it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "connecttrade_async"
MODULES = [
    path.relative_to(PACKAGE).as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name not in {"__init__.py", "__main__.py", "_version.py"}
]

# Tests or folders, and the modules that they cover.
COVERED_BY: dict[tuple[str, ...], tuple[str, ...]] = {
    ("doctor/test_comparison.py", "doctor/test_openapi.py"): ("doctor/contract.py", "doctor/findings.py"),
    ("cli/commands/test_doctor.py",): ("cli/doctor_output.py", "doctor/traffic.py"),
    ("books/test_book.py", "books/test_order_tracker.py"): ("books/changes.py",),
    ("dialect/test_value.py",): ("dialect/parts.py",),
    ("streaming/test_forms.py", "streaming/test_signs.py"): (
        "dialect/names.py",
        "dialect/tolerance.py",
        "streaming/batches.py",
        "streaming/census.py",
        "streaming/digits.py",
        "streaming/frame_types.py",
        "streaming/update_forms.py",
    ),
    ("live/test_accounts.py", "stories/test_books_equal_the_world.py"): ("live/engine.py",),
    ("market_data/test_stream.py", "stories/test_market_end_to_end.py"): (
        "market_data/fanout.py",
        "market_data/feeds.py",
        "market_data/requests.py",
    ),
    ("market_data/test_forms.py", "market_data/test_codec.py"): (
        "market_data/event_forms.py",
        "market_data/event_types.py",
        "market_data/names.py",
    ),
    ("market_data/test_subscription_sync.py",): ("market_data/sync_events.py",),
    ("streaming/test_supervisor.py", "streaming/test_brokerage_stream.py"): (
        "clock.py",
        "streaming/config.py",
        "streaming/connection.py",
        "streaming/stream.py",
    ),
    ("relay/test_failures.py",): (
        "relay/alarm.py",
        "relay/engine.py",
        "relay/follower.py",
        "relay/leader.py",
    ),
    ("streaming/test_fanout.py", "stories/test_stream_slow_consumers.py"): ("streaming/subscriptions.py",),
    ("stories/test_poll_failures.py", "stories/test_poll_fairness.py"): (
        "polling/fetcher.py",
        "polling/poll_loop.py",
        "polling/poller.py",
    ),
    ("stories/test_poll_books.py",): ("polling/polled_books.py",),
    ("models/test_nouns.py",): (
        "models/accounts.py",
        "models/balances.py",
        "models/connections.py",
        "models/orders.py",
        "models/pages.py",
        "models/positions.py",
        "models/tokens.py",
        "models/transactions.py",
        "models/users.py",
    ),
    ("streaming/test_brokerage_codec.py",): ("models/events.py",),
    ("market_data/test_codec.py",): ("models/market.py",),
    ("rest/test_filters.py", "stories/test_the_main_job.py"): (
        "rest/resources/accounts.py",
        "rest/resources/balances.py",
        "rest/resources/connections.py",
        "rest/resources/positions.py",
        "rest/resources/resource.py",
        "rest/resources/tokens.py",
        "rest/resources/transactions.py",
        "rest/resources/users.py",
    ),
    ("test_symbology.py",): (
        "symbology/classification.py",
        "symbology/equities.py",
        "symbology/options.py",
    ),
    ("test_tickets.py",): (
        "tickets/builders.py",
        "tickets/legs.py",
        "tickets/strategies.py",
        "tickets/ticket.py",
        "tickets/validation.py",
    ),
    ("test_demo.py",): (
        "cli/demo/accounts.py",
        "cli/demo/live.py",
        "cli/demo/narrator.py",
        "cli/demo/orders.py",
        "cli/demo/quotes.py",
        "cli/demo/stream.py",
    ),
    ("cli",): (
        "cli/credentials.py",
        "cli/live_view.py",
        "cli/order_lookup.py",
        "cli/watch_state.py",
    ),
    ("sandbox/test_server.py", "sandbox/test_rest.py"): (
        "sandbox/errors.py",
        "sandbox/settings.py",
        "sandbox/sockets.py",
    ),
    ("sandbox/dialect",): (
        "sandbox/dialect/members.py",
        "sandbox/dialect/presets.py",
        "sandbox/dialect/stream_presets.py",
        "sandbox/dialect/words.py",
    ),
    ("sandbox/faults",): ("sandbox/faults/rules.py", "sandbox/faults/schedule.py"),
    ("sandbox/login",): ("sandbox/login/pages.py",),
    ("sandbox/replay",): (
        "sandbox/replay/bindings.py",
        "sandbox/replay/conversation.py",
        "sandbox/replay/matcher.py",
        "sandbox/replay/session.py",
    ),
    ("sandbox/rest", "sandbox/test_rest.py"): (
        "sandbox/rest/cursors.py",
        "sandbox/rest/dispatcher.py",
        "sandbox/rest/endpoints.py",
        "sandbox/rest/jwt.py",
        "sandbox/rest/request_log.py",
        "sandbox/rest/translator.py",
    ),
    ("sandbox/streams", "sandbox/test_stream_failures.py"): (
        "sandbox/streams/brokerage_session.py",
        "sandbox/streams/channels.py",
        "sandbox/streams/delivery.py",
        "sandbox/streams/encoding.py",
        "sandbox/streams/heartbeat.py",
        "sandbox/streams/market_session.py",
        "sandbox/streams/message_log.py",
        "sandbox/streams/send_buffer.py",
        "sandbox/streams/server.py",
        "sandbox/streams/session.py",
        "sandbox/streams/ticker.py",
        "sandbox/streams/websocket.py",
    ),
    ("sandbox/world",): (
        "sandbox/world/account.py",
        "sandbox/world/account_history.py",
        "sandbox/world/account_store.py",
        "sandbox/world/bars.py",
        "sandbox/world/brokers.py",
        "sandbox/world/chains.py",
        "sandbox/world/depth.py",
        "sandbox/world/event_log.py",
        "sandbox/world/execution.py",
        "sandbox/world/holdings.py",
        "sandbox/world/open_orders.py",
        "sandbox/world/order_lifecycle.py",
        "sandbox/world/order_writer.py",
        "sandbox/world/orders.py",
        "sandbox/world/price_path.py",
        "sandbox/world/pricing.py",
        "sandbox/world/risk_checks.py",
        "sandbox/world/seeded.py",
        "sandbox/world/symbols.py",
        "sandbox/world/tokens.py",
        "sandbox/world/users.py",
        "sandbox/world/working_order.py",
    ),
}
LISTED = [module for modules in COVERED_BY.values() for module in modules]


def own_test(module: str) -> Path:
    """Return the mirrored test file of a module."""
    path = TESTS / module
    return path.with_name(f"test_{path.name}")


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_test_file_of_its_own_name_or_is_covered_by_stories(module: str) -> None:
    assert own_test(module).is_file() or module in LISTED, f"add {own_test(module)}, or list {module} in COVERED_BY"


def test_covered_by_lists_each_module_once_and_none_with_a_test_file_of_its_own() -> None:
    assert sorted(set(LISTED)) == sorted(LISTED)
    assert set(LISTED) <= set(MODULES)
    assert [module for module in LISTED if own_test(module).is_file()] == []


def test_covered_by_names_tests_that_exist() -> None:
    for names in COVERED_BY:
        assert [name for name in names if not (TESTS / name).exists()] == []
