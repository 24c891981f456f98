// Neural style transfer in the page: the engine runs in a worker, and nothing leaves the computer.
//
//   import { Fastnst } from "fastnst";
//   const fastnst = await Fastnst.load("adain-16x");
//   const picture = await fastnst.stylize(photo, painting, { alpha: 0.8 });

import { FastnstError, canShare, hasRelaxed, hasVectors, shown } from "./engine.js";
import { MODELS } from "./models.js";
import { maskOf, pictureOf, resultOf } from "./pictures.js";

export { FastnstError };

// Bundlers look for files by this very form of an address, and take them along: every name is written out.
const moduleAddress = (threads) => {
  if (hasRelaxed()) {
    if (threads > 1) return new URL("./fastnst-relaxed-threads.wasm", import.meta.url);
    return new URL("./fastnst-relaxed.wasm", import.meta.url);
  }
  if (threads > 1) return new URL("./fastnst-threads.wasm", import.meta.url);
  return hasVectors() ? new URL("./fastnst.wasm", import.meta.url) : new URL("./fastnst-scalar.wasm", import.meta.url);
};

const MOST_THREADS = 16; // kMostHelpers of csrc/web/threads.cpp, and the worker's own

const threadsOf = (asked, { isolated, cores }) => {
  if (asked !== undefined && !(Number.isInteger(asked) && asked >= 1 && asked <= MOST_THREADS)) {
    throw new FastnstError(`threads must be a whole number in 1..${MOST_THREADS}, not ${shown(asked)}`);
  }
  if (!isolated || !hasVectors() || !canShare()) return 1;
  return asked ?? Math.min(cores || 1, 4);
};

/** A style that was encoded once, for any number of pictures. */
export class Style {
  #source;
  #handles = new Map(); // by worker

  constructor(source) {
    this.#source = source;
  }

  // A worker that was stopped takes its styles with it; the next one encodes them again.
  async handle(worker) {
    if (!this.#handles.has(worker)) this.#handles.set(worker, worker.call("encode", [this.#source]));
    return this.#handles.get(worker);
  }

  /** Frees the memory that the style takes. */
  async free() {
    const handles = [...this.#handles];
    this.#handles.clear();
    for (const [worker, handle] of handles) if (!worker.closed) await worker.call("freeStyle", [await handle]);
  }
}

// A worker with the engine and a model inside, and those that help it. Calls are answered in their order.
class EngineWorker {
  closed = false;
  #worker;
  #helpers = [];
  #calls = new Map();
  #next = 0;

  constructor(start, wasm, model, threads) {
    this.#worker = start({
      message: ({ id, part, error, result, helpers }) => {
        if (helpers) return this.#hire(start, helpers);
        const call = this.#calls.get(id);
        if (!call) return;
        if (part !== undefined) return call.tell?.(part);
        this.#calls.delete(id);
        if (error) call.reject(new FastnstError(error));
        else call.resolve(result);
      },
      error: (message) => this.close(message),
    });
    this.ready = this.call("load", [wasm, model, threads]).then(async (about) => {
      const helping = await Promise.all(this.#helpers.map(({ helps }) => helps));
      return { ...about, threads: 1 + helping.filter(Boolean).length };
    });
    this.ready.catch(() => this.close()); // no one else ends what could not load
  }

  #hire(start, helpers) {
    this.#dismiss();
    if (this.closed) return;
    this.#helpers = helpers.map((helper) => {
      let begun = false, settle;
      const helps = new Promise((resolve) => (settle = resolve));
      const worker = start({
        message: () => settle((begun = true)),
        error: (message) => (begun ? this.close(message) : settle(false)), // the engine waits for what one has begun
      });
      worker.postMessage({ id: 0, name: "help", args: [helper], tells: false });
      return { worker, helps, settle };
    });
  }

  #dismiss() {
    for (const { worker, settle } of this.#helpers) worker.terminate(), settle(false);
    this.#helpers = [];
  }

  call(name, args, tell = null, transfer = []) {
    if (this.closed) return Promise.reject(new FastnstError("the engine was closed"));
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#calls.set(id, { resolve, reject, tell });
      this.#worker.postMessage({ id, name, args, tells: tell !== null }, transfer);
    });
  }

  close(why = "the engine was closed") {
    this.closed = true;
    this.#worker.terminate();
    this.#dismiss();
    for (const { reject } of this.#calls.values()) reject(new FastnstError(why));
    this.#calls.clear();
  }
}

const startWorker = (hears) => {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => hears.message(data);
  worker.onerror = (event) => hears.error(event.message ?? "the worker could not be started");
  return worker;
};

// A file that lies beside this module, or anywhere. Files of a wrong type are refused by the engine itself.
const fetched = async (url) => {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new FastnstError(`${url}: ${error.message}`);
  }
  if (!response.ok) throw new FastnstError(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
};

const inPage = () => ({
  start: startWorker,
  read: fetched,
  isolated: globalThis.crossOriginIsolated === true,
  cores: globalThis.navigator?.hardwareConcurrency,
});

const bytesOf = async (model, base, read) => {
  if (model instanceof Uint8Array) return model;
  if (model instanceof ArrayBuffer) return new Uint8Array(model);
  if (typeof Blob !== "undefined" && model instanceof Blob) return new Uint8Array(await model.arrayBuffer());
  if (model instanceof URL) return read(model);
  if (typeof model !== "string") throw new FastnstError("a model is a name, a URL or the bytes of its file");
  if (/[/.]/.test(model)) return read(new URL(model, base));
  if (!Object.hasOwn(MODELS, model)) throw new FastnstError(`${model} does not ship; there are ${Object.keys(MODELS).join(", ")}`);
  return read(MODELS[model]);
};

