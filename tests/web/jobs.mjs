// Runs the jobs of a JSON file with the npm package, and prints a line of JSON for each: what its result is, or what went wrong.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";

import { hasRelaxed } from "../../web/engine.js";

if (!hasRelaxed()) setFlagsFromString("--experimental-wasm-relaxed-simd"); // node 20 has it behind this

const { Fastnst } = await import(process.argv[2]);
const jobs = JSON.parse(await readFile(process.argv[3], "utf8"));

const picture = ({ width, height, rgba }) => ({ width, height, data: new Uint8ClampedArray(Buffer.from(rgba, "base64")) });

const mask = (given) => (given.grey ? { ...given, data: new Uint8Array(Buffer.from(given.grey, "base64")) } : picture(given));

for (const { model, wasm, threads, content, style, options, twice, fails, regions, alphaMap } of jobs) {
  const parts = [];
  let fastnst;
  try {
    const bytes = wasm ? { wasm: new Uint8Array(await readFile(wasm)) } : {};
    fastnst = await Fastnst.load(model, { ...bytes, threads });
    const choice = (style) => (Array.isArray(style) ? style.map(([each, weight]) => [picture(each), weight]) : style && picture(style));
    const styles = choice(style);
    if (regions) options.regions = regions.map(([where, own]) => ({ mask: mask(where), style: choice(own) }));
    if (alphaMap) options.alphaMap = mask(alphaMap);
    const onProgress = (part) => parts.push(part);
    let made = await fastnst.stylize(picture(content), styles, { ...options, onProgress });
    if (fails) { // one engine, one style: what fails in between changes nothing
      const kept = await fastnst.encodeStyle(styles);
      const failing = fastnst.stylize(picture(content), kept, { ...options, ...fails }).catch(({ message }) => message);
      const other = await fastnst.encodeStyle(styles); // waits behind it
      made = await fastnst.stylize(picture(content), [[kept, 1], [other, 1]], options);
      parts.push(await failing);
      await kept.free();
    }
    if (twice) made = await fastnst.stylize(picture(content), await fastnst.encodeStyle(styles), options);
    const digest = createHash("sha256").update(made.data).digest("hex");
    console.log(JSON.stringify({ digest, width: made.width, height: made.height, parts, set: fastnst.instructionSet, threads: fastnst.threads }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, name: error.name, set: fastnst?.instructionSet }));
  }
  fastnst?.close();
}
