"""The last line of defence: what nobody foresaw is a sentence too, and a secret that is forgotten is no output."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner, Result

from connecttrade_async import Secret
from connecttrade_async.cli.main import RootGroup
from connecttrade_async.cli.output import print_object


def broken(*arguments: str) -> Result:
    @click.group(cls=RootGroup)
    @click.option("--verbose", is_flag=True)
    def front_door(*, verbose: bool) -> None: ...

    @front_door.command()
    def fail() -> None:
        raise RuntimeError("canary")

    return CliRunner().invoke(front_door, [*arguments, "fail"])


def test_what_nobody_foresaw_is_one_sentence() -> None:
    result = broken()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "this is a bug in connecttrade (RuntimeError at " in result.stderr
    assert "canary" not in result.stderr
    assert "Traceback" not in result.stderr


def test_who_asks_for_it_gets_the_traceback() -> None:
    assert "Traceback" in broken("--verbose").stderr


def test_a_secret_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotImplementedError, match="Secret is not for output"):
        print_object({"user_secret": Secret("canary")})
    assert capsys.readouterr().out == ""
