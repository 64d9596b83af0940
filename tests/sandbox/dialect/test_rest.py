"""Every form of a REST answer, read by a bare HTTP client that knows which form to expect."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.sandbox import Fault, Sandbox, SandboxThread, Spellings
from connecttrade_async.sandbox.dialect import PRESETS, SandboxDialect
from connecttrade_async.sandbox.dialect.rest import ListForm, RestForms
from connecttrade_async.sandbox.dialect.streams import BrokerageEvents, BrokerageForms
from rest_forms import NOUNS, Answer, FormReader, Listing, list_forms, rest_forms

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
QUERIES = {"orders": {"status": "all", "limit": "7"}}


class Client:
    """A bare HTTP client of one user with accounts at two brokers."""

    def __init__(self, threaded: SandboxThread[Sandbox]) -> None:
        self.threaded = threaded
        threaded.call(lambda sandbox: sandbox.clock.hold(NOON))
        self.secret = threaded.call(lambda sandbox: sandbox.world.create_user("jane").secret)
        for broker in ("ALPACA", "CHASE"):
            threaded.call(Sandbox.approve, threaded.call(self._invite), broker)

    @staticmethod
    def _invite(sandbox: Sandbox) -> str:
        link = sandbox.world.invite(sandbox.world.users["jane"], "readonly", "https://app.example/", NOON)
        return f"{sandbox.url}/connect/{link.token}"

    def speak(self, forms: RestForms) -> FormReader:
        """Set the forms, and return their reader."""
        brokerage = BrokerageForms(events=BrokerageEvents(ids=forms.ids))
        dialect = SandboxDialect(brokerage=brokerage, rest=forms)
        self.threaded.call(lambda sandbox: setattr(sandbox, "dialect", dialect))
        return FormReader(forms)

    def fetch(self, method: str, path: str, body: object = None, **query: str) -> Answer:
        """Send a request, and return the raw answer, whatever its status."""
        headers = {"client-id": self.threaded.client_id, "client-secret": self.threaded.client_secret}
        headers |= {"user-id": "jane", "user-secret": self.secret, "Content-Type": "application/json"}
        url = f"{self.threaded.endpoints.api}{path}{'?' * bool(query)}{urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, data, headers, method=method)  # noqa: S310  our own URL
        try:
            with urlopen(request, timeout=10) as answer:  # noqa: S310  our own URL
                return Answer(answer.status, dict(answer.headers), answer.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def value(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send a request, and return the JSON of the answer."""
        return json.loads(self.fetch(method, path, body, **query).body)

    def listing(self, reader: FormReader, noun: str) -> Listing:
        """Read a list of the user."""
        return reader.listing(noun, self.fetch("GET", f"/{noun}", **QUERIES.get(noun, {})))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Sandbox(seed=7).in_thread() as threaded:
        yield Client(threaded)


@pytest.fixture(autouse=True)
def _forms(client: Client) -> Iterator[None]:
    yield
    client.speak(RestForms())


