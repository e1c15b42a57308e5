"""Nothing that is read can run: no pickles, no code from data, no shell. Told from the source of the four packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

# Each runs what it reads, or hands words to a shell.
_NEVER = frozenset(
    {
        "eval", "exec", "builtins.eval", "builtins.exec",
        "pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "dill.load",
        "dill.loads", "marshal.load", "marshal.loads", "shelve.open", "joblib.load", "pandas.read_pickle",
        "yaml.full_load", "yaml.full_load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "torch.jit.load",
        "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    }
)  # fmt: skip
_SAFE_LOADERS = frozenset({"yaml.SafeLoader", "yaml.CSafeLoader"})


def _aliases(tree: ast.AST) -> dict[str, str]:
    """What names that were imported mean: `np` is numpy, `loads` may be pickle.loads."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                found[one.asname or one.name.partition(".")[0]] = one.name if one.asname else one.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return found


def _name(node: ast.AST, aliases: dict[str, str]) -> str:
    first, _, rest = ast.unparse(node).partition(".")
    return ".".join(filter(None, [aliases.get(first, first), rest]))


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_dangerous(call: ast.Call, aliases: dict[str, str]) -> bool:
    name, given = _name(call.func, aliases), {one.arg: one.value for one in call.keywords}
    if name in _NEVER:
        return True
    if name == "torch.load":
        return not _is(given.get("weights_only"), True)
    if name in {"yaml.load", "yaml.load_all"}:
        loader = given.get("Loader", call.args[1] if len(call.args) > 1 else None)
        return loader is None or _name(loader, aliases) not in _SAFE_LOADERS
    # Of whatever function: numpy has several that take the first, and a wrapper hands on the second.
    return any(word in given and not _is(given[word], False) for word in ("allow_pickle", "shell"))


def _dangerous(tree: ast.AST) -> Iterator[ast.Call]:
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_dangerous(node, aliases):
            yield node


def _taken(tree: ast.AST) -> Iterator[ast.AST]:
    """Such a function that is not called but handed on, as in `map(pickle.loads, rows)`."""
    aliases, called = _aliases(tree), {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        named = isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load)
        if named and id(node) not in called and _name(node, aliases) in _NEVER | {"torch.load", "yaml.load"}:
            yield node


def test_nothing_that_is_read_can_run(modules):
    found = [module.at(node) for module in modules for node in (*_dangerous(module.tree), *_taken(module.tree))]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.loads(data)",
        "import pickle as p\np.load(stream)",
        "from pickle import loads as read\nread(data)",
        "from pickle import Unpickler\nUnpickler(stream).load()",
        "import cloudpickle\ncloudpickle.loads(data)",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch\ntorch.load(path, weights_only=wanted)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.load(path, allow_pickle=wanted)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "import yaml\nyaml.load(text, Loader=yaml.FullLoader)",
        "import yaml\nyaml.unsafe_load(text)",
        "eval(text)",
        "exec(text)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "from subprocess import Popen\nPopen(text, shell=1)",
        "import os\nos.system(text)",
        "import pickle\nmap(pickle.loads, rows)",
    ],
)
def test_danger_is_seen(source: str):
    tree = ast.parse(source)
    assert list(_dangerous(tree)) or list(_taken(tree))


@pytest.mark.parametrize(
    "source",
    [
        "from pickle import PicklingError\ntry: f()\nexcept PicklingError: raise",
        "import json\njson.loads(data)",
        "import torch\ntorch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path)\nnp.load(path, allow_pickle=False)",
        "import yaml\nyaml.safe_load(text)\nyaml.load(text, Loader=yaml.CSafeLoader)",
        "model.eval()",
        "import subprocess\nsubprocess.run([program], shell=False)",
    ],
)
def test_what_is_harmless_is_left_alone(source: str):
    tree = ast.parse(source)
    assert not list(_dangerous(tree))
    assert not list(_taken(tree))
