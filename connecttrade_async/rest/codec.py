"""Decode the responses of one client: strictly, then leniently, and fast again once the API's forms are known.

The strict reading takes the documented names and a bare array. A body that it refuses is read leniently: other cases of
names, numbers for text, and envelopes. What the lenient reading learned is compiled, so that the next body of that kind
decodes at nearly the speed of the strict reading.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from connecttrade_async.census import MAX_OBJECTS, NameCensus, compare_names
from connecttrade_async.errors import ConfigurationError, MalformedResponseError
from connecttrade_async.models.pages import Rows
from connecttrade_async.models.variants import (
    LearnedNames,
    NumberText,
    compile_model,
    convert_hook,
    models_inside,
    respell,
)
from connecttrade_async.rest.envelopes import (
    FULL_PAGES,
    NO_CURSOR,
    NO_PAGE,
    Cursor,
    EnvelopeError,
    FoundList,
    cursor_in_headers,
    find_list,
    find_objects,
    is_full,
)
from connecttrade_async.rest.wire import DECODE_ERRORS, content_headers, malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from connecttrade_async.dialect.value import Dialect
    from connecttrade_async.models.variants import ModelVariant
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["ListShape", "ObjectShape", "RestCodec"]

T = TypeVar("T", bound=msgspec.Struct)
V = TypeVar("V")
MAX_COMPILATIONS = 16  # of one shape: forms that keep changing are read leniently
log = logging.getLogger("connecttrade_async.rest")
_EXACT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=NumberText)
_RAW_ROWS: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
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
        is_other: whether it differs from the documented model.
        decode: decodes one object, or for a list, the list or its usual envelope.
        decode_rows: decodes a list.
        compilations: how often the model was compiled.
        is_lenient: whether only the lenient reading finds all fields.
        version: the version of the names that ``variant`` has.
        answers: bodies with an object.
        next_census: the count of answers at which names are compared again.
    """

    __slots__ = (
        "answers",
        "compilations",
        "decode",
        "decode_rows",
        "is_lenient",
        "is_other",
        "next_census",
        "variant",
        "version",
    )

    def __init__(self) -> None:
        self.version = 0
        self.compilations = 0
        self.is_lenient = False
        self.answers = 0
        self.next_census = 1

    def compile(self, variant: ModelVariant, envelope: Any) -> None:  # noqa: ANN401 - a type that is made at run time
        """Decode with a variant from now on.

        Args:
            variant: the variant.
            envelope: the type of the usual envelope around a list of it; None for one object.
        """
        self.compilations += 1
        self.variant = variant
        self.is_other = variant.variant is not variant.model
        rows = cast("Any", list)[variant.variant]
        self.decode_rows = _decoder(rows)
        self.decode = _decoder(variant.variant if envelope is None else rows | envelope)


