"""Files of the repository as pages of the site: README.md is the home page, and whatever a page links to comes along.

Pages link to each other as they lie in the repository, so that the same text reads well there. For the site, ``docs/x.md``
becomes ``x.md``, ``README.md`` becomes ``index.md``, and every other file keeps its path.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent.parent
ALWAYS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add what is linked to, and what that links to."""
    known = {_in_repository(file.src_uri) for file in files}
    queue = [*ALWAYS, *(name for name in known if name.endswith(".md"))]
    while queue:
        name = queue.pop()
        if name not in known:
            known.add(name)
            files.append(File.generated(config, _in_site(name), abs_src_path=str(ROOT / name)))
        if name.endswith(".md"):
            queue += [link for link in _links((ROOT / name).read_text(), name) if link not in known]
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let the links of a page lead to where their targets are in the site."""
    name = _in_repository(page.file.src_uri)
    here = PurePosixPath(page.file.src_uri).parent

    def moved(match: re.Match[str]) -> str:
        target = _target(match[2], name)
        return match[0] if target is None else match[1] + posixpath.relpath(_in_site(target), here) + match[3]

    return _outside_code(markdown, lambda text: _LINK.sub(moved, text))


def _links(markdown: str, name: str) -> list[str]:
    found: list[str] = []
    _outside_code(markdown, lambda text: found.extend(match[2] for match in _LINK.finditer(text)) or text)
    return [target for link in found if (target := _target(link, name)) is not None]


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """``change`` applied to all but code."""
    return "".join(part if i % 2 else change(part) for i, part in enumerate(_CODE.split(markdown)))


def _target(link: str, name: str) -> str | None:
    """The file of the repository that a link of the file ``name`` leads to; ``None`` if it leads to none, for mkdocs to say."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
    return target if "://" not in link and (ROOT / target).is_file() else None


def _in_site(name: str) -> str:
    return "index.md" if name == "README.md" else name.removeprefix("docs/")


def _in_repository(uri: str) -> str:
    if uri == "index.md":
        return "README.md"
    return f"docs/{uri}" if (ROOT / "docs" / uri).is_file() else uri
