"""A dialect: defaults, files, plain values, and errors that name the file or the key."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from connecttrade_async import Dialect
from connecttrade_async.dialect.parts import BrokerageDialect, ControlRule, FieldNames, Handshake
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.events import OrderUpdate
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec

OTHER = Dialect(
    brokerage=BrokerageDialect(
        authenticate={"op": "auth", "args": ["{client_id}", "{client_secret}"]},
        handshake=Handshake(login="assume", login_after=0.5),
        rules=(
            ControlRule(when={"type": "auth", "status": ("success", "ok"), "data.done": True}, meaning="authenticated"),
        ),
        tag="event",
    ),
    names=FieldNames(case="camel", aliases={"order": {"filled_qty": "cumQty"}}),
)


def problem_of(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Dialect.load(path)
    return str(caught.value)


@pytest.mark.parametrize("dialect", [Dialect.default, OTHER], ids=["default", "other"])
@pytest.mark.parametrize("full", [True, False], ids=["full", "difference"])
def test_dump_writes_the_file_that_load_reads(tmp_path: Path, dialect: Dialect, *, full: bool) -> None:
    file = tmp_path / "wire.toml"
    dialect.dump(file, full=full)
    assert Dialect.load(file) == Dialect.load(str(file)) == dialect


@pytest.mark.parametrize("dialect", [Dialect.default, OTHER], ids=["default", "other"])
def test_to_dict_returns_plain_values_that_json_carries(tmp_path: Path, dialect: Dialect) -> None:
    file = tmp_path / "wire.JSON"
    file.write_text(json.dumps(dialect.to_dict()), encoding="utf-8")
    assert Dialect.load(file) == Dialect.from_dict(dialect.to_dict()) == dialect
    assert msgspec.convert(dialect.to_dict(), Dialect) == dialect


def test_to_toml_has_only_what_differs_from_the_default() -> None:
    assert Dialect.default.to_toml() == "\n"
    assert Dialect(brokerage=BrokerageDialect(tag="event")).to_toml() == '[brokerage]\ntag = "event"\n'
    assert OTHER.to_toml().splitlines()[-2:] == ["[names.aliases.order]", 'filled_qty = "cumQty"']


def test_from_dict_merges_tables_with_the_default() -> None:
    dialect = Dialect.from_dict({"brokerage": {"handshake": {"login": "assume"}}})
    assert dialect == Dialect(brokerage=BrokerageDialect(handshake=Handshake(login="assume")))


def test_dialect_checks_parts_that_are_constructed_in_python() -> None:
    with pytest.raises(ConfigurationError, match=r"brokerage\.tag must be text, got int"):
        Dialect(brokerage=BrokerageDialect(tag=3))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"names must be a table, got str"):
        Dialect(names="camel")  # type: ignore[arg-type]


def test_from_dict_names_the_key_of_a_rule_that_types_do_not_hold() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^brokerage\.payload must have at least one path, got an empty list$"
    ):
        Dialect.from_dict({"brokerage": {"payload": []}})


def test_load_names_the_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing, large = tmp_path / "none.toml", tmp_path / "large.toml"
    large.write_bytes(b"#" * ((1 << 18) + 1))
    assert problem_of(missing).startswith(f"dialect must be a file that can be read, got {str(missing)!r}: ")
    assert problem_of(large) == f"dialect must be a file of at most 262144 bytes, got {str(large)!r}, which is larger"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.toml", b"x = ", "TOML"),
        ("b.toml", b"x = '\xff'", "TOML"),
        ("c.json", b"{", "JSON"),
        ("d.json", b"\xff", "JSON"),
        ("e.json", b"[" * 200_000, "JSON"),
    ],
)
def test_load_names_the_file_that_cannot_be_decoded(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert problem_of(file).startswith(f"dialect must be a file of {kind}, got {str(file)!r}: ")


def test_load_names_the_key_that_is_invalid(tmp_path: Path) -> None:
    file = tmp_path / "wire.toml"
    file.write_text("[brokerage]\ntag = 1\n", encoding="utf-8")
    assert problem_of(file) == "brokerage.tag must be text, got int"


def test_example_of_the_documentation_loads_and_reads_its_frames(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "dialect.md").read_text(encoding="utf-8")
    file = tmp_path / "wire.toml"
    file.write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    dialect = Dialect.load(file)
    codec = BrokerageCodec("client", Secret("hush"), dialect)
    assert json.loads(codec.authenticate()) == {"op": "login", "key": "client", "secret": "hush"}
    assert [json.loads(frame)["topic"] for frame in codec.subscribe(("orders", "balances"))] == ["orders", "balances"]
    order = {"orderId": "o", "cumQty": "2.50"}
    frame = {"event": "execution", "userId": "u", "accountId": "a", "body": {"order": order}}
    event = codec.read(json.dumps(frame).encode())
    assert isinstance(event, OrderUpdate)
    assert (event.user_id, event.account_id, event.order.filled_qty_text) == ("u", "a", "2.50")


def test_documentation_names_every_part_of_a_dialect() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dialect.md").read_text(encoding="utf-8")
    for name, part in Dialect.default.to_dict().items():
        for key in part if name in {"brokerage", "names"} else ():
            assert f"{name}.{key}" in page, key
        assert f"{name}." in page
