// The same in node, whose workers and files are others.

import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { pathToFileURL } from "node:url";
import { Worker, parentPort, workerData } from "node:worker_threads";

import { answering } from "./calls.js";
import { FastnstError, Fastnst as InPage, Style } from "./fastnst.js";

export { FastnstError, Style };

const startWorker = (hears) => {
  const worker = new Worker(new URL(import.meta.url), { workerData: "fastnst", execArgv: [] }); // --eval is the program's
  let underWay = 0; // a program ends although it has not closed the engine, but not before its calls are answered
  worker.unref();
  worker.on("message", (message) => {
    if (message.id !== undefined && message.part === undefined && --underWay === 0) worker.unref();
    hears.message(message);
  });
  worker.on("error", (error) => hears.error(`${error}`));
  return {
    postMessage: (message, transfer) => {
      if (underWay++ === 0) worker.ref();
      worker.postMessage(message, transfer);
    },
    terminate: () => worker.terminate(),
  };
};

const read = async (url) => {
  if (url.protocol === "file:") {
    try {
      return new Uint8Array(await readFile(url));
    } catch (error) {
      throw new FastnstError(error.message);
    }
  }
  const response = await fetch(url);
  if (!response.ok) throw new FastnstError(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
};

export class Fastnst {
  /** See fastnst.js. Names of files are relative to the current folder. */
  static load(model, options) {
    const isFile = typeof model === "string" && /[/.]/.test(model) && !URL.canParse(model);
    return InPage.load(isFile ? pathToFileURL(model) : model, options, {
      start: startWorker,
      read,
      isolated: true, // nothing else is in a program's memory
      cores: availableParallelism(),
    });
  }
}

if (workerData === "fastnst") {
  const answer = answering((message, transfer) => parentPort.postMessage(message, transfer));
  let turn = Promise.resolve();
  parentPort.on("message", (message) => {
    turn = turn.then(() => answer(message));
  });
}
