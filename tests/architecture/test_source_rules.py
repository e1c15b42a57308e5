"""Rules of the source that no linter here knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_BROAD = {"Exception", "BaseException"}
# Draws come from a seed that is passed in: these functions draw from a generator that the whole process shares.
_GLOBAL_RANDOM = re.compile(
    r"^(random\.(?!Random$|SystemRandom$)\w+|(np|numpy)\.random\.(?!default_rng$|RandomState$|Generator$|PCG64$|Philox$|SeedSequence$)"
    r"\w+|torch\.(manual_seed|seed|cuda\.manual_seed|cuda\.manual_seed_all))$"
)
# Written in pieces, so that this file keeps its own rules.
_PATH_OF_A_MACHINE = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work)/" + r"\w")
_REGISTRY = re.compile(
    r"--(?:extra-)?index-" + r"url|(?:py" + r"pi|files\.pythonhosted|registry\.npmjs|crates)\.(?:org|io)", re.IGNORECASE
)
_LEFT_OVER = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
_UNNAMED_IGNORE = re.compile(r"type: ig" + r"nore(?!\[)|# no" + r"qa(?!: ?[A-Z])")


def _is_broad(node: ast.ExceptHandler) -> bool:
    types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(one is None or ast.unparse(one) in _BROAD for one in types)


def _swallows(tree: ast.AST) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(tree):
        raises = any(isinstance(part, ast.Raise) for part in ast.walk(node))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not raises:
            yield node


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _global_draws(tree: ast.AST) -> list[ast.Call]:
    """Calls on a shared generator, but for those inside `with fork_rng(...)`, which puts its state back."""
    forked = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and any("fork_rng" in ast.unparse(item.context_expr) for item in node.items)
        for part in ast.walk(node)
    }
    return [node for name, node in _calls(tree) if _GLOBAL_RANDOM.match(name) and id(node) not in forked]


def test_broad_except_raises_again(modules):
    assert not [module.at(node) for module in modules for node in _swallows(module.tree)]


def test_no_hash_of_the_process(modules):
    # `hash()` of a text differs between two processes.
    assert not [module.at(node) for module in modules for name, node in _calls(module.tree) if name == "hash"]


def test_no_global_random_generator(modules):
    assert not [module.at(node) for module in modules for node in _global_draws(module.tree)]


@pytest.mark.parametrize(
    "rule",
    [_PATH_OF_A_MACHINE, _REGISTRY, _LEFT_OVER, _UNNAMED_IGNORE],
    ids=["path", "registry", "left-over", "ignore"],
)
def test_no_file_holds(rule: re.Pattern[str], project_files: list[Path], repository: Path):
    found = []
    for path in project_files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), start=1)
        found += [f"{path.relative_to(repository)}:{number}" for number, line in lines if rule.search(line)]
    assert not found


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("try: f()\nexcept Exception: pass", True),
        ("try: f()\nexcept (ValueError, BaseException): pass", True),
        ("try: f()\nexcept: pass", True),
        ("try: f()\nexcept Exception as e: raise StageError() from e", False),
        ("try: f()\nexcept ValueError: pass", False),
    ],
)
def test_swallowing_is_seen(source: str, bad: bool):
    assert bool(list(_swallows(ast.parse(source)))) is bad


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("random.shuffle(x)", True),
        ("np.random.rand(3)", True),
        ("torch.manual_seed(0)", True),
        ("with torch.random.fork_rng():\n    torch.manual_seed(0)", False),
        ("random.Random(0)", False),
        ("np.random.default_rng(0)", False),
        ("torch.Generator()", False),
    ],
)
def test_global_randomness_is_seen(source: str, bad: bool):
    assert bool(_global_draws(ast.parse(source))) is bad