def ids_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [found for item in value.values() for found in ids_in(item)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [found for item in value for found in ids_in(item)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [value] if isinstance(value, str) and value.startswith("id ") else []


def without_ids(value: object) -> str:
    text = repr(value)
    for found in set(ids_in(value)):
        text = text.replace(repr(found), "an id")
    return text


@given(rest_forms(), st.sampled_from(NOUNS))
@settings(max_examples=120, deadline=None)
def test_every_drawn_form_of_a_list_holds_the_same_content(client: Client, forms: RestForms, noun: str) -> None:
    plain = client.listing(client.speak(RestForms()), noun)
    read = client.listing(client.speak(forms), noun)
    assert without_ids(read.rows) == without_ids(plain.rows)
    pairs = set(zip(ids_in(read.rows), ids_in(plain.rows), strict=True))
    assert len({written for written, _ in pairs}) == len({name for _, name in pairs}) == len(pairs)
    if forms.cursors != "absent":
        assert (read.next_cursor is None) is (plain.next_cursor is None)
    else:
        assert (read.next_cursor, read.prev_cursor) == (None, None)


@given(rest_forms().filter(lambda forms: forms.cursors != "absent"), st.integers(9, 200))
@settings(max_examples=40, deadline=None)
def test_every_drawn_form_can_be_walked_to_the_last_order_and_one_page_back(
    client: Client, forms: RestForms, limit: int
) -> None:
    reader = client.speak(forms)
    query = {"status": "all", "limit": str(limit)}
    every = reader.listing("orders", client.fetch("GET", "/orders", status="all", limit="500")).rows
    pages = [reader.listing("orders", client.fetch("GET", "/orders", **query))]
    assert pages[0].prev_cursor is None
    names = {"page_token": "prev_page_token", "after": "before", "nextCursor": "prevCursor"}
    while (cursor := pages[-1].next_cursor) is not None:
        following = client.fetch("GET", "/orders", **query, **{forms.cursor_parameter: cursor})
        pages.append(reader.listing("orders", following))
    assert [row for page in pages for row in page.rows] == every
    if len(pages) > 1:
        assert pages[-1].prev_cursor is not None
        back = {names.get(forms.cursor_parameter, "prev_cursor"): pages[-1].prev_cursor}
        assert reader.listing("orders", client.fetch("GET", "/orders", **query, **back)).rows == pages[-2].rows


@given(
    rest_forms(), st.sampled_from([("GET", "/orders?limit=0"), ("POST", "/users"), ("PUT", "/orders"), ("GET", "/no")])
)
@settings(max_examples=40, deadline=None)
def test_every_drawn_form_of_an_error_has_the_same_words(
    client: Client, forms: RestForms, request_line: tuple[str, str]
) -> None:
    method, path = request_line
    body: object = {} if method == "POST" else None
    client.speak(RestForms())
    expected = client.fetch(method, path, body)
    reader = client.speak(forms)
    answer = client.fetch(method, path, body)
    assert answer.status == expected.status >= 400
    assert reader.error(answer) == json.loads(expected.body)["message"]


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("message", {"message": "There is no /no here."}),
        ("messages", {"message": ["There is no /no here.", "The status is 404."]}),
        ("error_message", {"error": {"message": "There is no /no here.", "code": "404"}}),
        ("error", {"error": "There is no /no here."}),
        ("errors", {"errors": [{"message": "There is no /no here."}]}),
        ("detail", {"detail": "There is no /no here."}),
    ],
)
def test_error_shape_is_written_exactly(client: Client, shape: Any, body: object) -> None:
    client.speak(RestForms(errors=shape))
    assert client.value("GET", "/no") == body


def test_error_of_a_fault_has_the_shape_of_the_forms(client: Client) -> None:
    client.speak(RestForms(errors="detail"))
    client.threaded.call(lambda sandbox: sandbox.faults.add(Fault("status", status=429, retry_after="7")))
    answer = client.fetch("GET", "/users")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert json.loads(answer.body) == {"detail": "The sandbox fails on request."}


def test_control_path_has_its_own_form_of_errors(client: Client) -> None:
    client.speak(RestForms(errors="html"))
    assert client.value("GET", "/_sandbox/none") == {"message": "There is no /_sandbox/none here."}
    assert client.value("PUT", "/_sandbox/clock") == {"message": "/_sandbox/clock takes no PUT."}
    assert list(client.value("POST", "/_sandbox/clock", {})) == ["message"]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (ListForm(), []),
        (ListForm(key="plural"), {"positions": []}),
        (ListForm(key="items"), {"items": []}),
        (ListForm(inside="data"), {"data": []}),
        (ListForm(key="records", inside="response"), {"response": {"records": []}}),
    ],
)
def test_empty_list_stands_where_its_form_puts_it(client: Client, form: ListForm, body: object) -> None:
    client.speak(RestForms(positions=form))
    assert client.value("GET", "/positions", symbols="NONE") == body
    client.speak(RestForms(positions=form, empty="null"))
    expected = json.loads(json.dumps(body).replace("[]", "null"))
    assert client.value("GET", "/positions", symbols="NONE") == expected


def test_orders_are_a_bare_array_with_cursors_in_headers_by_default(client: Client) -> None:
    answer = client.fetch("GET", "/orders", status="all", limit="1")
    assert isinstance(json.loads(answer.body), list)
    assert answer.headers["next-cursor"]
    assert answer.headers.get("prev-cursor") is None


