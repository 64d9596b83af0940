"""Objects with other names and numbers, and the models compiled for them."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from connecttrade_async import (
    Account,
    AccountSummary,
    Balance,
    Connection,
    ConnectionRequest,
    ConnectionToken,
    Fill,
    Leg,
    NewUser,
    OptionsChain,
    Order,
    Position,
    Quote,
    Transaction,
    UserRecord,
    UserToken,
)
from connecttrade_async.dialect.tolerance import fold_name
from connecttrade_async.models.variants import (
    CASES,
    LearnedNames,
    NumberText,
    Text,
    compile_model,
    convert_hook,
    models_inside,
    respell,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELS: tuple[type[msgspec.Struct], ...] = (
    Account,
    AccountSummary,
    Balance,
    Connection,
    ConnectionRequest,
    ConnectionToken,
    Fill,
    Leg,
    NewUser,
    OptionsChain,
    Order,
    Position,
    Quote,
    Transaction,
    UserRecord,
    UserToken,
)
EXACT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=NumberText)
ORDER: dict[str, Any] = {
    "order_id": "o-1",
    "filled_qty": "1.50",
    "side": "buy",
    "fills": [{"fill_id": "f-1", "price": "2.5"}, {"fill_id": "f-2", "time": None}],
    "legs": [],
    "reject_reason": None,
}
cases = st.sampled_from(sorted(CASES))


def wire_names(model: type[msgspec.Struct]) -> list[str]:
    return [each.encode_name for each in msgspec.structs.fields(model) if not each.encode_name.startswith("_")]


def renamed(value: Any, case: str) -> Any:
    """Return JSON with its names in another case."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {CASES[case](name): renamed(each, case) for name, each in fields.items()}
    if isinstance(value, list):
        return [renamed(each, case) for each in cast("list[Any]", cast("object", value))]
    return value


def read_slowly(value: object, model: type[msgspec.Struct], learned: LearnedNames) -> Any:
    objects = EXACT.decode(msgspec.json.encode(value))
    return msgspec.convert(respell(objects, model, learned), model, dec_hook=convert_hook)


