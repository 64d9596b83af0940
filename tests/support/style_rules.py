"""The rules of style that ``tests/test_style.py`` holds, and a report of what breaks them.

Names are read with ``ast``, text with ``tokenize``. ``python tests/support/style_rules.py PATH...`` prints each place.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PLACES = ("connecttrade_async", "tests", "benchmarks", "examples")
FILES = [path for place in PLACES for path in sorted((ROOT / place).rglob("*.py"))]
OURSELVES = {"tests/test_style.py", "tests/support/style_rules.py"}  # these spell the banned words

# Nouns of the field that end in -ing or -ed all the same.
NOUNS = frozenset({"feed", "pacing", "polling", "pricing", "ring", "seed", "spacing", "streaming", "string", "testing"})
# Participles that qualify the noun behind them, as in "the open orders".
QUALIFIERS = frozenset({"encoding", "followed", "keyed", "missing", "parsing", "polled", "seeded", "working"})
METAPHORS = frozenset(
    {
        "bells",
        "board",
        "claims",
        "cutter",
        "demands",
        "desk",
        "dialogue",
        "door",
        "ear",
        "gate",
        "inbox",
        "journal",
        "ladder",
        "ledger",
        "life",
        "link",
        "listener",
        "marketboard",
        "marketcast",
        "misfortune",
        "news",
        "outlet",
        "pace",
        "patience",
        "pit",
        "place",
        "plan",
        "roster",
        "rounds",
        "scrutiny",
        "serials",
        "sheet",
        "shelf",
        "sieve",
        "sieves",
        "spelling",
        "spellings",
        "stage",
        "standing",
        "station",
        "surveyor",
        "switchboard",
        "talk",
        "tally",
        "teller",
        "turnstile",
        "verdict",
        "verdicts",
        "vigil",
        "visitor",
        "voice",
        "whose",
        "wish",
    }
)
MODULE_WORDS = METAPHORS | {"somebody", "people", "whose"}
CLASS_WORDS = frozenset(
    {
        "Armed",
        "Arsenal",
        "Asker",
        "Bookkeeper",
        "Cutter",
        "Demands",
        "Desk",
        "Dialogue",
        "Door",
        "Ear",
        "Face",
        "Gate",
        "Gathering",
        "House",
        "Inbox",
        "Intake",
        "Ledger",
        "Life",
        "Link",
        "Manner",
        "Misfortune",
        "Outlet",
        "Overlap",
        "Pace",
        "Patience",
        "Pit",
        "Place",
        "Rounds",
        "Served",
        "Shelf",
        "Spelling",
        "Stage",
        "Standing",
        "Station",
        "Surveyor",
        "Switchboard",
        "Talk",
        "Tally",
        "Teller",
        "Tiding",
        "Turnstile",
        "Verdict",
        "Vigil",
        "Visit",
        "Visitor",
        "Voice",
        "Whose",
        "Wish",
    }
)
VERBS = frozenset({"tell", "say", "hear", "ask", "look", "leave", "mend", "want", "come"})
PRONOUNS = re.compile(r"\b(?:who|whoever|whom|whose|somebody|nobody|everybody|anybody)\b", re.IGNORECASE)
PHRASES = re.compile(
    r"\b(?:so many|as ever|likewise|anew|in the name of|is told|are told|was told|tells?|told|its vow)\b", re.IGNORECASE
)
LAYERS = re.compile(
    r"^(?:Below the waterline|A door|A loop|A room|The front door|The ground|A value|Rules?|Across the wire)\b.{0,40}:"
)
RULES = ("module name", "class name", "function name", "pronoun", "phrase", "layer prefix", "test name")


def words_of(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def is_participle(word: str) -> bool:
    return word not in NOUNS | QUALIFIERS and re.fullmatch(r"[a-z]{2,}(?:ing|ed)", word) is not None


def names_in(tree: ast.AST) -> Iterator[tuple[str, int, str]]:
    """Yield (rule, line, name) for each class, public function and test whose name breaks a rule."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            if CLASS_WORDS & set(re.findall(r"[A-Z][a-z]+", node.name)):
                yield "class name", node.lineno, node.name
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test_"):
                words = node.name.removeprefix("test_").replace("_", " ")
                if words.count(" ") < 2 or PRONOUNS.search(words) or PHRASES.search(words):
                    yield "test name", node.lineno, node.name
            elif node.name.partition("_")[0] in VERBS:
                yield "function name", node.lineno, node.name


def prose_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of docstrings, comments, and every text of several words, such as those of errors and logs."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type", "# pyright")):
            yield line, token.string
        elif token.type == tokenize.STRING:
            text = token.string.lstrip("rbfRBF").strip("\"'")
            if text.count(" ") > 1:
                yield line, text
        elif token.type == getattr(tokenize, "FSTRING_MIDDLE", -1) and token.string.count(" ") > 1:
            yield line, token.string


class Violation(NamedTuple):
    """One place where a file breaks a rule."""

    rule: str
    line: int
    text: str


def violations_in(path: Path) -> Iterator[Violation]:
    """Yield every place of a file that breaks a rule, with its line."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    words = set(words_of(path.stem))
    if path.is_relative_to(ROOT / "connecttrade_async") and (any(map(is_participle, words)) or MODULE_WORDS & words):
        yield Violation("module name", 1, path.stem)
    for rule, line, name in names_in(tree):
        yield Violation(rule, line, name)
    for line, text in prose_in(source):
        if LAYERS.match(text):
            yield Violation("layer prefix", line, text.partition("\n")[0])
        for rule, pattern in (("pronoun", PRONOUNS), ("phrase", PHRASES)):
            for match in pattern.finditer(text):
                around = text[max(0, match.start() - 40) : match.end() + 40].replace("\n", " ")
                yield Violation(rule, line + text.count("\n", 0, match.start()), around)


def found_in(path: Path) -> dict[str, int]:
    """Count the violations of a file by rule."""
    return dict(Counter(violation.rule for violation in violations_in(path)))


def main() -> None:
    """Print the violations in the files and folders that the command line names."""
    for name in sys.argv[1:]:
        place = Path(name).resolve()
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if path.relative_to(ROOT).as_posix() not in OURSELVES:
                for rule, line, text in violations_in(path):
                    print(f"{path.relative_to(ROOT)}:{line}: {rule}: {text}")  # noqa: T201 - a report to read


if __name__ == "__main__":
    main()
