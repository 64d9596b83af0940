"""The sandbox's REST endpoints."""