def read_fast(value: object, model: type[msgspec.Struct], learned: LearnedNames) -> Any:
    compiled = compile_model(model, learned)
    decoder = msgspec.json.Decoder(compiled.variant, dec_hook=convert_hook, float_hook=NumberText)
    found = decoder.decode(value if isinstance(value, bytes) else msgspec.json.encode(value))
    compiled.restore((found,))
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_fold_name_makes_no_two_names_of_a_model_meet(model: type[msgspec.Struct]) -> None:
    # Except for two forms of one secret, which the model keeps apart.
    names = [name for name in wire_names(model) if name != "user-secret"]
    for case in CASES.values():
        assert [fold_name(case(name)) for name in names] == [fold_name(name) for name in names]
    assert len({fold_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_compile_model_keeps_the_layout_of_the_model(model: type[msgspec.Struct], case: str) -> None:
    compiled = compile_model(model, LearnedNames(case))
    assert compiled.variant.__struct_fields__ == model.__struct_fields__
    if model is not NewUser:  # two forms of one secret, of which only the first gets a name in another case
        names = [name for name in compiled.variant.__struct_encode_fields__ if not name.startswith("_")]
        assert names == [CASES[case](name) for name in wire_names(model)]


@given(case=cases)
def test_respell_in_any_case_reads_what_the_documented_names_give(case: str) -> None:
    expected = msgspec.convert(ORDER, Order)
    learned = LearnedNames()
    assert read_slowly(renamed(ORDER, case), Order, learned) == expected
    assert learned.case == case
    fast = read_fast(renamed(ORDER, case), Order, learned)
    assert (fast, type(fast), [type(fill) for fill in fast.fills]) == (expected, Order, [Fill, Fill])
    assert pickle.loads(pickle.dumps(fast)) == expected  # noqa: S301 - our own bytes


@given(case=cases, name=st.sampled_from(wire_names(Order)))
def test_compile_model_gives_fields_that_were_not_seen_the_case_of_the_others(case: str, name: str) -> None:
    learned = LearnedNames()
    read_slowly(renamed(ORDER, case), Order, learned)
    compiled = compile_model(Order, learned)
    assert CASES[case](name) in compiled.variant.__struct_encode_fields__


@given(digits=st.from_regex(r"-?[1-9][0-9]{0,24}(\.[0-9]{1,25})?", fullmatch=True), case=cases)
def test_numbers_in_place_of_text_keep_every_digit(digits: str, case: str) -> None:
    order_id, name, fills, fill = map(CASES[case], ("order_id", "filled_qty", "fills", "quantity"))
    body = f'{{"{order_id}":17,"{name}":{digits},"{fills}":[{{"{fill}":{digits}}}]}}'.encode()
    learned = LearnedNames()
    slow = msgspec.convert(respell(EXACT.decode(body), Order, learned), Order, dec_hook=convert_hook)
    for order in (slow, read_fast(body, Order, learned)):
        assert (order.order_id, order.filled_qty_text, order.fills[0].quantity_text) == ("17", digits, digits)
        assert type(order.filled_qty_text) is str


def test_compile_model_takes_numbers_in_every_number_once_one_came() -> None:
    learned = LearnedNames()
    read_slowly({"order_id": "1", "filled_qty": 1}, Order, learned)
    assert read_fast({"order_id": "1", "order_qty": 2}, Order, learned).order_qty == Decimal(2)
    with pytest.raises(msgspec.ValidationError):
        read_fast({"order_id": 1}, Order, learned)


@pytest.mark.parametrize("value", [True, [], {}], ids=["boolean", "list", "object"])
def test_convert_hook_takes_only_text_and_numbers(value: object) -> None:
    learned = LearnedNames()
    learned.learn_number(Order, "filled_qty_text")
    with pytest.raises(msgspec.ValidationError, match="Expected `str`"):
        read_fast({"order_id": "1", "filled_qty": value}, Order, learned)


def test_convert_hook_builds_a_secret() -> None:
    token = read_fast({"accessToken": "abc"}, UserToken, LearnedNames("camel"))
    assert token.access_token.reveal() == "abc"


def test_text_has_every_text_as_its_instance() -> None:
    assert isinstance("x", Text)
    assert not isinstance(1, Text)


@given(names=st.permutations(["filledQty", "FilledQty", "filled_qty"]), values=st.permutations(["1", "2", "3"]))
def test_respell_prefers_the_documented_name(names: list[str], values: list[str]) -> None:
    row = dict(zip(names, values, strict=True)) | {"order_id": "1"}
    try:
        order = read_slowly(row, Order, LearnedNames())
    except msgspec.ValidationError as exc:
        assert "with different values" in str(exc)  # noqa: PT017 - either is right
        assert names.index("filled_qty") == 2
    else:
        assert order.filled_qty_text == row["filled_qty"]


def test_respell_refuses_two_names_with_different_values() -> None:
    with pytest.raises(msgspec.ValidationError, match="has `filledQty` and `FilledQty` with different values"):
        read_slowly({"order_id": "1", "filledQty": "1", "FilledQty": "2"}, Order, LearnedNames())


@pytest.mark.parametrize(
    "row",
    [
        {"filledQty": "1", "FilledQty": "1"},
        {"filledQty": None, "FilledQty": "1"},
        {"filledQty": "1", "FilledQty": None},
    ],
    ids=["equal", "first null", "second null"],
)
def test_respell_takes_two_names_that_agree(row: dict[str, Any]) -> None:
    assert read_slowly(row | {"order_id": "1", "unknown": 1}, Order, LearnedNames()).filled_qty_text == "1"


def test_respell_returns_values_that_are_no_objects_for_the_decoder_to_refuse() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_slowly({"order_id": "1", "fills": [1]}, Order, LearnedNames())
    with pytest.raises(msgspec.ValidationError):
        read_slowly({"order_id": "1", "fills": {"price": 1}}, Order, LearnedNames())


def test_learned_names_that_differ_between_objects_have_no_case() -> None:
    learned = LearnedNames()
    read_slowly({"orderId": "1", "filledQty": "1"}, Order, learned)
    assert (learned.case, learned.is_mixed) == ("camel", False)
    read_slowly({"order_id": "1"}, Order, learned)
    assert (learned.case, learned.is_mixed) == (None, True)


def test_learned_names_of_two_cases_have_no_case() -> None:
    learned = LearnedNames()
    read_slowly({"orderId": "1", "filled_qty": "1"}, Order, learned)
    assert (learned.case, learned.is_mixed) == (None, False)
    # A model compiled all the same reads what was seen, and the rest under the documented names.
    assert read_fast({"orderId": "1", "filled_qty": "1", "order_qty": "2"}, Order, learned).order_qty == Decimal(2)


def test_learned_names_grow_a_version_with_each_new_fact() -> None:
    learned = LearnedNames()
    versions: list[int] = []
    for row in ({"orderId": "1"}, {"orderId": "2"}, {"orderId": 3}, {"orderId": 4}):
        read_slowly(row, Order, learned)
        versions.append(learned.version)
    assert versions == [1, 1, 2, 2]


ALIASES: Mapping[tuple[type[msgspec.Struct], str], str] = {(Order, "filled_qty"): "cum_qty", (Fill, "price"): "px"}


def test_aliases_are_read_slowly_and_fast() -> None:
    learned = LearnedNames("camel", ALIASES)
    row = {"orderId": "1", "cum_qty": "3", "fills": [{"px": "4", "fillId": "f"}]}
    for order in (read_fast(row, Order, learned), read_slowly(row, Order, learned), read_fast(row, Order, learned)):
        assert (order.filled_qty_text, order.fills[0].price_text, order.fills[0].fill_id) == ("3", "4", "f")
    assert learned.case == "camel"


def test_compile_model_returns_the_model_itself_where_nothing_differs() -> None:
    learned = LearnedNames()
    read_slowly(ORDER, Order, learned)
    assert compile_model(Order, learned).variant is Order


def test_models_inside_has_every_nested_model() -> None:
    assert models_inside(Order) == (Order, Fill, Leg)
    assert models_inside(UserRecord) == (UserRecord,)
