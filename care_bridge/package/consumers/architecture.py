"""What the source of a network asks for, read without running it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection

_LONGEST_SOURCE = 1 << 20  # bytes

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def missing_arguments(source: bytes, called: str, given: Collection[str]) -> tuple[str, ...]:
    """Names of the arguments without default that the class or function `called` of a Python file
    takes besides the `given` ones.

    () where the file does not tell: what is called is imported, inherited or decorated, or the file
    is longer than a network is. SyntaxError where it is no Python.
    """
    if len(source) > _LONGEST_SOURCE:
        return ()
    function, own = _function(_parsed(source), called)
    if function is None:
        return ()
    told = function.args
    by_place = [*told.posonlyargs, *told.args]
    needed = [each.arg for each in by_place[: len(by_place) - len(told.defaults)]][own:]
    needed += [
        each.arg
        for each, default in zip(told.kwonlyargs, told.kw_defaults, strict=True)
        if default is None
    ]
    return tuple(name for name in needed if name not in given)


def _parsed(source: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore"):  # of its escapes, say
            return ast.parse(source)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"it cannot be parsed: {error}") from error


def _function(module: ast.Module, called: str) -> tuple[_Function | None, int]:
    """The function that is run, and how many of its first arguments it gets by itself."""
    for each in module.body:
        if isinstance(each, _Function) and each.name == called and not each.decorator_list:
            return each, 0
        if isinstance(each, ast.ClassDef) and each.name == called and not each.decorator_list:
            inits = [own for own in each.body if isinstance(own, ast.FunctionDef)]
            return next((own for own in inits if own.name == "__init__"), None), 1
    return None, 0
