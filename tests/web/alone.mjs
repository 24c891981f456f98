// The engine where its first worker can be had and no other.
import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { Fastnst } from "../../web/fastnst.js";

let started = 0;
const start = (hears) => {
  if (started++) { // the engine's own is the first
    setTimeout(() => hears.error("there are no more workers"));
    return { postMessage() {}, terminate() {} };
  }
  const worker = new Worker(new URL("../../web/node.js", import.meta.url), { workerData: "fastnst" });
  worker.on("message", hears.message);
  return worker;
};
const host = { start, read: async (url) => new Uint8Array(await readFile(url)), isolated: true, cores: 4 };
const fastnst = await Fastnst.load("adain-nano", {}, host);
const picture = { width: 64, height: 48, data: new Uint8Array(4 * 64 * 48).fill(200) };
const made = await fastnst.stylize(picture, picture);
console.log(JSON.stringify([started, fastnst.threads, made.data.length]));
fastnst.close();
