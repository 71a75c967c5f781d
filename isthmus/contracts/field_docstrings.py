"""Reads the docstring below each field of a model, for JSON Schemas and generated docs.

Python keeps these docstrings in the source only. pydantic's `use_attribute_docstrings` reads the source whenever a
class is defined, so every command would pay for it; here only the commands that print them do.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
from collections.abc import Mapping

from pydantic import BaseModel


def field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring of each field of a model and of its parents, on one line. Fields without one are left out."""
    docstrings: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind is not BaseModel:
            docstrings |= _docstrings_of_module(kind.__module__).get(kind.__qualname__, {})
    return {name: text for name, text in docstrings.items() if name in model.model_fields}


@functools.cache
def _docstrings_of_module(module: str) -> Mapping[str, Mapping[str, str]]:
    """By class at the top of a module: the docstring of each of its fields."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: _docstrings_of_class(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _docstrings_of_class(definition: ast.ClassDef) -> dict[str, str]:
    return {
        field.target.id: " ".join(docstring.value.value.split())
        for field, docstring in itertools.pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(docstring, ast.Expr)
        and isinstance(docstring.value, ast.Constant)
        and isinstance(docstring.value.value, str)
    }