export class Fastnst {
  #start;
  #wasm;
  #bytes;
  #module;
  #worker;
  #about;
  #asked; // threads
  #turn = Promise.resolve();

  /**
   * Loads a model: the name of one that ships, the URL of a file, or its bytes.
   *
   * @param {string | URL | Uint8Array | ArrayBuffer | Blob} model
   * @param {{wasm?: string | URL | Uint8Array, threads?: number}} options where the WebAssembly module is; by default beside this
   *   file. Threads: 1 where pages are not isolated, and else by default as many as there are cores, up to 4
   */
  static async load(model = "adain-16x", options = {}, host = inPage()) {
    const fastnst = new Fastnst();
    fastnst.#asked = threadsOf(options.threads, host);
    fastnst.#start = host.start;
    const base = globalThis.document?.baseURI ?? globalThis.location?.href ?? import.meta.url;
    const wasm = async () => {
      if (options.wasm instanceof Uint8Array) return options.wasm;
      const address = options.wasm ? new URL(options.wasm, base) : moduleAddress(fastnst.#asked);
      fastnst.#module = address.href;
      return host.read(address);
    };
    [fastnst.#wasm, fastnst.#bytes] = await Promise.all([wasm(), bytesOf(model, base, host.read)]);
    await fastnst.#running();
    return fastnst;
  }

  /** What the model's file says about itself. */
  get card() {
    return this.#about.card;
  }

  /** Whether the model translates pictures by itself and takes no style. */
  get isGenerator() {
    return this.#about.generator;
  }

  /** The levels of a WCT model, the deepest first; none of others. */
  get levels() {
    return this.#about.levels;
  }

  /** How many styles of its own a generator has; 0 if it has one look, and of other models. */
  get styles() {
    return this.#about.styles;
  }

  get version() {
    return this.#about.version;
  }

  /** How many threads work. */
  get threads() {
    return this.#about.threads;
  }

  /** Where its WebAssembly module is, if it was not given as bytes. */
  get module() {
    return this.#module;
  }

  /** See fastnst.d.ts. */
  get instructionSet() {
    return this.#about.instructionSet;
  }

  /** Encodes a style once, for several pictures. */
  async encodeStyle(picture) {
    const style = new Style(await pictureOf(picture));
    await style.handle(await this.#running());
    return style;
  }

  /**
   * The content in the style; see fastnst.d.ts.
   */
  async stylize(content, style, options = {}) {
    const { signal, onProgress, regions = [], alphaMap, ...given } = options;
    signal?.throwIfAborted();
    if (this.isGenerator && (regions.length || alphaMap)) {
      throw new FastnstError("this model translates pictures by itself: it takes no regions and no alphaMap");
    }
    const picture = await pictureOf(content);
    if (alphaMap) given.alphaMap = await maskOf(alphaMap);
    const rest = style == null && regions.length ? [] : await this.#styles(style);
    const placed = await Promise.all(
      regions.map(async (each) => ({ mask: await maskOf(each.mask), styles: await this.#styles(each.style) })),
    );
    const mixture = async (styles, worker) => ({
      styles: await Promise.all(styles.map(([each]) => each.handle(worker))),
      weights: styles.map(([, weight]) => weight),
    });
    const run = async () => {
      signal?.throwIfAborted();
      const worker = await this.#running();
      const stop = () => worker.close("stopped"); // a call that is under way hears nothing
      signal?.addEventListener("abort", stop);
      try {
        const parts = placed.map(async ({ mask, styles }) => ({ mask, mixture: await mixture(styles, worker) }));
        const asked = [picture, await mixture(rest, worker), await Promise.all(parts), given];
        const data = await worker.call("stylize", asked, onProgress ?? null);
        return resultOf(data, picture);
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      } finally {
        signal?.removeEventListener("abort", stop);
      }
    };
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      for (const [each, , temporary] of [rest, ...placed.map(({ styles }) => styles)].flat()) if (temporary) await each.free();
    }
  }

  /** Frees everything; later calls fail. */
  close() {
    this.#start = null;
    this.#worker?.close();
  }

  // [style, weight, whether it was made here] of whatever `stylize` takes as a style.
  async #styles(style) {
    if (this.isGenerator) {
      if (style != null) throw new FastnstError("this model translates pictures by itself: it takes no style");
      return [];
    }
    if (style == null) throw new FastnstError("this model needs a style");
    const list = Array.isArray(style) ? style : [[style, 1]];
    if (!list.length) throw new FastnstError("this model needs a style");
    return Promise.all(
      list.map(async (each) => {
        const [picture, weight] = Array.isArray(each) ? each : [each, 1];
        if (picture instanceof Style) return [picture, weight, false];
        return [new Style(await pictureOf(picture)), weight, true];
      }),
    );
  }

  async #running() {
    if (!this.#start) throw new FastnstError("the engine was closed");
    if (!this.#worker || this.#worker.closed) {
      this.#worker = new EngineWorker(this.#start, this.#wasm, this.#bytes, this.#asked);
    }
    this.#about = await this.#worker.ready;
    return this.#worker;
  }
}
