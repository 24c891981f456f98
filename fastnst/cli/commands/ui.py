"""The command ``ui``: the page of ``web/desk`` on this computer alone, with the native engine behind its buttons.

The page's address has a token behind ``#``, which browsers do not send; the page sends it with each picture. Requests from
other pages, for other hosts' names and for files that are not the page's are refused.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import webbrowser
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from fastnst.cli.errors import DONE

if TYPE_CHECKING:
    from fastnst.stylize import Stylizer

HELP = "open a page on this computer where photographs are stylized by choosing and dropping"

LOOPBACK = "127.0.0.1"
MOST_PIXELS = 200_000_000
"""Of all pictures of a request together; larger ones are for ``fastnst stylize``, which reads them in rows."""
MOST_HEADER = 1 << 16
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".fnst": "application/octet-stream",
}
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Headers of every answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=port_of, default=0, help="of 127.0.0.1 (default: any that is free)")
    parser.add_argument("--no-open", action="store_true", help="print the address and open no browser")


def port_of(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: expected 0 to 65535")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    from fastnst.system.lean import lean

    lean()
    try:
        server = PageServer(arguments.port)
    except OSError as error:
        raise OSError(f"port {arguments.port} of {LOOPBACK} cannot be used: {error.strerror}") from None
    with server:
        print(f"{server.address}\nCtrl-C ends it.", flush=True)
        if not arguments.no_open:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(file=sys.stderr)
    return DONE


class RequestError(Exception):
    """A request that is not answered: a status and one line."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class PageServer(ThreadingHTTPServer):
    """The page's files and its engine."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.token = secrets.token_urlsafe(24)
        self.files = page_files()

    @property
    def origin(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}"

    @property
    def address(self) -> str:
        return f"{self.origin}/desk/index.html#{self.token}"


def page_files() -> dict[str, Traversable]:
    """What is served, by its path. Nothing else on this computer can be asked for."""
    web, models = resources.files("fastnst.web"), resources.files("fastnst") / "models"
    folders = {"/": web, "/desk/": web / "desk", "/models/": models}
    return {
        f"{path}{file.name}": file
        for path, folder in folders.items()
        for file in folder.iterdir()
        if file.is_file() and suffix_of(file.name) in TYPES
    }


def suffix_of(name: str) -> str:
    return name[name.rfind(".") :]


@cache
def stylizer_of(model: str) -> Stylizer:
    """A shipped model: a request can name no file of this computer."""
    from fastnst.stylize import Stylizer

    if f"/models/{model}.fnst" not in page_files():
        raise RequestError(HTTPStatus.BAD_REQUEST, f"there is no model {model!r}")
    return Stylizer(model)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: PageServer
    server_version, sys_version = "fastnst", ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answered(self.file)

    def do_POST(self) -> None:
        self.answered(self.picture)

    def answered(self, answer: Callable[[], tuple[str, bytes]]) -> None:
        try:
            if self.headers.get("Host") != f"{LOOPBACK}:{self.server.server_port}":  # another name that points here
                raise RequestError(HTTPStatus.FORBIDDEN, "another host was asked for")
            self.send(HTTPStatus.OK, *answer())
        except RequestError as refused:
            self.close_connection = True  # its body has not been read
            self.send(refused.status, "text/plain; charset=utf-8", f"{refused}".encode())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the page does not want it any more

    def send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**ISOLATED, "Content-Type": content_type, "Content-Length": f"{len(body)}"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def file(self) -> tuple[str, bytes]:
        path = self.path.partition("?")[0]
        path = f"{path}index.html" if path == "/desk/" else path
        if (found := self.server.files.get(path)) is None:
            raise RequestError(HTTPStatus.NOT_FOUND, "there is no such file")
        return TYPES[suffix_of(path)], found.read_bytes()

    def picture(self) -> tuple[str, bytes]:
        """A line of JSON, then RGBA bytes of the content, of the styles, and of a mask and a style for each region; answered by
        those of the result."""
        if self.path != "/stylize":
            raise RequestError(HTTPStatus.NOT_FOUND, "there is no such service")
        given = self.headers.get("Authorization", "")
        if self.headers.get("Origin") != self.server.origin or not secrets.compare_digest(given, f"Bearer {self.server.token}"):
            raise RequestError(HTTPStatus.FORBIDDEN, "only the page that fastnst ui has opened may ask")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > 4 * MOST_PIXELS + MOST_HEADER:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_PIXELS:,} pixels: use fastnst stylize")
        body = self.rfile.read(int(length))
        try:
            return "application/octet-stream", stylized(body)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"not a request of the page: {error}") from None
        except (ValueError, MemoryError, OSError) as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{error}" or "not enough memory") from None

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal is the user's."""


def stylized(body: bytes) -> bytes:
    """The RGBA bytes of what a request asks for."""
    from PIL import Image

    line, _, pixels = body.partition(b"\n")
    asked: Mapping[str, Any] = json.loads(line)
    pictures, at = [], 0
    for width, height in asked["sizes"]:
        size = 4 * width * height
        if not (isinstance(size, int) and width > 0 and height > 0 and at + size <= len(pixels)):
            raise ValueError("the request is cut short")
        pictures.append(Image.frombuffer("RGBA", (width, height), pixels[at : at + size]))
        at += size
    weights = asked["weights"]
    content, *others = pictures
    styles, placed = others[: len(weights)], others[len(weights) :]
    if len(placed) % 2:
        raise ValueError("each region has a mask and a style")
    regions = list(zip(placed[::2], placed[1::2], strict=True))
    result = stylizer_of(asked["model"])(
        content,
        styles if styles or not regions else None,
        weights=weights if styles or not regions else None,
        regions=regions,
        alpha=asked["alpha"],
        palette=0 if asked["preserveColor"] else asked["palette"],
        preserve_color=asked["preserveColor"],
    )
    return result.convert("RGBA").tobytes()
