"""What griffe, which reads the docstrings for the reference pages, has to know of this project's.

Operations take their docstrings from the reference (``fastnst.ops.documented``), formulas are written as ``.. math::``, and
names as roles of Sphinx.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import griffe
from latex2mathml.converter import convert

REFERENCE = Path(__file__).parent.parent.parent / "fastnst" / "reference"


def _reference_docstrings() -> dict[str, str]:
    """The docstring of every function of ``fastnst.reference``, by name."""
    found = {}
    for path in sorted(REFERENCE.glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
                found[node.name] = text
    return found


def _formula(directive: re.Match[str]) -> str:
    """As MathML; a formula goes on in the lines that are indented below it."""
    return f"<p>{convert(' '.join(directive[1].split()), display='block')}</p>"


def readable(text: str) -> str:
    """A docstring as Markdown."""
    text = re.sub(r"^\.\. math:: (.*(?:\n[ \t]+\S.*)*)$", _formula, text, flags=re.MULTILINE)
    return re.sub(r":(?:mod|class|func|meth):`~?([^`]+)`", r"`\1`", text).replace("``", "`")


class Docstrings(griffe.Extension):
    """Fills in and cleans docstrings."""

    def __init__(self) -> None:
        self.reference = _reference_docstrings()

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        for decorator in obj.decorators if isinstance(obj, griffe.Function) else ():
            value = str(decorator.value)
            if value.startswith("documented("):
                name = value.removeprefix("documented(").removesuffix(")").removeprefix("reference.")
                obj.docstring = griffe.Docstring(self.reference[name], parent=obj, parser="google")
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)
