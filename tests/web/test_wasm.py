"""The engine in WebAssembly, run by node through the npm package, makes the bytes that it makes everywhere else."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_package import MODULES, ROOT, THREADS, WEB, Pixels, digest, given, lacking, run, runs
from PIL import Image

import fastnst
from fastnst import verify

MODELS = tuple(model.name for model in fastnst.models())
EXAMPLE = ROOT / "examples" / "photo2painting.fnst"

if why := lacking():
    pytest.skip(why, allow_module_level=True)

SMALL = given(verify.picture(8, 8, seed=1))
LARGE = {"width": 4097, "height": 1, "grey": base64.b64encode(bytes(4097)).decode()}


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> str:
    """Each that this node can run."""
    if not runs(request.param):
        pytest.skip("this node has no relaxed vectors")
    return str(request.param)


def test_every_shipped_model_makes_the_same_bytes(module: str, tmp_path: Path) -> None:
    jobs, wanted = [], []
    for model in MODELS:
        stylizer = fastnst.Stylizer(model)
        for height, width, options in (
            (37, 50, {}),
            (96, 64, {"alpha": 0.5, "palette": 0.25}),
            (1, 1, {"preserveColor": True}),
        ):
            content, style = verify.picture(height, width, seed=height), verify.picture(48, 40, seed=7)
            names = {"alpha": "alpha", "palette": "palette", "preserveColor": "preserve_color"}
            made = stylizer(content, style, **{names[name]: value for name, value in options.items()})
            wanted.append(digest(made))
            source = {"model": model, "wasm": str(WEB / module), "threads": THREADS[module], "options": options}
            jobs.append(source | {"content": given(content), "style": given(style)})
    answers = run(tmp_path, *jobs)
    assert [answer.get("digest", answer) for answer in answers] == wanted


def test_generators_make_the_same_bytes(module: str, tmp_path: Path) -> None:
    """With helpers, too: their statistics were wrong while their stacks began at multiples of 8 bytes, and not of 16."""
    pictures = [verify.picture(height, width, seed=height) for height, width in ((37, 50), (128, 96), (1, 1))]
    for threads in sorted({1, THREADS[module]}):
        job = {"model": str(EXAMPLE), "wasm": str(WEB / module), "threads": threads, "options": {}}
        answers = run(tmp_path, *(job | {"content": given(each)} for each in pictures))
        assert [answer.get("digest", answer) for answer in answers] == [
            digest(fastnst.Stylizer(EXAMPLE)(each)) for each in pictures
        ]
    (path,) = {answer["set"] for answer in answers}
    kinds = {"fastnst-relaxed": {"relaxed", "relaxeddot"}, "fastnst-scalar": {"scalar"}}
    assert path in kinds.get(module.removesuffix(".wasm").removesuffix("-threads"), {"simd128"})
    assert {answer["threads"] for answer in answers} == {THREADS[module]}


def test_tiles_mixed_styles_levels_and_transparency_are_those_of_python(tmp_path: Path) -> None:
    content, a, b = verify.picture(300, 420, seed=1), verify.picture(96, 80, seed=2), verify.picture(64, 130, seed=3)
    alpha = verify.picture(300, 420, seed=4)[..., :1]
    alpha[alpha < 90] = 0
    clear = np.dstack([content, alpha])
    stylizer, wct = fastnst.Stylizer("adain-16x"), fastnst.Stylizer("wct-16x")
    plain = {"model": "adain-16x", "content": given(content), "style": given(a)}
    answers = run(
        tmp_path,
        plain | {"options": {"maxMemory": 4 << 20}},
        plain | {"options": {"palette": 0}, "twice": True},
        plain | {"style": [(given(a), 1), (given(b), 3)], "options": {}},
        plain | {"content": given(clear), "options": {}},
        plain | {"model": "wct-16x", "options": {"levels": [3, 1]}},
    )
    assert [answer.get("digest", answer) for answer in answers] == [
        digest(stylizer(content, a)),
        digest(stylizer(content, a, palette=0)),
        digest(stylizer(content, [a, b], weights=[1, 3])),
        digest(np.asarray(stylizer(Image.fromarray(clear), a))),
        digest(wct(content, a, levels=[3, 1])),
    ]
    (tiled, *_) = answers
    assert len(tiled["parts"]) > 2
    assert tiled["parts"] == sorted(tiled["parts"])
    assert tiled["parts"][-1] == 1


def test_regions_alpha_map_and_colour_modes_are_those_of_python(tmp_path: Path) -> None:
    content, a, b = verify.picture(90, 140, seed=1), verify.picture(48, 40, seed=2), verify.picture(40, 60, seed=3)
    grey = verify.picture(30, 45, seed=5)[..., 0].copy()
    left = np.zeros((30, 45), np.uint8)
    left[:, :20] = 255
    coloured = verify.picture(25, 25, seed=6)
    painted = np.dstack([coloured, verify.picture(25, 25, seed=7)[..., 0]])
    bytes_of_grey = {"width": 45, "height": 30, "grey": base64.b64encode(grey.tobytes()).decode()}
    bytes_of_left = {"width": 45, "height": 30, "grey": base64.b64encode(left.tobytes()).decode()}
    stylizer, wct = fastnst.Stylizer("adain-nano"), fastnst.Stylizer("wct-16x")
    plain = {"model": "adain-nano", "content": given(content), "style": given(a), "options": {}}
    no_style = plain | {"style": None}
    light, opaque = (Image.fromarray(each) for each in (coloured, painted))
    cases: list[tuple[dict[str, Any], Pixels]] = [
        *((plain | {"options": {"preserveColor": mode}}, stylizer(content, a, preserve_color=mode))
          for mode in ("luma", "lab", "match", "histogram")),
        (plain | {"regions": [(bytes_of_left, given(b))]}, stylizer(content, a, regions=[(left, b)])),
        (no_style | {"regions": [(bytes_of_grey, given(b))]}, stylizer(content, regions=[(grey, b)])),
        (
            plain | {"regions": [(given(coloured), given(b)), (given(painted), [(given(b), 1), (given(a), 1)])]},
            stylizer(content, a, regions=[(light, b), (opaque, [b, a])]),
        ),
        (plain | {"alphaMap": bytes_of_grey, "options": {"alpha": 0.7}}, stylizer(content, a, alpha=0.7, alpha_map=grey)),
        (
            no_style | {"model": "wct-16x", "regions": [(bytes_of_left, given(a))], "options": {"preserveColor": "lab"}},
            wct(content, regions=[(left, a)], preserve_color="lab"),
        ),
    ]  # fmt: skip
    answers = run(tmp_path, *(job for job, _ in cases))
    assert [answer.get("digest", answer) for answer in answers] == [digest(picture) for _, picture in cases]
    assert len({answer["digest"] for answer in answers}) == len(cases)


def test_styles_of_a_generators_own(styled_path: Path, generator_path: Path, tmp_path: Path) -> None:
    content, stylizer = verify.picture(33, 47, seed=1), fastnst.Stylizer(styled_path)
    plain = {"model": str(styled_path), "content": given(content), "options": {}}
    cases = [
        (plain, stylizer(content)),
        (plain | {"options": {"styleIndex": 4}}, stylizer(content, style_index=4)),
        (plain | {"options": {"styleWeights": {"3": 1, "1": 0.5}}}, stylizer(content, style_weights={1: 0.5, 3: 1})),
    ]
    answers = run(tmp_path, *(job for job, _ in cases))
    assert [answer.get("digest", answer) for answer in answers] == [digest(picture) for _, picture in cases]
    wrong = {
        "there is no style 5: this model has 5, numbered 0 to 4": {"styleIndex": 5},
        "there is no style 1.5: this model has 5, numbered 0 to 4": {"styleWeights": {"1.5": 1}},
        'the weight of a style must be a number of at least 0, not "much"': {"styleWeights": {"1": "much"}},
        "weights must be at least 0 and not all 0": {"styleWeights": {}},
        "styleIndex is one style, and styleWeights are several: give one of them": {"styleIndex": 1, "styleWeights": {"1": 1}},
    }
    failed = run(tmp_path, *(plain | {"options": options} for options in wrong.values()))
    assert [answer["error"] for answer in failed] == list(wrong)
    (one_look,) = run(tmp_path, plain | {"model": str(generator_path), "options": {"styleIndex": 0}})
    assert one_look["error"] == "this model has no styles of its own to choose by number"


def test_regions_are_those_of_the_command_line(tmp_path: Path) -> None:
    content, a, b = verify.picture(60, 80, seed=1), verify.picture(48, 40, seed=2), verify.picture(40, 60, seed=3)
    mask = verify.picture(30, 45, seed=5)
    for name, picture in {"content": content, "a": a, "b": b, "mask": mask}.items():
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    arguments = ["content.png", "a.png", "-o", "out.png", "--region", "mask.png=b.png", "--preserve-color", "match"]
    command = [sys.executable, "-m", "fastnst", "stylize", *arguments, "--model", "adain-nano", "--style-size", "0"]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=60)
    job = {"model": "adain-nano", "content": given(content), "style": given(a), "regions": [(given(mask), given(b))]}
    (answer,) = run(tmp_path, job | {"options": {"preserveColor": "match"}})
    assert answer.get("digest", answer) == digest(np.asarray(Image.open(tmp_path / "out.png")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"alpha": 2}}, "alpha must be a number in 0..1, not 2"),
        ({"options": {"palette": "much"}}, 'palette must be a number in 0..1, not "much"'),
        ({"options": {"levels": [4]}}, "level"),
        ({"options": {"maxMemory": 1000}}, "pixels takes at least"),
        ({"threads": 0}, "threads must be a whole number in 1..16, not 0"),
        ({"threads": 2.5}, "threads must be a whole number in 1..16, not 2.5"),
        ({"threads": "2"}, 'threads must be a whole number in 1..16, not "2"'),
        ({"model": "no-such-model"}, "no-such-model does not ship; there are adain-16x"),
        ({"model": "./jobs.json"}, "not a fastnst model"),
        ({"style": None}, "this model needs a style"),
        ({"options": {"preserveColor": "hue"}}, "preserveColor is true, false or one of luma, lab, match, histogram, not hue"),
        ({"regions": [({"width": 5, "height": 5, "grey": "AAAA"}, None)]}, "a picture of 5 x 5 pixels has 100 bytes, not 3"),
        ({"regions": [(LARGE, SMALL)]}, "the sides of a mask must be 1 to 4096 pixels"),
        ({"regions": [(SMALL, SMALL)] * 65}, "there may be at most 64 regions"),
        ({"regions": [(SMALL, None)]}, "this model needs a style"),
        ({"content": {"width": 2, "height": 2, "rgba": "AAAA"}}, "a picture of 2 x 2 pixels has 16 bytes, not 3"),
    ],
)
def test_what_is_wrong_is_one_line(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    picture = given(verify.picture(20, 20, seed=1))
    job = {"model": "adain-16x", "content": picture, "style": picture, "options": {}}
    (answer,) = run(tmp_path, job | change)
    assert answer["name"] == "FastnstError"
    assert said in answer["error"]
    assert "\n" not in answer["error"]


def test_a_call_that_fails_changes_nothing_for_the_next(module: str, tmp_path: Path) -> None:
    content, style = verify.picture(37, 50, seed=1), verify.picture(48, 40, seed=7)
    job = {"model": "adain-nano", "wasm": str(WEB / module), "threads": THREADS[module], "options": {}}
    job |= {"content": given(content), "style": given(style)}
    (answer,) = run(tmp_path, job | {"fails": {"maxMemory": 1000}})
    assert "pixels takes at least" in answer["parts"][-1]
    assert answer["digest"] == digest(fastnst.Stylizer("adain-nano")(content, style))


def test_threads_are_as_many_as_asked_and_change_nothing(tmp_path: Path) -> None:
    """Without a module of one's own, too: one thread takes the module that shares no memory."""
    content, style = verify.picture(130, 190, seed=1), verify.picture(96, 80, seed=2)
    job = {"model": "wct-16x", "content": given(content), "style": given(style), "options": {"maxMemory": 8 << 20}}
    answers = run(tmp_path, *(job | {"threads": threads} for threads in (1, 2, 16)), job)
    assert {answer.get("digest", answer) for answer in answers} == {digest(fastnst.Stylizer("wct-16x")(content, style))}
    assert [answer["threads"] for answer in answers[:3]] == [1, 2, 16]
    assert 1 <= answers[3]["threads"] <= 4


