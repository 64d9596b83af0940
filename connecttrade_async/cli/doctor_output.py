"""Print the findings of the doctor, one line for each, and choose the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.errors import ExitCode
from connecttrade_async.cli.output import echo_line, plain, print_object
from connecttrade_async.doctor.findings import Finding, FindingOutcome, is_all_understood

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["exit_with", "print_findings"]


def print_findings(findings: Sequence[Finding], *, shows_all: bool, as_json: bool) -> None:
    """Print findings on stdout, and a summary on stderr.

    Args:
        findings: the findings.
        shows_all: whether to print those that are as assumed, too.
        as_json: whether to print one JSON object a line.
    """
    for finding in findings:
        if finding.outcome is FindingOutcome.OK and not shows_all:
            continue
        if as_json:
            print_object(
                {
                    "subject": finding.subject,
                    "assumed": finding.assumed,
                    "saw": finding.saw,
                    "verdict": finding.outcome.value,
                }
            )
        else:
            click.echo(plain(f"{finding.subject}: {finding.assumed} / {finding.saw} / {finding.outcome.value}"))
    counts = ", ".join(
        f"{sum(finding.outcome is outcome for finding in findings)} {outcome.value}" for outcome in FindingOutcome
    )
    echo_line(f"Assumed / saw / verdict: {counts}.")


def exit_with(ctx: click.Context, findings: Sequence[Finding]) -> None:
    """End the command with 0 only if everything that was seen is understood."""
    ctx.exit(ExitCode.OK if is_all_understood(findings) else ExitCode.REMOTE_ERROR)
