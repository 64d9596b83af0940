"""Every way in which the sandbox may write its REST answers, drawn at random; and a reader that knows the forms.

The reader is written from the documentation of `RestForms`, not from the code that writes the answers.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args, get_type_hints

from hypothesis import strategies as st
from yarl import URL

from connecttrade_async.sandbox.dialect.rest import ListForm, RestForms

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBERS = frozenset(
    [
        *("cash", "buying_power", "margin_buying_power", "maintenance_margin", "initial_margin", "equity"),
        *("quantity", "average_price", "last_price", "market_value", "unrealized_pl", "daily_pl", "total_pl"),
        *("order_qty", "order_notional", "order_limit_price", "stop_price", "filled_qty", "avg_fill_price"),
        *("price", "amount", "fees", "ratio"),
    ]
)
IDS = frozenset(["account_id", "connection_id", "order_id", "fill_id", "transaction_id", "replaces", "replaced_by"])
ENUMS = frozenset(["status", "side", "order_type", "order_tif", "instrument", "action", "connection_type"])
NOUNS = ("users", "connections", "accounts", "balances", "positions", "orders", "transactions")


def list_forms() -> st.SearchStrategy[ListForm]:
    """Draw where a list stands, every choice."""
    return st.builds(ListForm, **_choices(ListForm))


def rest_forms() -> st.SearchStrategy[RestForms]:
    """Draw forms of REST, every choice. A field that `RestForms` gains is drawn from its literals too."""
    return st.builds(RestForms, **_choices(RestForms))


def _choices(struct: type) -> dict[str, st.SearchStrategy[Any]]:
    return {
        name: list_forms() if hint is ListForm else st.booleans() if hint is bool else st.sampled_from(get_args(hint))
        for name, hint in get_type_hints(struct).items()
    }


class Digits(str):
    """A JSON number, with every digit as it came."""

    __slots__ = ()


class Answer(NamedTuple):
    """A raw answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Listing(NamedTuple):
    """A list as the wire contract has it, with its cursors."""

    rows: list[dict[str, Any]]
    next_cursor: str | None
    prev_cursor: str | None


class FormReader:
    """Reads answers of known forms back into the words of the wire contract."""

    def __init__(self, forms: RestForms) -> None:
        self.forms = forms

    def listing(self, noun: str, answer: Answer) -> Listing:
        """Read a list."""
        assert answer.status == 200, answer
        # Digits stay text, so that every digit of a number can be compared.
        value: Any = json.loads(answer.body, parse_float=Digits, parse_int=Digits)
        form = getattr(self.forms, noun)
        where = self.forms.cursors
        in_body = where.startswith(("body", "nested"))
        key = "plural" if noun == "orders" and in_body and form == ListForm() else form.key
        found: dict[str, str | None] = {"next": None, "prev": None}
        if noun == "orders" and in_body:
            cursors = value if where.startswith("body") else value[self.forms.cursor_parent]
            is_camel = where.endswith("camel") or self.forms.case == "camel"
            for name in found:
                found[name] = self._cursor(cursors, f"{name}Cursor" if is_camel else f"{name}_cursor")
        elif noun == "orders" and where == "link":
            found |= self._links(answer.headers.get("Link", ""))
        elif noun == "orders" and where != "absent":
            start = "x-" if where == "x_headers" else ""
            found = {name: answer.headers.get(f"{start}{name}-cursor") for name in found}
        if form.inside != "top":
            value = value[form.inside]
        if key != "array":
            value = value[noun if key == "plural" else key]
        if self.forms.empty == "null":
            assert value != []
            value = [] if value is None else value
        return Listing([self.row(noun, row) for row in value], found["next"], found["prev"])

    def row(self, noun: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Read one object, and hold each of its values against the form that it must have."""
        return {self._name(noun, name): self._value(noun, self._name(noun, name), value) for name, value in row.items()}

    def error(self, answer: Answer) -> str:
        """Read the words of an error."""
        text = answer.body.decode()
        if self.forms.errors == "text":
            assert answer.headers["Content-Type"].startswith("text/plain")
            return text
        if self.forms.errors == "html":
            return re.sub(r".*<p>(.*)</p>.*", r"\1", text)
        value = json.loads(text)
        match self.forms.errors:
            case "messages":
                return str(value["message"][0])
            case "error_message":
                return str(value["error"]["message"])
            case "errors":
                return str(value["errors"][0]["message"])
            case name:
                return str(value[name])

    def _cursor(self, cursors: Mapping[str, str | None], name: str) -> str | None:
        if self.forms.last_cursor == "missing":
            assert cursors.get(name, "absent") is not None
            return cursors.get(name)
        cursor = cursors[name]
        assert cursor != ("" if self.forms.last_cursor == "null" else None)
        return cursor or None

    def _links(self, header: str) -> dict[str, str]:
        found: list[tuple[str, str]] = re.findall(r'<([^>]*)>; rel="(\w+)"', header)
        previous = {"page_token": "prev_page_token", "after": "before", "nextCursor": "prevCursor"}
        names = {
            "next": self.forms.cursor_parameter,
            "prev": previous.get(self.forms.cursor_parameter, "prev_cursor"),
        }
        links = {relation: URL(url) for url, relation in found}
        return {relation: url.query[names[relation]] for relation, url in links.items()}

    def _name(self, noun: str, name: str) -> str:
        if self.forms.case == "camel":
            assert "_" not in name
            name = re.sub(r"[A-Z]", lambda upper: f"_{upper[0].lower()}", name)
        names: dict[str, str] = {
            self.forms.user_secret: "user_secret",
            self.forms.authorization_url: "connection_request_url",
        }
        if noun == "connections":
            names[self.forms.connection_type] = "connection_type"
        return names.get(name, name)

    def _value(self, noun: str, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self.row(noun, row) for row in cast("list[dict[str, Any]]", value)]
        if not value:
            return value
        if name in NUMBERS:
            assert isinstance(value, Digits) is (self.forms.numbers != "text"), (name, value)
            assert self.forms.numbers != "short" or not re.fullmatch(r".*\.\d*0|.*\.", value), value
            return Decimal(value).normalize()
        if name in IDS:
            assert isinstance(value, Digits) is (self.forms.ids == "number"), (name, value)
            return f"id {value}"
        if name in ENUMS:
            assert not isinstance(value, Digits)
            return self._word(value)
        assert not isinstance(value, Digits), (name, value)
        return value

    def _word(self, word: str) -> str:
        match self.forms.enums:
            case "upper":
                assert word == word.upper()
            case "lower":
                assert word == word.lower()
            case "spaced" | "dashed" as spelling:
                assert "_" not in word
                word = word.replace(" " if spelling == "spaced" else "-", "_")
            case _:
                pass
        if word.lower() in {"cancelled", "canceled"}:
            assert word.lower() == self.forms.cancelled
        return word.upper().replace("CANCELED", "CANCELLED")