class _Envelope(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The usual envelope of a list; its fields get the names of the dialect. One more member, and it is another one."""

    rows: Any
    next_cursor: str | msgspec.UnsetType | None = msgspec.UNSET
    prev_cursor: str | msgspec.UnsetType | None = msgspec.UNSET


def _decoder(kind: Any) -> Callable[[bytes | msgspec.Raw], Any]:  # noqa: ANN401 - a type that is made at run time
    return msgspec.json.Decoder(kind, dec_hook=convert_hook, float_hook=NumberText).decode


class RestCodec:
    """Decodes the responses of one client, and compares their names with the models.

    Args:
        dialect: the names and forms of the API.

    Attributes:
        census: the names that came and are not read.
        error_paths: the paths of an error's text.
        content_headers: the names of the headers that may hold a cursor.
        is_renaming: whether ``renamed`` changes anything.
    """

    __slots__ = (
        "_field_names",
        "_learned_by_model",
        "_list_decoders",
        "_names",
        "_readings",
        "_sent_names",
        "_sent_values",
        "_warned",
        "census",
        "content_headers",
        "error_paths",
        "is_renaming",
    )

    def __init__(self, dialect: Dialect) -> None:
        self._names = dialect.rest
        self.error_paths = dialect.rest.error_message
        self.content_headers = content_headers(dialect.rest)
        parameters = {"next_cursor": dialect.rest.next_parameter, "prev_cursor": dialect.rest.prev_parameter}
        self._sent_names = {name: other for name, other in (parameters | dialect.rest.names).items() if name != other}
        self._sent_values = dialect.rest.values
        self.is_renaming = bool(self._sent_names or self._sent_values)
        self._field_names = dialect.names
        self._learned_by_model: dict[type[msgspec.Struct], LearnedNames] = {}
        self._readings: dict[ObjectShape[Any], _Reading] = {}
        self._list_decoders: dict[ListShape[Any], Callable[[Response, Request], Rows[Any]]] = {}
        self._warned: set[str] = set()
        self.census = NameCensus(log)

    def renamed(self, values: Mapping[str, object]) -> Mapping[str, object]:
        """Return filters, or the members of a body, with the names and values of the dialect.

        Raises:
            ConfigurationError: a filter has the name that the dialect gives to another one.
        """
        if not self.is_renaming:
            return values
        found: dict[str, object] = {}
        for name, value in values.items():
            other = self._sent_names.get(name, name)
            if other in found:
                msg = f"rest.names of the dialect must give each parameter its own name, got {other} twice"
                raise ConfigurationError(msg)
            found[other] = self._sent_value(name, value)
        return found

    def _sent_value(self, name: str, value: object) -> object:
        if isinstance(value, list | tuple):
            return [self._sent_value(name, each) for each in cast("Sequence[object]", value)]
        if isinstance(value, dict):
            return self.renamed(cast("dict[str, object]", value))
        return self._sent_values.get(name, {}).get(value, value) if isinstance(value, str) else value

    def list_decoder(self, shape: ListShape[T]) -> Callable[[Response, Request], Rows[T]]:
        """Return the function that decodes a list of this shape, as ``read_list`` does; it is created once."""
        found = self._list_decoders.get(shape)
        if found is None:
            found = self._list_decoders[shape] = partial(self.read_list, shape)
        return found

    def read(self, shape: ObjectShape[T], response: Response, request: Request) -> T:
        """Decode a response with one object.

        Args:
            shape: what the response should hold.
            response: the response.
            request: the request.

        Raises:
            MalformedResponseError: the body is no JSON, or it has no such object, or more than one.
        """
        reading = self._readings.get(shape) or self._new_reading(shape)
        if not reading.is_lenient:
            try:
                value: T = reading.decode(response.body)
            except DECODE_ERRORS:
                pass
            else:
                if reading.is_other:
                    reading.variant.restore((value,))
                reading.answers += 1
                if reading.answers < reading.next_census or not self._take_census(
                    response.body, request, shape, reading
                ):
                    return value
        return _checked(self._read_leniently(response, request, shape, reading))

    def read_list(self, shape: ListShape[T], response: Response, request: Request) -> Rows[T]:
        """Decode a response with a list; the arguments are those of ``read``.

        Returns:
            The rows, with the cursors of the neighboring pages.

        Raises:
            MalformedResponseError: the body is no JSON, it has no list, or more than one, or a row is malformed.
        """
        reading = self._readings.get(shape) or self._new_reading(shape)
        following = previous = NO_CURSOR
        decoded: list[T] | _Envelope | None = None
        if not reading.is_lenient:
            try:  # noqa: SIM105 - contextlib.suppress costs 0.5 us
                decoded = reading.decode(response.body)
            except DECODE_ERRORS:
                pass
        if decoded is None:
            return self._read_found(response, request, shape, reading)
        rows: list[T]
        if isinstance(decoded, list):
            rows = decoded
        else:
            rows = decoded.rows
            following, previous = _cursor(decoded.next_cursor), _cursor(decoded.prev_cursor)
        if reading.is_other:
            reading.variant.restore(rows)
        if rows:
            reading.answers += 1
            if reading.answers >= reading.next_census:
                rows = self._compared_rows(rows, response, request, shape, reading)
        # Almost every list ends here, or names a cursor.
        if (
            following is NO_CURSOR
            and previous is NO_CURSOR
            and not request.query
            and len(rows) not in FULL_PAGES
            and response.headers.keys().isdisjoint(self.content_headers)
        ):
            return Rows(rows)
        return self._with_cursors(rows, (following, previous), response, request, shape)

    def _compared_rows(
        self, rows: list[T], response: Response, request: Request, shape: ListShape[T], reading: _Reading
    ) -> list[T]:
        """Return decoded rows after their names were compared; decoded again, if a lenient reading finds more."""
        found = find_list(response.body, shape.resource, self._names)
        if self._take_census(found.rows, request, shape, reading):
            return _checked(self._respelled_rows(found, response, request, shape, reading))
        return rows

    def _read_found(self, response: Response, request: Request, shape: ListShape[T], reading: _Reading) -> Rows[T]:
        """Decode a list that is not in its usual place, or that the strict reading refused."""
        found = _checked(self._find_list(response, request, shape))
        rows = _checked(self._found_rows(found, response, request, shape, reading))
        return self._with_cursors(rows, (found.next, found.prev), response, request, shape)

    def _found_rows(
        self, found: FoundList, response: Response, request: Request, shape: ListShape[T], reading: _Reading
    ) -> list[T] | MalformedResponseError:
        """Return the rows of a list that is not in its usual place, or that the strict reading refused."""
        rows: list[T] | MalformedResponseError | None = None
        if found.rows is not response.body and not reading.is_lenient:
            try:
                rows = reading.decode_rows(found.rows)
            except DECODE_ERRORS:
                pass
            else:
                reading.variant.restore(cast("list[T]", rows))
        is_strict = rows is not None
        if rows is None:
            rows = self._respelled_rows(found, response, request, shape, reading)
        if isinstance(rows, list) and rows:
            reading.answers += 1
            if reading.answers >= reading.next_census:
                is_incomplete = self._take_census(found.rows, request, shape, reading)
                if is_incomplete and is_strict:
                    rows = self._respelled_rows(found, response, request, shape, reading)
        return rows

    def _new_reading(self, shape: ObjectShape[Any]) -> _Reading:
        reading = _Reading()
        self._compile(shape, reading)
        self._readings[shape] = reading
        return reading

    def _compile(self, shape: ObjectShape[Any], reading: _Reading) -> None:
        variant = compile_model(shape.model, self._learned(shape.model))
        envelope = None
        if isinstance(shape, ListShape):
            names = self._names
            wire_names = [
                names.lists.get(shape.resource, shape.resource),
                *names.next_cursor[:1],
                *names.prev_cursor[:1],
            ]
            fields = [("rows", cast("Any", list)[variant.variant])]
            # The name of a path through several members matches none, so that another reading finds it.
            envelope = msgspec.defstruct(
                "Envelope",
                fields,
                bases=(_Envelope,),
                rename=dict(zip(_Envelope.__struct_fields__, wire_names, strict=False)),
                frozen=True,
                forbid_unknown_fields=True,
            )
        reading.compile(variant, envelope)

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

    # The methods that hold a body return an error instead of raising it: tracebacks can print variables.

    def _find_list(
        self, response: Response, request: Request, shape: ListShape[Any]
    ) -> FoundList | MalformedResponseError:
        try:
            found = find_list(response.body, shape.resource, self._names)
        except DECODE_ERRORS as exc:
            return malformed(response, request, exc)
        if found.doubt and self._is_first("empty", shape):
            log.warning("%s: the response is taken for an empty list: %s", shape.endpoint, found.doubt)
        return found

    def _is_first(self, what: str, shape: ObjectShape[Any]) -> bool:
        """Return whether something has not been logged yet for an endpoint."""
        key = f"{what} {shape.endpoint}"
        is_first = key not in self._warned
        self._warned.add(key)
        return is_first

    def _respelled_rows(
        self, found: FoundList, response: Response, request: Request, shape: ListShape[T], reading: _Reading
    ) -> list[T] | MalformedResponseError:
        try:
            rows = [self._respelled(each, shape) for each in _EXACT.decode(found.rows)]
            decoded: list[T] = msgspec.convert(rows, cast("Any", list)[shape.model], dec_hook=convert_hook)
        except DECODE_ERRORS as exc:
            return malformed(response, request, exc)
        self._recompile(shape, reading)
        return decoded

    def _read_leniently(
        self, response: Response, request: Request, shape: ObjectShape[T], reading: _Reading
    ) -> T | MalformedResponseError:
        found: dict[str, T] = {}
        failure: MalformedResponseError | None = None
        try:
            candidates = find_objects(_EXACT.decode(response.body))
        except DECODE_ERRORS as exc:
            return malformed(response, request, exc)
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
            return malformed(response, request, EnvelopeError(problem))
        return failure or malformed(response, request, EnvelopeError("Expected `object`"))

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
        self._compile(shape, reading)
        if reading.is_other and self._is_first("other", shape):
            log.info("%s: the response has other names or numbers, which are understood", shape.endpoint)

    def _take_census(
        self, body: bytes | msgspec.Raw, request: Request, shape: ObjectShape[Any], reading: _Reading
    ) -> bool:
        """Compare the names in a body, and return whether only the lenient reading finds all fields.

        The first response of a shape is compared, then the second, the fourth and so on: a rare field comes late.
        """
        try:
            # Only the first rows: decoding all of a page without a model costs ten times what the model costs.
            raw = _RAW_ROWS.decode(body)[:MAX_OBJECTS] if isinstance(shape, ListShape) else [body]
            objects: list[object] = [_EXACT.decode(each) for each in raw]
        except DECODE_ERRORS:  # the strict reading skips what is malformed in fields without a model
            return False
        return self._compare(objects, request, shape, reading)

    def _compare(self, objects: list[object], request: Request, shape: ObjectShape[Any], reading: _Reading) -> bool:
        reading.next_census = 2 * reading.answers
        kind, model = f"{request.method} {shape.endpoint}", reading.variant.variant
        report = self.census.add(kind, objects, model) if self.census.is_due(kind) else compare_names(objects, model)
        return bool(report.respelled)

    def _with_cursors(
        self,
        rows: list[T],
        cursors: tuple[Cursor, Cursor],
        response: Response,
        request: Request,
        shape: ListShape[T],
    ) -> Rows[T]:
        following, previous = cursors
        result = Rows(rows)
        headers = response.headers
        if not headers.keys().isdisjoint(self.content_headers):
            following = following.or_else(cursor_in_headers(headers, self._names))
            previous = previous.or_else(cursor_in_headers(headers, self._names, backwards=True))
        if following is not NO_CURSOR or previous is not NO_CURSOR:
            result.next_cursor, result.prev_cursor = following.value, previous.value
        count, query = len(rows), request.query
        is_backwards = f"{self._names.prev_parameter}=" in query
        ahead = previous if is_backwards else following
        if ahead.value is not None:
            result.may_be_cut_off = not shape.has_pages
        else:
            # A response to a cursor may omit the next one: the API has shown that it names cursors.
            is_first = not is_backwards and f"{self._names.next_parameter}=" not in query
            is_silent = is_first and not ahead.is_named
            limit = self._sent_names.get("limit", "limit")
            result.may_be_cut_off = ahead.is_unusable or (is_silent and is_full(count, query, limit))
        if result.may_be_cut_off and self._is_first("cut off", shape):
            reason = (
                "names a cursor, which this listing does not follow"
                if ahead.value
                else "names no cursor of a next page"
            )
            log.warning("%s: the list of %d rows may be cut off: the response %s", shape.endpoint, count, reason)
        return result


def _checked(result: V | MalformedResponseError) -> V:
    if isinstance(result, MalformedResponseError):
        raise result
    return result


def _cursor(value: str | msgspec.UnsetType | None) -> Cursor:
    return NO_CURSOR if value is msgspec.UNSET else Cursor(value, is_named=True) if value else NO_PAGE
