"""The poller: schedule, fetches, outcomes, results."""
