"""What the style rules still find, by area, file and rule."""

from style_allowed import books, cli, market_data, polling, rest, root, sandbox, streaming, tools

ALLOWED: dict[str, dict[str, int]] = {
    **books.ALLOWED,
    **cli.ALLOWED,
    **market_data.ALLOWED,
    **polling.ALLOWED,
    **rest.ALLOWED,
    **root.ALLOWED,
    **sandbox.ALLOWED,
    **streaming.ALLOWED,
    **tools.ALLOWED,
}
