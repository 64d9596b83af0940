"""What an error reporter captures of an exception: its texts, and the variables of every frame that it came through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def exceptions_of(error: BaseException) -> list[BaseException]:
    """Return an exception with its causes, contexts and parts, also those that a traceback does not print."""
    found: dict[int, BaseException] = {}
    steps: list[BaseException | None] = [error]
    while steps:
        step = steps.pop()
        if step is None or id(step) in found:
            continue
        found[id(step)] = step
        steps += [step.__cause__, step.__context__]
        parts: Any = getattr(step, "exceptions", ())  # of a group
        steps += parts
    return [*found.values()]


def captured(error: BaseException) -> str:
    """Return all texts of an exception, and the name and the ``repr`` of each variable in each of its frames."""
    return "\n".join(line for exc in exceptions_of(error) for line in _lines(exc))


def _lines(exc: BaseException) -> Iterator[str]:
    yield f"{exc!r} {exc} {exc.args!r} {exc.__dict__!r}"
    step = exc.__traceback__
    while step is not None:
        frame = step.tb_frame
        for name, value in frame.f_locals.items():
            yield f"{frame.f_code.co_filename}:{step.tb_lineno} {frame.f_code.co_name} {name} = {value!r}"
        step = step.tb_next
