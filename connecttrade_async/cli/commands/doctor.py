"""The commands ``doctor``: find out in minutes what the assumptions about the API are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.doctor_output import exit_with, print_findings
from connecttrade_async.cli.options import SuggestingGroup, in_event_loop, json_option

if TYPE_CHECKING:
    from connecttrade_async.doctor.findings import Finding

__all__ = ["doctor"]

all_option = click.option("--all", "shows_all", is_flag=True, help="Print what is as assumed, too.")


@click.group(cls=SuggestingGroup, short_help="Compare what is assumed of the API with what it does.")
def doctor() -> None:
    """Compare what this library assumes of the API with the vendor's document, its answers and its streams.

    Each line is one assumption: `assumed / saw / verdict`. The exit code is 0 only if nothing is NOT UNDERSTOOD.
    """


@doctor.command(short_help="Compare with the vendor's OpenAPI document; needs no credentials.")
@click.argument("source", metavar="FILE_OR_URL")
@all_option
@json_option
@click.pass_context
def spec(ctx: click.Context, *, source: str, shows_all: bool, as_json: bool) -> None:
    """Compare with an OpenAPI document, a JSON file or an http or https address.

    It compares paths, methods, names, what is required, null, types, enumerated values, cursors and the form of errors.
    """
    findings: list[Finding] = []
    _compare(source, findings)
    print_findings(findings, shows_all=shows_all, as_json=as_json)
    exit_with(ctx, findings)


@in_event_loop
async def _compare(source: str, findings: list[Finding]) -> None:
    from connecttrade_async.doctor.comparison import compare_operations  # noqa: PLC0415 - most commands compare nothing
    from connecttrade_async.doctor.document_source import read_document  # noqa: PLC0415 - as above
    from connecttrade_async.doctor.openapi import read_openapi  # noqa: PLC0415 - as above
    from connecttrade_async.doctor.our_contract import our_operations  # noqa: PLC0415 - as above

    theirs = read_openapi(await read_document(source))
    findings += compare_operations(our_operations(), theirs)
