"""Signs in a frame of an unknown form: acceptance, refusal, confirmation, and the topics that it names.

A frame is judged only by what can mean one thing. Where signs contradict each other, no function here claims a meaning.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from connecttrade_async.dialect.tolerance import (
    ACCEPTED_FLAGS,
    ACCEPTED_WORDS,
    CODE_FIELDS,
    ERROR_FIELDS,
    IMPERATIVES,
    MESSAGE_FIELDS,
    NEGATIONS,
    STATUS_FIELDS,
    fold_name,
    words_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connecttrade_async.dialect.parts import ControlRule, ErrorMeanings

__all__ = ["FrameSigns", "code_of", "matches_rule", "message_of", "names_of", "phrase_pattern", "signs_of", "value_at"]

MAX_DEPTH = 4
MAX_TEXT = 500  # characters of a value that are searched for words
MAX_MEMBERS = 200
WHOLE_TEXT = "$"
NOTHING = frozenset({"", "0", "false", "none", "null", "no"})


class FrameSigns(NamedTuple):
    """The signs in a frame.

    Attributes:
        is_bad: a word of refusal, an error member, a flag that is false, or a code of an error.
        is_good: a flag that is true, or a status of success.
        is_negated: a word such as ``not`` or ``please``.
        is_authenticated: a word with ``auth`` that is no request.
        subscribes: a word of a subscription.
        unsubscribes: a word of the end of a subscription.
    """

    is_bad: bool
    is_good: bool
    is_negated: bool
    is_authenticated: bool
    subscribes: bool
    unsubscribes: bool

    @property
    def accepts_login(self) -> bool:
        """Whether the frame accepts a login, given that nothing else is awaited."""
        return not self.is_bad and not self.is_negated and (self.is_good or self.is_authenticated)

    @property
    def refuses(self) -> bool:
        """Whether the frame refuses what is awaited."""
        return self.is_bad and not self.is_good

    @property
    def confirms_subscription(self) -> bool:
        """Whether the frame confirms a subscription."""
        return self.subscribes and not (self.is_bad or self.is_negated or self.unsubscribes)


def signs_of(frame: Any, errors: ErrorMeanings) -> FrameSigns:  # noqa: ANN401 - JSON is anything
    """Return the signs in a frame.

    Args:
        frame: the frame as decoded from JSON; text for a frame that is no JSON.
        errors: the meanings of words and codes.
    """
    is_bad = is_good = False
    words: set[str] = set()
    codes = {*errors.refused, *errors.taken, *errors.rate_limited, *errors.temporary}
    texts: list[str] = []
    for name, value in _members(frame):
        if isinstance(value, str):
            texts.append(value[:MAX_TEXT])
        if not value or (isinstance(value, str) and value.casefold() in NOTHING):
            is_flag = name in ACCEPTED_FLAGS or (name in STATUS_FIELDS and value is False)
            is_bad = is_bad or (is_flag and value is not None and value != "")
            continue
        texts.append(name)
        is_bad = is_bad or name in ERROR_FIELDS or (name in CODE_FIELDS and str(value) in codes)
        if name in ACCEPTED_FLAGS:
            is_good = is_good or value is True or str(value).casefold() in {"true", "1", *ACCEPTED_WORDS}
        elif name in STATUS_FIELDS and isinstance(value, str):
            is_good = is_good or value.casefold() in ACCEPTED_WORDS
    for text in texts:
        words.update(words_in(text))
    lines = [" ".join(words_in(text)) for text in texts]
    return FrameSigns(
        is_bad or any(word in line for word in errors.refused_words for line in lines),
        is_good,
        bool(NEGATIONS & words),
        any("auth" in word and word not in IMPERATIVES for word in words),
        any(word.startswith("subscri") for word in words),
        any(word.startswith("unsubscri") for word in words),
    )


def _members(node: Any, depth: int = MAX_DEPTH, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Yield each member of a frame with its folded name, inner ones too; items of lists have the name of the list."""
    if name:
        yield name, node
    elif isinstance(node, str):
        yield WHOLE_TEXT, node
    if not depth:
        return
    if isinstance(node, dict):
        for key, value in list(cast("dict[str, Any]", node).items())[:MAX_MEMBERS]:
            # Ids are no words, and a message that quotes one must not be judged by it.
            if not fold_name(key).endswith("id"):
                yield from _members(value, depth - 1, fold_name(key))
    elif isinstance(node, list):
        for value in cast("list[object]", node)[:MAX_MEMBERS]:
            yield from _members(value, depth - 1, name)


