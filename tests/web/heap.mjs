// Stylizes one picture of a given size, and prints the bytes of the module's memory that it took:
//   node tests/web/heap.mjs MODEL WIDTH HEIGHT [MAXMEMORY]
import { readFile } from "node:fs/promises";

import { Engine } from "../../web/engine.js";

const [model, width, height, maxMemory] = process.argv.slice(2);
const file = (name) => readFile(new URL(`../../web/${name}`, import.meta.url));

const picture = (width, height) => {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < data.length; i++) data[i] = i % 4 === 3 ? 254 + (i % 3) / 2 : i * 7; // transparent here and there
  return { width, height, data };
};

const engine = await Engine.load(await file("fastnst.wasm"));
const loaded = engine.loadModel(new Uint8Array(await file(`models/${model}.fnst`)));
const style = engine.encode(loaded, picture(512, 512));
engine.stylize(loaded, picture(+width, +height), style, maxMemory ? { maxMemory: +maxMemory } : {});
console.log(engine.heap);
