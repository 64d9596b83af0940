"""The market-data stream: codec, subscriptions, feeds."""