def test_absent_cursors_cut_the_list_off_without_a_sign(client: Client) -> None:
    client.speak(RestForms(cursors="absent", orders=ListForm(key="plural")))
    answer = client.fetch("GET", "/orders", status="all", limit="2")
    body = json.loads(answer.body)
    assert list(body) == ["orders"]
    assert len(body["orders"]) == 2
    assert not [name for name in answer.headers if "cursor" in name.lower() or name.lower() == "link"]


def test_link_header_is_the_address_of_the_other_pages(client: Client) -> None:
    client.speak(RestForms(cursors="link", cursor_parameter="page_token"))
    header = client.fetch("GET", "/orders", status="all", limit="2", side="BUY").headers["Link"]
    url = header.removeprefix("<").partition(">")[0]
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    assert (f"{parts.scheme}://{parts.netloc}", parts.path) == (client.threaded.endpoints.api, "/orders")
    assert (query["status"], query["limit"], query["side"], list(query)[-1]) == (["all"], ["2"], ["BUY"], "page_token")


def test_cursor_under_another_name_is_ignored(client: Client) -> None:
    reader = client.speak(RestForms(cursor_parameter="after"))
    first = reader.listing("orders", client.fetch("GET", "/orders", status="all", limit="2"))
    again = client.fetch("GET", "/orders", status="all", limit="2", next_cursor=first.next_cursor or "")
    assert reader.listing("orders", again).rows == first.rows


def test_spellings_that_ask_for_the_envelope_count_where_the_forms_have_the_default(client: Client) -> None:
    client.threaded.call(lambda sandbox: setattr(sandbox, "spellings", Spellings(orders="envelope")))
    try:
        names = ["orders", "next_cursor", "prev_cursor"]
        assert list(client.value("GET", "/orders")) == names
        client.speak(RestForms(orders=ListForm(key="items")))
        assert list(client.value("GET", "/orders")) == ["items"]
    finally:
        client.threaded.call(lambda sandbox: setattr(sandbox, "spellings", Spellings()))


def test_names_of_the_secret_the_address_and_the_type(client: Client) -> None:
    forms = RestForms(user_secret="user-secret", authorization_url="authorization_url", connection_type="type")
    client.speak(forms)
    assert list(client.value("POST", "/users", {"user_id": "named"})) == ["user_id", "user-secret"]
    asked = {"connection_type": "trade", "redirect_url": "https://app.example/"}
    assert list(client.value("POST", "/connections", asked)) == ["authorization_url", "expires_at"]
    assert {each["type"] for each in client.value("GET", "/connections")} == {"readonly"}
    client.speak(msgspec.structs.replace(forms, case="camel"))
    assert list(client.value("POST", "/users", {"user_id": "camel"})) == ["userId", "user-secret"]
    client.fetch("DELETE", "/users/named")
    client.fetch("DELETE", "/users/camel")