def names_of(frame: Any, names: dict[str, str]) -> frozenset[str]:  # noqa: ANN401 - JSON is anything
    """Return those of some names that a frame has, as values, as items of lists, or as members that are not empty.

    Args:
        frame: the frame.
        names: the names to return, by their folded form.
    """
    found = {
        fold_name(text)
        for name, value in _members(frame)
        for text in (name if value and not isinstance(value, str) else "", value)
        if isinstance(text, str)
    }
    return frozenset(name for folded, name in names.items() if folded in found)


def message_of(frame: Any) -> str | None:  # noqa: ANN401 - JSON is anything
    """Return the text of an error frame in any form, or None."""
    if isinstance(frame, str):
        return frame
    if isinstance(frame, list):
        found = [text for each in cast("list[object]", frame)[:MAX_MEMBERS] if (text := message_of(each))]
        return "; ".join(found) or None
    if not isinstance(frame, dict):
        return None
    members = {fold_name(name): value for name, value in cast("dict[str, Any]", frame).items()}
    for name in (*MESSAGE_FIELDS, *sorted(ERROR_FIELDS)):
        if text := message_of(members.get(name)):
            return text
    inner = (message_of(value) for value in members.values() if isinstance(value, dict))
    return next(filter(None, inner), None)


def code_of(frame: Any) -> str | int | None:  # noqa: ANN401 - JSON is anything
    """Return the code of an error frame in any form, or None."""
    for name, value in _members(frame):
        if name in CODE_FIELDS and isinstance(value, str | int) and not isinstance(value, bool):
            is_code = isinstance(value, int) or name != "status" or value.isdecimal()
            if is_code:
                return value
    return None


def matches_rule(rule: ControlRule, frame: Any) -> bool:  # noqa: ANN401 - JSON is anything
    """Return whether a frame matches a rule of the dialect."""
    return all(_matches(value_at(frame, path), condition) for path, condition in rule.when.items())


def _matches(value: Any, condition: bool | str | tuple[str, ...]) -> bool:  # noqa: ANN401, FBT001 - a JSON value
    if isinstance(condition, bool):
        return value is condition
    if condition == "*":
        return value is not None
    allowed = (condition,) if isinstance(condition, str) else condition
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    return str(value).casefold() in {each.casefold() for each in allowed}


def value_at(frame: Any, path: str) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the value at a path with dots, or None; ``"$"`` is a frame that is text itself."""
    if path == WHOLE_TEXT:
        return frame if isinstance(frame, str) else None
    for name in path.split("."):
        if not isinstance(frame, dict):
            return None
        frame = cast("dict[str, Any]", frame).get(name)
    return frame


@lru_cache(maxsize=16)
def phrase_pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of phrases: words with ``|`` between alternatives, and ``?`` behind an optional one."""
    return re.compile("|".join(map(_phrase, phrases)) or r"(?!)", re.IGNORECASE)


def _phrase(phrase: str) -> str:
    parts: list[str] = []
    for word in phrase.split():
        choice = "(?:" + "|".join(map(re.escape, word.removesuffix("?").split("|"))) + ")"
        parts.append(rf"(?:{choice}\s+)?" if word.endswith("?") else rf"{choice}\s+")
    # The last word needs no space behind it.
    return r"\b" + "".join(parts).removesuffix(r"\s+")