def test_without_workers_to_help_the_engine_works_alone() -> None:
    command = ["node", str(Path(__file__).with_name("alone.mjs"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert json.loads(done.stdout or "null") == [4, 1, 4 * 64 * 48], done.stderr


def test_a_model_that_cannot_be_loaded_leaves_no_workers() -> None:
    """The engine's own worker and those that help it end, as many as have begun."""
    program = f"""import {{ Worker }} from "node:worker_threads";
        import {{ Fastnst }} from "{(WEB / "fastnst.js").as_uri()}";
        import {{ readFile }} from "node:fs/promises";
        let started = 0, ended = 0;
        const start = (hears) => {{
          const worker = new Worker(new URL("{(WEB / "node.js").as_uri()}"), {{ workerData: "fastnst", execArgv: [] }});
          started++;
          worker.on("message", hears.message).on("error", hears.error).on("exit", () => ended++);
          return worker;
        }};
        const read = async (url) => new Uint8Array(await readFile(url));
        const host = {{ start, read, isolated: true, cores: 3 }};
        const why = await Fastnst.load(new Uint8Array(3), {{ threads: 3 }}, host).catch((error) => error.message);
        for (let i = 0; i < 100 && ended < started; i++) await new Promise((resolve) => setTimeout(resolve, 50));
        console.log(JSON.stringify([why, started, ended]));
        process.exit();"""
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert json.loads(done.stdout or "null") == ["not a fastnst model", 3, 3], done.stderr


def test_a_program_on_the_command_line_has_workers() -> None:
    program = f"""import {{ Fastnst }} from "{(WEB / "node.js").as_uri()}";
        const picture = {{ width: 64, height: 48, data: new Uint8Array(4 * 64 * 48) }};
        const fastnst = await Fastnst.load("adain-nano", {{ threads: 2 }});
        console.log((await fastnst.stylize(picture, picture)).data.length, fastnst.threads);"""
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == [str(4 * 64 * 48), "2"], done.stderr


def test_a_large_picture_stays_within_the_heap() -> None:
    """12 megapixels within 512 MB by the memory that tiles have: an eighth of all that, because the whole takes long."""
    command = ["node", str(Path(__file__).with_name("heap.mjs")), "adain-nano", "1500", "1000", str((160 << 20) // 8)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) <= 512_000_000 / 8


def test_modules_are_small_enough_for_a_page() -> None:
    """Bytes that a host sends, which compresses them; and of the page with all but the models."""
    sizes = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in [*WEB.glob("*.wasm"), *WEB.glob("*.js")]}
    assert {name: size for name, size in sizes.items() if name.endswith(".wasm") and size > 80_000} == {}
    desk = sum(len(gzip.compress(path.read_bytes(), 9)) for path in (WEB / "desk").iterdir())
    scripts = sum(size for name, size in sizes.items() if name.endswith(".js"))
    assert desk + scripts + max(sizes[name] for name in MODULES) <= 150_000


def test_the_package_holds_what_it_needs() -> None:
    """What npm would publish, by the rules of package.json: modules, types, the two builds and the models."""
    described = json.loads((WEB / "package.json").read_text())
    files = sorted(path.name for pattern in described["files"] for path in WEB.glob(pattern))
    assert files == sorted(
        ["calls.js", "engine.js", "fastnst.js", "models.js", "node.js", "pictures.js", "worker.js", "fastnst.d.ts", *MODULES]
        + [f"{model}.fnst" for model in MODELS]
    )
    assert described["version"] == fastnst.__version__
    assert "dependencies" not in described


def test_the_program_of_the_documentation_parses(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```js\n(.*?)^```$", (WEB.parent / "docs" / "web.md").read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "program.mjs"
    file.write_text(program)
    subprocess.run(["node", "--check", str(file)], check=True, timeout=60)
