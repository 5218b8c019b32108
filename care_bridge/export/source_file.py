"""A network's Python source as one file that needs torch alone."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType

from torch import nn

import care_bridge
from care_bridge.errors import ExportError

_NETWORKS = "care_bridge.training.networks."
_HEAD = '''"""The network of this model, for those who load its weights with torch.

Made of care_bridge {version}'s own source (BSD-3-Clause), which it does not need.
"""

from __future__ import annotations

'''


def source_file(build: Callable[..., nn.Module]) -> str:
    """Python source in which `build`, a class or function of care_bridge.training.networks, is
    defined with all that it calls. ExportError where two things in it have one name."""
    modules = _with_needed(inspect.getmodule(build), {})
    parts, imported, defined = [], set[str](), set[str]()
    for module, tree in modules.items():
        names = {name for node in tree.body for name in _names(node)}
        if names & defined:
            raise ExportError(
                f"the source of {build.__name__} defines {sorted(names & defined)[0]} twice: "
                "report this network's settings"
            )
        defined |= names
        imported |= {ast.unparse(node) for node in _imports(tree) if not _is_ours(node)}
        parts.append(_body(module, tree))
    lines = sorted(line for line in imported if "__future__" not in line)
    head = _HEAD.format(version=care_bridge.__version__)
    return head + "\n".join(lines) + "\n\n\n" + "\n\n\n".join(parts) + "\n"


def _with_needed(
    module: ModuleType | None, found: dict[ModuleType, ast.Module]
) -> dict[ModuleType, ast.Module]:
    """`module` and the networks' modules that it imports, each after those that it needs."""
    assert module is not None
    tree = ast.parse(inspect.getsource(module))
    for node in _imports(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}".startswith(_NETWORKS):
            needed = importlib.import_module(f"{node.module}")
            if needed not in found:
                _with_needed(needed, found)
    found[module] = tree
    return found


def _body(module: ModuleType, tree: ast.Module) -> str:
    """The module's text without its docstring and its imports; what it imports from care_bridge
    besides networks is a constant, and is written out."""
    lines = inspect.getsource(module).splitlines()
    for node in (tree.body[0], *_imports(tree)):
        for number in range(node.lineno - 1, node.end_lineno or node.lineno):
            lines[number] = ""
    constants = [
        f"{alias.name} = {getattr(module, alias.name)!r}"
        for node in _imports(tree)
        if isinstance(node, ast.ImportFrom) and _is_ours(node)
        if not f"{node.module}".startswith(_NETWORKS)
        for alias in node.names
    ]
    return "\n\n\n".join([*constants, "\n".join(lines).strip()])


def _imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    return (node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(node, ast.ImportFrom) and f"{node.module}".startswith("care_bridge")


def _names(node: ast.stmt) -> Iterator[str]:
    """What a statement of a module defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
