"""Names of outputs, made of the names of content and style; and which contents are whose, by their names."""

from __future__ import annotations

import os
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


@dataclass(frozen=True)
class Part:
    """Part ``number`` of ``count``, such as ``3/16``: of a run that several processes or machines share.

    A content is in the part that a digest of its name tells, so that no part has to know of the others, and a content that
    comes or goes moves no other.

    Raises:
        ValueError: the number is not 1 to ``count``.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"{self.number}/{self.count}: the number of a shard is 1 to how many there are, such as 3/16")

    @classmethod
    def of(cls, text: str) -> Part:
        """From ``3/16``."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal()):
            raise ValueError(f"{text!r} is no shard such as 3/16")
        return cls(int(number), int(count))

    def holds(self, place: PurePath) -> bool:
        """Whether a content is in this part. Those that differ in their suffixes alone, whose results might have one name, are
        in the same."""
        import hashlib

        digest = hashlib.sha256(os.fsencode(place.with_suffix("").as_posix())).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1
