"""Names of outputs, made of the names of content and style."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import PurePath

FIELDS = ("content", "style", "ext")
DEFAULT_NAME = "{content}-{style}.{ext}"


@dataclass(frozen=True)
class Name:
    """A template such as ``{content}-{style}.{ext}``: names without folder and suffix, and the suffix without its dot.

    Raises:
        ValueError: another field, or a name that leads out of the folder of outputs.
    """

    template: str

    def __post_init__(self) -> None:
        try:
            parts = list(string.Formatter().parse(self.template))
        except ValueError as error:
            raise ValueError(f"{self.template!r}: {error}") from None
        for _, field, form, conversion in parts:
            if field is not None and (field not in FIELDS or form or conversion):
                raise ValueError(f"{self.template!r}: the fields of a name are {', '.join(f'{{{name}}}' for name in FIELDS)}")
        path = PurePath(self.of("a", "b", "c"))
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise ValueError(f"{self.template!r} is no name of a file in the folder of outputs")

    def of(self, content: str, style: str, ext: str) -> str:
        """The name of one output."""
        return self.template.format(content=content, style=style, ext=ext)
