"""The sandbox's login pages of brokers."""
