"""Every line that tells users what they did wrong is looked at by some test.

A `raise` counts as looked at when a text in the tests, its regular expression taken apart, meets one of the fixed parts
of its message: lies in it, holds it, or runs into it from a place that is filled in, with eight characters or more in
common.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from schemas import errors

_LENGTH = 8
_KINDS = {name for name in errors.__all__ if issubclass(getattr(errors, name), errors.UserError)}
_NOT_LITERAL = re.compile(r"\\.|[.*+?^$()\[\]{}|\n]")


def _literals(node: ast.expr) -> list[str]:
    """The fixed parts of a message."""
    if isinstance(node, ast.JoinedStr):
        return [text for part in node.values for text in _literals(part)]
    if isinstance(node, ast.BinOp):
        return _literals(node.left) + _literals(node.right)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _messages(tree: ast.AST) -> list[tuple[ast.Raise, list[str]]]:
    """The fixed parts of each message to users, those with none long enough left out."""
    raised = [
        (node, _literals(node.exc.args[0]))
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and ast.unparse(node.exc.func) in _KINDS
        and node.exc.args
    ]
    return [(node, parts) for node, parts in raised if any(len(part.strip()) >= _LENGTH for part in parts)]


def _expected(tests: Path) -> set[str]:
    """What tests expect of texts: their own texts, cut where a regular expression leaves the literal."""
    texts = {
        node.value
        for path in tests.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    pieces = (piece.strip() for text in texts for piece in _NOT_LITERAL.split(text))
    return {piece for piece in pieces if len(piece) >= _LENGTH}


def _meets(piece: str, part: str) -> bool:
    shorter = min(len(piece), len(part))
    overlaps = range(_LENGTH, shorter + 1)
    return shorter >= _LENGTH and (
        piece in part
        or part in piece
        or any(piece.endswith(part[:length]) or piece.startswith(part[-length:]) for length in overlaps)
    )


def test_every_message_to_users_is_expected_somewhere(modules, repository: Path):
    expected = _expected(repository / "tests")
    unseen = [
        f"{module.at(node)} {'…'.join(parts)[:80]}"
        for module in modules
        for node, parts in _messages(module.tree)
        if not any(_meets(piece, part) for piece in expected for part in parts)
    ]
    assert not unseen, "no test expects these messages:\n" + "\n".join(unseen)


def test_a_message_that_nobody_expects_is_seen():
    tree = ast.parse('raise ConfigError(f"--size {size}: give a number " "above 0")')
    ((_, parts),) = _messages(tree)
    assert parts == ["--size ", ": give a number above 0"]


def test_texts_meet_across_what_is_filled_in():
    assert _meets("--size 7: give a number", ": give a number above 0")
    assert _meets("give a number", ": give a number above 0")
    assert not _meets("give a name", ": give a number above 0")
    assert not _meets("size", "--size ")
