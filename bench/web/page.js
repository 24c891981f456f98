// Contenders in one tab, called in turn by bench/web/measure.py through `window.sample(name)`.

import * as ort from "/ort/ort.wasm.min.mjs";
import { Fastnst } from "/web/fastnst.js";

ort.env.wasm.numThreads = Number(new URLSearchParams(location.search).get("threads"));
ort.env.wasm.wasmPaths = "/ort/";

const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());

const floats = (picture, { width, height }) => {
  const planes = new Float32Array(3 * width * height);
  for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) planes[c * width * height + i] = picture[4 * i + c] / 255;
  return new ort.Tensor("float32", planes, [1, 3, height, width]);
};

window.prepare = async (size, threads) => {
  const shape = { width: size, height: size };
  const content = { ...shape, data: await bytes(`/content-${size}`) }, style = { ...shape, data: await bytes(`/style-${size}`) };
  const feeds = { content: floats(content.data, shape), style: floats(style.data, shape) };
  const session = (file) =>
    ort.InferenceSession.create(file, { executionProviders: ["wasm"], freeDimensionOverrides: { H: size, W: size } });
  const plain = threads > 1 ? "/web/fastnst-threads.wasm" : "/web/fastnst.wasm";
  const [fast, simd128, scalar, float, int8] = [
    await Fastnst.load("adain-16x", { threads }),
    await Fastnst.load("adain-16x", { threads, wasm: plain }),
    await Fastnst.load("adain-16x", { wasm: "/web/fastnst-scalar.wasm" }),
    await session("/float32.onnx"),
    await session("/int8.onnx"),
  ];
  window.instructionSet = fast.instructionSet;
  if (fast.threads !== threads) throw new Error(`fastnst has ${fast.threads} threads, not ${threads}`);
  // Bytes in and bytes out here; the rivals get floats that are there already, and keep theirs.
  window.contenders = {
    "fastnst": () => fast.stylize(content, style, { palette: 0 }),
    "fastnst, simd128": () => simd128.stylize(content, style, { palette: 0 }),
    "fastnst, scalar": () => scalar.stylize(content, style, { palette: 0 }),
    "onnxruntime-web, float32": () => float.run(feeds),
    "onnxruntime-web, int8": () => int8.run(feeds),
  };
};

window.sample = async (name) => {
  const run = window.contenders[name], seconds = [];
  await run();
  const begun = performance.now();
  do {
    const start = performance.now();
    await run();
    seconds.push((performance.now() - start) / 1000);
  } while (performance.now() - begun < 500);
  seconds.sort((a, b) => a - b);
  return seconds[seconds.length >> 1];
};
