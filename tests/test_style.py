"""The words of the code: names and prose follow the vocabulary of the field.

``style_allowed`` counts what is not mended yet, by file and rule. The counts are exact, so that the list only shrinks:
a file that is better than its entry fails until the entry says so.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from style_allowed import ALLOWED
from style_rules import (
    FILES,
    LAYERS,
    OURSELVES,
    PHRASES,
    PRONOUNS,
    ROOT,
    RULES,
    found_in,
    is_participle,
    names_in,
    prose_in,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_file_follows_the_vocabulary_but_for_what_is_allowed(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if name not in OURSELVES:
        assert found_in(path) == ALLOWED.get(name, {})


def test_allowed_names_only_files_and_rules_that_exist() -> None:
    assert set(ALLOWED) <= {path.relative_to(ROOT).as_posix() for path in FILES}
    assert {rule for counts in ALLOWED.values() for rule in counts} <= set(RULES)


def test_style_rules_find_what_they_are_for() -> None:
    source = '''
class PatienceKeeper:
    """A door: who waits is told."""

    def tell(self) -> None:
        raise ValueError(f"nobody is there {self}")  # likewise
'''
    assert sorted(rule for rule, _, _ in names_in(ast.parse(source))) == ["class name", "function name"]
    prose = [text for _, text in prose_in(source)]
    assert sum(len(PRONOUNS.findall(text)) for text in prose) == 2
    assert sum(len(PHRASES.findall(text)) for text in prose) == 2
    assert [bool(LAYERS.match(text)) for text in prose].count(True) == 1
    assert is_participle("asking")
    assert not is_participle("pricing")


def test_style_rules_find_test_names_without_unit_condition_and_outcome() -> None:
    source = "def test_delay(): ...\nasync def test_a_burst(): ...\ndef test_delay_keeps_order(): ...\n"
    assert [name for _, _, name in names_in(ast.parse(source))] == ["test_delay", "test_a_burst"]
