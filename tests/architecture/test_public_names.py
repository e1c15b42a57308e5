"""`__all__` is the list of what a module gives to others: complete, true, and without strangers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return ast.literal_eval(node.value)
    return None


def _defined(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            yield from ((name.id, node) for t in node.targets for name in ast.walk(t) if isinstance(name, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node
        elif isinstance(node, ast.TypeAlias if hasattr(ast, "TypeAlias") else ()):
            yield node.name.id, node


def _taken(modules) -> Iterator[tuple[str, str, str]]:
    """(taken from, name, taken by) for every `from module import name` between our modules."""
    names = {module.name for module in modules}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module in names:
                for alias in node.names:
                    if f"{node.module}.{alias.name}" not in names:
                        yield node.module, alias.name, module.name


def test_modules_with_public_names_list_them(modules):
    missing = {
        f"{module.name}.{name}"
        for module in modules
        for name, node in _defined(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not name.startswith("_")
        and name not in (_exported(module.tree) or [])
    }
    assert not missing


def test_what_others_import_is_listed(modules):
    exported = {module.name: _exported(module.tree) or [] for module in modules}
    unlisted = {f"{by} takes {name} from {owner}" for owner, name, by in _taken(modules) if name not in exported[owner]}
    assert not unlisted


def test_listed_names_are_defined_once(modules):
    wrong = set()
    for module in modules:
        listed = _exported(module.tree) or []
        reexported = {
            alias.asname or alias.name
            for node in module.tree.body
            if module.is_package and isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        known = {name for name, _ in _defined(module.tree)} | reexported
        wrong |= {f"{module.name}.{name}" for name in listed if name not in known}
        wrong |= {f"{module.name}.{name} twice" for name in listed if listed.count(name) > 1}
    assert not wrong


@pytest.mark.parametrize("source", ["__all__ = ['a']\ndef a(): ...\ndef b(): ...\n"])
def test_a_missing_name_is_seen(source):
    tree = ast.parse(source)
    assert {name for name, _ in _defined(tree)} - set(_exported(tree) or []) - {"__all__"} == {"b"}
