"""One side of ``held.py``: the same orders as pydantic models."""

from __future__ import annotations

from plain_models import Page

from measurement import arguments
from memory import held


def main() -> None:
    """Hold so many."""
    _, _, count = arguments()
    held(lambda body: Page.model_validate_json(body).orders, count)


if __name__ == "__main__":
    main()
