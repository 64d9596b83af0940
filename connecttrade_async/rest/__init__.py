"""The REST API: one HTTP exchange (``transport``), retries (``sender``), and the resources on top."""
