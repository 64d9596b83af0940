"""The front door: which command may have been meant by one that there is not."""

from __future__ import annotations

import difflib

import click

__all__ = ["SuggestingGroup"]


class SuggestingGroup(click.Group):
    """A group of commands that guesses what a mistyped one was to be."""

    def resolve_command(
        self,
        ctx: click.Context,
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one may have been meant."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            path = ctx.command_path.split()[1:]  # as it is written behind the program's own name
            guess = f" did you mean `{' '.join([*path, *near])}`?" if near else ""
            ctx.fail(f"there is no command {' '.join([*path, args[0]])!r}:{guess or ' see the list of them.'}")
        return super().resolve_command(ctx, args)
