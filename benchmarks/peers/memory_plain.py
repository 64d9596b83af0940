"""One side of ``memory_orders.py``: the same orders as pydantic models."""

from __future__ import annotations

from plain_models import Page

from measurement import arguments
from memory import measure_held


def main() -> None:
    """Run the side."""
    _, _, count = arguments()
    measure_held(lambda body: Page.model_validate_json(body).orders, count)


if __name__ == "__main__":
    main()
