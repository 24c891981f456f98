"""``fastnst ui``: the page's files and its engine, on this computer and for this page alone."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from command_line import COMMAND
from numpy.typing import NDArray
from PIL import Image

import fastnst
from fastnst import verify
from fastnst.cli.commands.ui import PageServer

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with PageServer(0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server: PageServer, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)) as connection:
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())


def allowed(server: PageServer) -> dict[str, str]:
    return {"Origin": server.origin, "Authorization": f"Bearer {server.token}"}


def request(pictures: list[Pixels], **changes: Any) -> bytes:
    asked = {
        "model": "adain-16x",
        "alpha": 1,
        "palette": 1,
        "preserveColor": False,
        "weights": [1] * (len(pictures) - 1),
        "sizes": [[picture.shape[1], picture.shape[0]] for picture in pictures],
    }
    return json.dumps(asked | changes).encode() + b"\n" + b"".join(picture.tobytes() for picture in pictures)


def rgba(picture: Pixels) -> Pixels:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


CONTENT, STYLE, OTHER = (verify.picture(*size, seed=seed) for seed, size in enumerate(((50, 70), (40, 40), (30, 60))))


def test_the_page_and_everything_it_loads_are_served(server: PageServer) -> None:
    for path in ("/desk/", "/desk/index.html", "/desk/desk.js", "/desk/native.js", "/fastnst.js", "/models/adain-16x.fnst"):
        status, body, headers = ask(server, path)
        assert status == 200, path
        assert body
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    _, body, _ = ask(server, "/desk/index.html")
    assert b"default-src 'none'" in body


@pytest.mark.parametrize(
    "path", ["/", "/etc/passwd", "/../pyproject.toml", "/desk/../../stylize.py", "/__init__.py", "/package.json"]
)
def test_nothing_else_is_served(path: str, server: PageServer) -> None:
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {}),
        ({"alpha": 0.5, "palette": 0.25}, {"alpha": 0.5, "palette": 0.25}),
        ({"preserveColor": True}, {"preserve_color": True}),
        ({"model": "wct-16x"}, {}),
    ],
)
def test_pictures_are_those_of_stylizer(changes: dict[str, Any], options: dict[str, Any], server: PageServer) -> None:
    status, body, _ = ask(server, "/stylize", request([rgba(CONTENT), rgba(STYLE)], **changes), **allowed(server))
    assert status == 200, body
    wanted = fastnst.Stylizer(changes.get("model", "adain-16x"))(CONTENT, STYLE, **options)
    np.testing.assert_array_equal(np.frombuffer(body, np.uint8).reshape(50, 70, 4), rgba(wanted))


def test_styles_are_mixed_and_transparency_stays(server: PageServer) -> None:
    clear = np.dstack([CONTENT, verify.picture(50, 70, seed=9)[..., 0]])
    body = request([clear, rgba(STYLE), rgba(OTHER)], weights=[1, 3])
    status, made, _ = ask(server, "/stylize", body, **allowed(server))
    assert status == 200, made
    wanted = fastnst.Stylizer("adain-16x")(Image.fromarray(clear), [STYLE, OTHER], weights=[1, 3])
    np.testing.assert_array_equal(np.frombuffer(made, np.uint8).reshape(50, 70, 4), np.asarray(wanted))


@pytest.mark.parametrize("rest", [[STYLE], []])
def test_regions_are_those_of_stylizer(rest: list[Pixels], server: PageServer) -> None:
    mask = np.dstack([OTHER, OTHER[..., 0]])
    body = request([rgba(CONTENT), *map(rgba, rest), mask, rgba(OTHER)], weights=[1] * len(rest), preserveColor="lab")
    status, made, _ = ask(server, "/stylize", body, **allowed(server))
    assert status == 200, made
    regions = [(Image.fromarray(mask), OTHER)]
    wanted = fastnst.Stylizer("adain-16x")(CONTENT, rest or None, regions=regions, preserve_color="lab")
    np.testing.assert_array_equal(np.frombuffer(made, np.uint8).reshape(50, 70, 4), rgba(wanted))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "{origin}"},
        {"Authorization": "Bearer {token}"},
        {"Origin": "https://example.com", "Authorization": "Bearer {token}"},
        {"Origin": "{origin}", "Authorization": "Bearer wrong"},
    ],
)
def test_other_pages_are_refused(headers: dict[str, str], server: PageServer) -> None:
    filled = {name: value.format(origin=server.origin, token=server.token) for name, value in headers.items()}
    status, body, _ = ask(server, "/stylize", request([rgba(CONTENT), rgba(STYLE)]), **filled)
    assert status == 403
    assert body == b"only the page that fastnst ui has opened may ask"


def test_it_listens_on_this_computer_alone(server: PageServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_another_name_of_this_computer_is_refused(server: PageServer) -> None:
    assert ask(server, "/desk/index.html", Host="example.com")[0] == 403


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not a request of the page"),
        (b"[]\n", "not a request of the page"),
        (request([rgba(CONTENT), rgba(STYLE)])[:-1], "cut short"),
        (request([rgba(CONTENT), rgba(STYLE)], sizes=[[10**9, 10**9], [40, 40]]), "cut short"),
        (request([rgba(CONTENT), rgba(STYLE)], sizes=[[-70, -50], [40, 40]]), "cut short"),
        (request([rgba(CONTENT), rgba(STYLE)], model="../secret"), "there is no model"),
        (request([rgba(CONTENT), rgba(STYLE)], alpha=7), "alpha"),
        (request([rgba(CONTENT)]), "style"),
        (request([rgba(CONTENT), rgba(STYLE), rgba(OTHER)], weights=[1]), "each region has a mask and a style"),
        (request([rgba(CONTENT), rgba(STYLE)], preserveColor="hue"), "preserve_color"),
    ],
)
def test_a_bad_request_is_answered_in_one_line(body: bytes, said: str, server: PageServer) -> None:
    status, answer, _ = ask(server, "/stylize", body, **allowed(server))
    assert status == 400
    assert said in answer.decode()
    assert b"\n" not in answer


def test_too_large_a_picture_is_refused_before_it_is_read(server: PageServer) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)) as connection:
        connection.putrequest("POST", "/stylize")
        for name, value in {**allowed(server), "Content-Length": "100000000000"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert b"use fastnst stylize" in response.read()


def test_a_port_in_use_is_one_line(server: PageServer) -> None:
    done = ended("--no-open", "--port", str(server.server_port))
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_port_is_wrong_usage() -> None:
    assert ended("--port", "70000").returncode == 2


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, "ui", *arguments], capture_output=True, text=True, check=False, timeout=60)
