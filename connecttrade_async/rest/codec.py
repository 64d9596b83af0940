"""Decode the responses of one client: strictly, then leniently, and fast again once the API's forms are known.

The strict reading takes the documented names and a bare array. A body that it refuses is read leniently: other cases of
names, numbers for text, and envelopes. What the lenient reading learned is compiled, so that the next body of that kind
decodes at nearly the speed of the strict reading.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from connecttrade_async.census import Census, compare_names
from connecttrade_async.models.pages import Rows
from connecttrade_async.models.variants import (
    Digits,
    LearnedNames,
    compile_model,
    convert_hook,
    models_inside,
    respell,
)
from connecttrade_async.rest.envelopes import (
    Cursor,
    EnvelopeError,
    FoundList,
    cursor_in_headers,
    find_list,
    find_objects,
    is_full,
)
from connecttrade_async.rest.wire import DECODE_ERRORS, malformed

if TYPE_CHECKING:
    from connecttrade_async.dialect.value import Dialect
    from connecttrade_async.errors import MalformedResponseError
    from connecttrade_async.models.variants import ModelVariant
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["ListShape", "ObjectShape", "RestCodec"]

T = TypeVar("T", bound=msgspec.Struct)
MAX_COMPILATIONS = 16  # of one shape: forms that keep changing are read leniently
log = logging.getLogger("connecttrade_async.rest")
_EXACT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Digits)
_HUMP = re.compile(r"(?<!^)(?=[A-Z])")


class ObjectShape(Generic[T]):
    """What a response with one object holds; create it once, at import.

    Args:
        model: the model of the object.
        endpoint: the path, with names for its ids.
        key: a field that gets an empty text where the object lacks it.
    """

    __slots__ = ("endpoint", "key", "model")

    def __init__(self, model: type[T], endpoint: str, *, key: str | None = None) -> None:
        self.model = model
        self.endpoint = endpoint
        self.key = key


class ListShape(ObjectShape[T]):
    """What a response with a list holds; create it once, at import.

    Args:
        model: the model of a row.
        endpoint: the path; its last name says what is listed.
        key: the field that identifies a row. A row without it gets an empty text there, so that one malformed row does
            not hide the others.
        has_pages: whether the caller follows cursors, so that a list with a cursor is not cut off.
    """

    __slots__ = ("has_pages", "resource")

    def __init__(self, model: type[T], endpoint: str, *, key: str | None = None, has_pages: bool = False) -> None:
        super().__init__(model, endpoint, key=key)
        self.has_pages = has_pages
        self.resource = endpoint.rpartition("/")[2]


class _Reading:
    """How the bodies of one shape are read at present.

    Attributes:
        variant: the model with the names and numbers that are known.
        one: decodes one object.
        many: decodes a list.
        compilations: how often the model was compiled.
        has_envelope: whether lists arrived in an object.
        is_lenient: whether only the lenient reading finds all fields.
        version: the version of the names that ``variant`` has.
        answers: bodies with an object.
        next_census: the count of answers at which names are compared again.
    """

    __slots__ = (
        "answers",
        "compilations",
        "has_envelope",
        "is_lenient",
        "many",
        "next_census",
        "one",
        "variant",
        "version",
    )

    def __init__(self, variant: ModelVariant) -> None:
        self.version = 0
        self.compilations = 0
        self.has_envelope = False
        self.is_lenient = False
        self.answers = 0
        self.next_census = 1
        self.compile(variant)

    def compile(self, variant: ModelVariant) -> None:
        """Decode with a variant from now on."""
        self.compilations += 1
        self.variant = variant
        self.one = _decoder(variant.variant)
        self.many = _decoder(cast("Any", list)[variant.variant])


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:  # noqa: ANN401 - a type that is made at run time
    return msgspec.json.Decoder(kind, dec_hook=convert_hook, float_hook=Digits)


class RestCodec:
    """Decodes the responses of one client, and compares their names with the models.

    Args:
        dialect: the names and forms of the API.

    Attributes:
        census: the names that came and are not read.
    """

    __slots__ = ("_field_names", "_learned_by_model", "_names", "_readings", "_warned", "census")

    def __init__(self, dialect: Dialect) -> None:
        self._names = dialect.rest
        self._field_names = dialect.names
        self._learned_by_model: dict[type[msgspec.Struct], LearnedNames] = {}
        self._readings: dict[ObjectShape[Any], _Reading] = {}
        self._warned: set[str] = set()
        self.census = Census(log)

    def read(self, response: Response, request: Request, shape: ObjectShape[T]) -> T:
        """Decode a response with one object.

        Args:
            response: the response.
            request: the request.
            shape: what the response should hold.

        Raises:
            MalformedResponseError: the body is no JSON, or it has no such object, or more than one.
        """
        reading = self._readings.get(shape) or self._new_reading(shape)
        if not reading.is_lenient:
            try:
                found: T = reading.one.decode(response.body)
            except DECODE_ERRORS:
                pass
            else:
                reading.variant.restore((found,))
                reading.answers += 1
                if reading.answers < reading.next_census or not self._take_census(
                    response.body, request, shape, reading
                ):
                    return found
        return self._read_leniently(response, request, shape, reading)

    def read_list(self, response: Response, request: Request, shape: ListShape[T]) -> Rows[T]:
        """Decode a response with a list.

        Returns:
            The rows, with the cursors of the neighboring pages.

        Raises:
            MalformedResponseError: the body is no JSON, it has no list, or more than one, or a row is malformed.
        """
        reading = self._readings.get(shape) or self._new_reading(shape)
        found = FoundList(response.body)
        rows: list[T] | None = None
        if not reading.has_envelope:
            rows = _decoded_rows(reading, response.body)
        if rows is None:
            found = self._find_list(response, request, shape)
            # A list in an object is decoded once more, strictly; a bare array was refused already.
            if reading.has_envelope or found.rows is not response.body:
                reading.has_envelope = found.rows is not response.body
                rows = _decoded_rows(reading, found.rows)
        if rows is None:
            rows = self._respelled_rows(found, response, request, shape, reading)
        if rows:
            reading.answers += 1
            if reading.answers >= reading.next_census and self._take_census(found.rows, request, shape, reading):
                rows = self._respelled_rows(found, response, request, shape, reading)
        return self._with_cursors(rows, found, response, request, shape)

    def _new_reading(self, shape: ObjectShape[Any]) -> _Reading:
        reading = _Reading(compile_model(shape.model, self._learned(shape.model)))
        self._readings[shape] = reading
        return reading

    def _learned(self, model: type[msgspec.Struct]) -> LearnedNames:
        learned = self._learned_by_model.get(model)
        if learned is None:
            aliases = {
                (each, wire_name): alias
                for each in models_inside(model)
                for wire_name, alias in self._field_names.aliases.get(_HUMP.sub("_", each.__name__).lower(), {}).items()
            }
            learned = self._learned_by_model[model] = LearnedNames(self._field_names.case, aliases)
        return learned

    def _find_list(self, response: Response, request: Request, shape: ListShape[Any]) -> FoundList:
        try:
            found = find_list(response.body, shape.resource, self._names)
        except DECODE_ERRORS as exc:
            failure = malformed(response, request, exc)
        else:
            if found.doubt and self._is_first("empty", shape):
                log.warning("%s: the response is taken for an empty list: %s", shape.endpoint, found.doubt)
            return found
        raise failure

    def _is_first(self, what: str, shape: ObjectShape[Any]) -> bool:
        """Return whether something has not been logged yet for an endpoint."""
        key = f"{what} {shape.endpoint}"
        is_first = key not in self._warned
        self._warned.add(key)
        return is_first

    def _respelled_rows(
        self, found: FoundList, response: Response, request: Request, shape: ListShape[T], reading: _Reading
    ) -> list[T]:
        try:
            rows = [self._respelled(each, shape) for each in _EXACT.decode(found.rows)]
            decoded: list[T] = msgspec.convert(rows, cast("Any", list)[shape.model], dec_hook=convert_hook)
        except DECODE_ERRORS as exc:
            failure = malformed(response, request, exc)
        else:
            self._recompile(shape, reading)
            return decoded
        raise failure

    def _read_leniently(self, response: Response, request: Request, shape: ObjectShape[T], reading: _Reading) -> T:
        found: dict[str, T] = {}
        failure: MalformedResponseError | None = None
        try:
            candidates = find_objects(_EXACT.decode(response.body))
        except DECODE_ERRORS as exc:
            candidates, failure = {}, malformed(response, request, exc)
        for path, each in candidates.items():
            try:
                found[path] = msgspec.convert(self._respelled(each, shape), shape.model, dec_hook=convert_hook)
            except DECODE_ERRORS as exc:
                failure = failure or malformed(response, request, exc)
            if "$" in found:
                break
        if len(found) == 1:
            path, value = found.popitem()
            self._recompile(shape, reading)
            reading.answers += 1
            if reading.answers >= reading.next_census:
                self._compare([candidates[path]], request, shape, reading)
            return value
        if found:
            problem = f"Object has {len(found)} objects that may be the wanted one, {' and '.join(found)}"
            failure = malformed(response, request, EnvelopeError(problem))
        raise failure or malformed(response, request, EnvelopeError("Expected `object`"))

    def _respelled(self, value: object, shape: ObjectShape[Any]) -> object:
        if not isinstance(value, dict):
            return value
        named = respell(cast("dict[str, object]", value), shape.model, self._learned(shape.model))
        if shape.key is not None and named.get(shape.key) is None:
            named[shape.key] = ""
        return named

    def _recompile(self, shape: ObjectShape[Any], reading: _Reading) -> None:
        """Compile what was learned. Names of no single case, or ever other ones, are read leniently from now on."""
        learned = self._learned(shape.model)
        if learned.case is None or reading.compilations >= MAX_COMPILATIONS:
            reading.is_lenient = True
        if reading.is_lenient or reading.version == learned.version:
            return
        reading.version = learned.version
        reading.compile(compile_model(shape.model, learned))
        if self._is_first("other", shape):
            log.info("%s: the response has other names or numbers, which are understood", shape.endpoint)

    def _take_census(
        self, body: bytes | msgspec.Raw, request: Request, shape: ObjectShape[Any], reading: _Reading
    ) -> bool:
        """Compare the names in a body, and return whether only the lenient reading finds all fields.

        The first response of a shape is compared, then the second, the fourth and so on: a rare field comes late.
        """
        try:
            content: object = _EXACT.decode(body)
        except DECODE_ERRORS:  # the strict reading skips what is malformed in fields without a model
            return False
        objects = cast("list[object]", content) if isinstance(content, list) else [content]
        return self._compare(objects, request, shape, reading)

    def _compare(self, objects: list[object], request: Request, shape: ObjectShape[Any], reading: _Reading) -> bool:
        reading.next_census = 2 * reading.answers
        kind, model = f"{request.method} {shape.endpoint}", reading.variant.variant
        report = self.census.add(kind, objects, model) if self.census.is_due(kind) else compare_names(objects, model)
        return bool(report.respelled)

    def _with_cursors(
        self, rows: list[T], found: FoundList, response: Response, request: Request, shape: ListShape[T]
    ) -> Rows[T]:
        following, previous = self._cursors(found, response)
        is_backwards = f"{self._names.prev_parameter}=" in request.query
        ahead = previous if is_backwards else following
        if ahead.value is not None:
            may_be_cut_off = not shape.has_pages
        else:
            # A response to a cursor may omit the next one: the API has shown that it names cursors.
            is_first = not is_backwards and f"{self._names.next_parameter}=" not in request.query
            may_be_cut_off = ahead.is_unusable or (
                is_first and not ahead.is_named and is_full(len(rows), request.query)
            )
        if may_be_cut_off and self._is_first("cut off", shape):
            reason = (
                "names a cursor, which this listing does not follow"
                if ahead.value
                else "names no cursor of a next page"
            )
            log.warning("%s: the list of %d rows may be cut off: the response %s", shape.endpoint, len(rows), reason)
        return Rows(rows, next_cursor=following.value, prev_cursor=previous.value, may_be_cut_off=may_be_cut_off)

    def _cursors(self, found: FoundList, response: Response) -> tuple[Cursor, Cursor]:
        following, previous = found.next, found.prev
        if following.value is None:
            following = following.or_else(cursor_in_headers(response.headers, self._names))
        if previous.value is None:
            previous = previous.or_else(cursor_in_headers(response.headers, self._names, backwards=True))
        return following, previous


def _decoded_rows(reading: _Reading, body: bytes | msgspec.Raw) -> list[Any] | None:
    """Return the rows of a list in the known form, or None."""
    if reading.is_lenient:
        return None
    try:
        rows: list[Any] = reading.many.decode(body)
    except DECODE_ERRORS:
        return None
    reading.variant.restore(rows)
    return rows