@pytest.mark.parametrize(
    ("takes", "names", "status"),
    [
        ("either", ("connection_type",), 200),
        ("either", ("type",), 200),
        ("either", ("type", "connection_type"), 200),
        ("connection_type", ("connection_type",), 200),
        ("connection_type", ("type",), 400),
        ("type", ("type",), 200),
        ("type", ("connection_type",), 400),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_connection_is_requested_by_the_name_that_the_forms_take(
    client: Client, takes: Any, names: tuple[str, ...], status: int, *, strict: bool
) -> None:
    client.speak(RestForms(request_type=takes, strict=strict))
    body = {"redirect_url": "https://app.example/"} | dict.fromkeys(names, "readonly")
    assert client.fetch("POST", "/connections", body).status == status


def test_two_types_that_differ_are_refused(client: Client) -> None:
    body = {"redirect_url": "https://app.example/", "type": "trade", "connection_type": "readonly"}
    assert client.value("POST", "/connections", body) == {"message": "connection_type and type must be the same."}


def test_strict_forms_refuse_unknown_names_and_take_the_cursor_by_its_own_name(client: Client) -> None:
    reader = client.speak(RestForms(strict=True, cursor_parameter="after"))
    first = reader.listing("orders", client.fetch("GET", "/orders", status="all", limit="2"))
    assert first.next_cursor is not None
    assert client.fetch("GET", "/orders", status="all", limit="2", after=first.next_cursor).status == 200
    refused = client.value("GET", "/orders", status="all", limit="2", next_cursor=first.next_cursor)
    assert refused == {"message": "Unknown query parameters: next_cursor."}
    assert client.value("POST", "/users", {"user_id": "a", "name": "b"}) == {
        "message": "Unknown members of the body: name."
    }


def test_ids_as_numbers_are_taken_back_in_queries_paths_and_bodies(client: Client) -> None:
    client.speak(RestForms())
    names = [each["account_id"] for each in client.value("GET", "/accounts")]
    client.speak(RestForms(ids="number"))
    accounts = client.value("GET", "/accounts")
    numbers = [each["account_id"] for each in accounts]
    assert all(isinstance(number, int) and 0 <= number < 1 << 53 for number in numbers)
    assert len(set(numbers)) == len(set(names))
    for number in numbers:
        found = client.value("GET", "/balances", account_id=str(number))
        assert [each["account_id"] for each in found] == [number]
    connection = accounts[0]["connection_id"]
    assert {each["connection_id"] for each in client.value("GET", "/accounts", connection_id=str(connection))} == {
        connection
    }
    assert client.fetch("GET", f"/connections/{connection}/token").status == 400
    assert client.fetch("GET", f"/connections/{connection + 1}/token").status == 404
    order: dict[str, object] = {"cl_order_id": "1", "broker": "ALPACA", "side": "BUY", "order_type": "MKT"}
    for account_id in (numbers[0], str(numbers[0])):
        refused = client.value("POST", "/orders", {**order, "account_id": account_id})
        assert "connection_type trade" in refused["message"]


def test_connection_id_of_the_redirect_is_that_of_the_answers(client: Client) -> None:
    for forms in (RestForms(ids="number"), RestForms()):
        client.speak(forms)
        asked = {"connection_type": "readonly", "broker": "PNC", "redirect_url": "https://app.example/"}
        back = client.threaded.call(
            Sandbox.approve, client.value("POST", "/connections", asked)["connection_request_url"]
        )
        made = client.value("GET", "/connections")[-1]["connection_id"]
        assert back == f"https://app.example/?connection_id={made}"
        assert client.fetch("DELETE", f"/connections/{made}").status == 200


def test_bare_numbers_keep_every_digit(client: Client) -> None:
    texts = [each["buying_power"] for each in client.value("GET", "/balances")]
    client.speak(RestForms(numbers="bare"))
    numbers = json.loads(client.fetch("GET", "/balances").body, parse_float=str, parse_int=str)
    assert [each["buying_power"] for each in numbers] == texts
    assert isinstance(client.value("GET", "/balances")[0]["cash"], float)


@pytest.mark.parametrize("name", [name for name in PRESETS if PRESETS[name].rest != RestForms()])
def test_preset_changes_the_form_of_rest(client: Client, name: str) -> None:
    reader = client.speak(PRESETS[name].rest)
    for noun in NOUNS:
        assert client.listing(reader, noun).rows


def test_presets_of_rest() -> None:
    changed = {name: PRESETS[name].rest for name in PRESETS if PRESETS[name].rest != RestForms()}
    assert set(changed) == {"rest_object", "camel", "numbers", "strict"}
    assert PRESETS["assumed"].rest == RestForms()
    assert changed["strict"] == RestForms(strict=True)


@given(list_forms())
def test_list_form_is_read_back_from_json(form: ListForm) -> None:
    assert msgspec.json.decode(msgspec.json.encode(form), type=ListForm) == form


@pytest.mark.parametrize(
    ("deletions", "status", "body"),
    [("object", 200, b'{"user_id":"gone","deleted":true}'), ("empty", 200, b""), ("no_content", 204, b"")],
)
def test_deletion_is_answered_in_its_form(client: Client, deletions: Any, status: int, body: bytes) -> None:
    client.speak(RestForms(deletions=deletions))
    client.fetch("POST", "/users", {"user_id": "gone"})
    answer = client.fetch("DELETE", "/users/gone")
    assert (answer.status, answer.body) == (status, body)
