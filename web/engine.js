// The WebAssembly module behind plain functions: no worker, no page. Everything here blocks until it is done.

/** What the engine, a model's file or an argument has to say, in one line. */
export class FastnstError extends Error {
  name = "FastnstError";
}

/** What a call says that was stopped by its `tell`. */
export class Stopped extends FastnstError {
  constructor() {
    super("stopped");
  }
}

// A function that loads 16 bytes into a vector and drops them: modules like it are refused where there are no vectors.
const VECTORS = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11,
]);

// The same of three vectors of zeros and i32x4.relaxed_dot_i8x16_i7x16_add_s.
const RELAXED = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 20, 1, 18, 0, 65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253,
  147, 2, 26, 11,
]);

/** Whether this browser has vectors. */
export const hasVectors = () => WebAssembly.validate(VECTORS);

/** Whether it multiplies bytes in them. How, the module itself finds out. */
export const hasRelaxed = () => WebAssembly.validate(RELAXED);

const GENERATOR = 3;
const MEBIBYTE = 1 << 20;
const STACK = MEBIBYTE; // of a helper

// Shared memory needs to know how large it may become; the module says the same of both, in pages of 64 KiB.
const sharedMemory = () => new WebAssembly.Memory({ initial: 256, maximum: 65536, shared: true });

/** Whether workers here can share memory. */
export const canShare = () => {
  try {
    return typeof SharedArrayBuffer === "function" && sharedMemory().buffer instanceof SharedArrayBuffer;
  } catch {
    return false; // there is no room for as much as it may become
  }
};

const nothing = () => 0;

// What every instance of a module imports beside `page`, of which a helper calls `fail` alone.
const importsOf = (page, memory) => ({
  page,
  env: { memory, emscripten_notify_memory_growth: nothing },
  wasi_snapshot_preview1: new Proxy({}, { get: () => nothing }), // the C library's files, which nothing opens
});

const textAt = (memory, place) => {
  const bytes = new Uint8Array(memory.buffer, place);
  return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
};

/** Helps an engine of another worker, and never returns. @param helper one of {@link Engine.helpers} */
export const help = ({ module, memory, index, stack }) => {
  const fail = (why) => {
    throw new FastnstError(textAt(memory, why));
  };
  const page = { fail, read: nothing, write: nothing, tell: nothing };
  const { exports } = new WebAssembly.Instance(module, importsOf(page, memory));
  exports.__stack_pointer.value = stack;
  exports.fastnst_page_help(index);
};

/** Bytes of working memory beside pictures, above which pictures are done in tiles. */
const MEMORY = 160 * MEBIBYTE;
const ALL_MEMORY = 4096 * MEBIBYTE; // for generators, which take pictures at once here

/** A value as messages show it: text in quotes. */
export const shown = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));

const numberIn = (options, name, fallback) => {
  const value = options[name] ?? fallback;
  if (typeof value !== "number" || !(value >= 0 && value <= 1)) {
    throw new FastnstError(`${name} must be a number in 0..1, not ${shown(value)}`);
  }
  return value;
};

/** Whose colours the result has: the numbers of fastnst_colors in fastnst.h. */
const COLORS = { luma: 1, lab: 2, match: 3, histogram: 4 };

const colorsOf = (preserve = false) => {
  if (typeof preserve === "boolean") return preserve ? COLORS.luma : 0;
  if (Object.hasOwn(COLORS, preserve)) return COLORS[preserve];
  throw new FastnstError(`preserveColor is true, false or one of ${Object.keys(COLORS).join(", ")}, not ${preserve}`);
};

// A weight for each of a generator's own styles, or null for the first alone.
const weightsOf = ({ styles }, { styleIndex, styleWeights }) => {
  if (styleIndex === undefined && styleWeights === undefined) return null;
  if (styleIndex !== undefined && styleWeights !== undefined) {
    throw new FastnstError("styleIndex is one style, and styleWeights are several: give one of them");
  }
  if (!styles) throw new FastnstError("this model has no styles of its own to choose by number");
  const weights = new Float64Array(styles);
  for (const [name, weight] of Object.entries(styleWeights ?? { [styleIndex]: 1 })) {
    const number = Number(name);
    if (!(Number.isInteger(number) && number >= 0 && number < styles)) {
      throw new FastnstError(`there is no style ${name}: this model has ${styles}, numbered 0 to ${styles - 1}`);
    }
    if (typeof weight !== "number" || !(weight >= 0 && weight < Infinity)) {
      throw new FastnstError(`the weight of a style must be a number of at least 0, not ${shown(weight)}`);
    }
    weights[number] = weight;
  }
  return weights;
};

const isTransparent = ({ data }) => {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return true;
  return false;
};

export class Engine {
  #exports = {};
  #memory;
  #spent = false;
  #picture = null; // the one that the module reads now
  #result = null;
  #tell = null;

  /**
   * @param {BufferSource} bytes of the module
   * @param {number} threads that share the work, this one counted: `helpers` are for the others. Modules without shared memory
   *   have one
   */
  static async load(bytes, threads = 1) {
    const engine = new Engine();
    const module = await WebAssembly.compile(bytes);
    const shares = WebAssembly.Module.imports(module).some(({ kind }) => kind === "memory");
    const memory = shares ? sharedMemory() : undefined;
    const page = {
      read: (first, count, to) => engine.#read(first, count, to),
      write: (from, count) => engine.#write(from, count),
      tell: (part) => {
        if (engine.#tell?.(part) === true) throw new Stopped();
      },
      fail: (why) => {
        throw new FastnstError(engine.#text(why));
      },
    };
    const instance = await WebAssembly.instantiate(module, importsOf(page, memory));
    engine.#memory = memory ?? instance.exports.memory;
    for (const [name, each] of Object.entries(instance.exports)) {
      engine.#exports[name] = typeof each === "function" ? (...given) => engine.#called(each, given) : each;
    }
    engine.#exports._initialize();
    for (let index = 0; shares && index < threads - 1; index++) {
      const top = engine.#copied(new Uint8Array(STACK)) + STACK; // it grows downwards
      const stack = top - (top % 16); // as compiled code takes for granted, of which the allocator gives but half
      engine.helpers.push({ module, memory, index, stack });
    }
    return engine;
  }

  /** One for each further thread, for {@link help} in a worker of its own. Work waits for none that has not begun to help. */
  helpers = [];

  /** Whether a call of the module has failed. Its memory is as it was in the middle of that: it must not be called again. */
  get spent() {
    return this.#spent;
  }

  get version() {
    return this.#text(this.#exports.fastnst_version());
  }

  get instructionSet() {
    return this.#text(this.#exports.fastnst_instruction_set());
  }

  /** Bytes of the module's memory, which grows and never shrinks. */
  get heap() {
    return this.#memory.buffer.byteLength;
  }

  /**
   * @param {Uint8Array} bytes of a model's file
   * @returns {{pointer: number, generator: boolean, card: object, levels: number[], styles: number}}
   */
  loadModel(bytes) {
    const data = this.#copied(bytes);
    const place = this.#copied(new Uint8Array(4));
    try {
      this.#exports.fastnst_model_load(data, bytes.length, place);
      const [pointer] = this.#words(place, 1);
      const count = this.#exports.fastnst_model_levels(pointer, place);
      return {
        pointer,
        generator: this.#exports.fastnst_model_kind(pointer) === GENERATOR,
        card: JSON.parse(this.#text(this.#exports.fastnst_model_card(pointer))),
        styles: this.#exports.fastnst_model_styles(pointer),
        levels: Array.from(this.#words(this.#words(place, 1)[0], count)),
      };
    } finally {
      this.#free(data, place);
    }
  }

  freeModel(model) {
    this.#exports.fastnst_model_free(model.pointer);
  }

  /** A style of `picture`, for {@link stylize} and {@link mix}. */
  encode(model, picture, options = {}) {
    this.#begin(picture);
    const { width, height } = picture, transparent = isTransparent(picture) ? 1 : 0;
    try {
      return this.#withOptions(model, options, (given) =>
        this.#exports.fastnst_page_style(model.pointer, given, height, width, transparent),
      );
    } finally {
      this.#end();
    }
  }

  /** One style of several, `weights` of each relative to their sum. */
  mix(styles, weights) {
    const place = this.#copied(new Uint8Array(4));
    const parts = this.#copied(new Uint8Array(Uint32Array.from(styles).buffer));
    const shares = this.#copied(new Uint8Array(Float64Array.from(weights).buffer));
    try {
      this.#exports.fastnst_style_mix(styles.length, parts, shares, place);
      return this.#words(place, 1)[0];
    } finally {
      this.#free(place, parts, shares);
    }
  }

  freeStyle(style) {
    this.#exports.fastnst_style_free(style);
  }

  /**
   * @param style of {@link encode}, or null for a generator, or to leave as it is what no region covers
   * @param {{alphaMap?: object, regions?: {mask: object, style: number}[]}} options masks have width, height and a byte of data
   *   for each pixel
   * @param {(part: number) => boolean | void} tell hears how far it is, from 0 to 1; true stops it
   * @returns {Uint8ClampedArray} RGBA
   */
  stylize(model, picture, style, options = {}, tell = null) {
    this.#begin(picture, tell);
    this.#result = { data: new Uint8ClampedArray(picture.data.length), rows: 0 };
    try {
      return this.#withOptions(model, options, (given) => {
        const { width, height } = picture, transparent = isTransparent(picture) ? 1 : 0;
        this.#exports.fastnst_page_stylize(model.pointer, given, style ?? 0, height, width, transparent);
        return this.#result.data;
      });
    } finally {
      this.#end();
    }
  }

  #withOptions(model, options, run) {
    const alpha = numberIn(options, "alpha", 1);
    const palette = numberIn(options, "palette", 1);
    const levels = options.levels ?? [];
    if (model.generator && (alpha !== 1 || palette !== 1 || levels.length)) {
      throw new FastnstError("this model translates pictures by itself: it takes no alpha, palette or levels");
    }
    const colors = colorsOf(options.preserveColor);
    const weights = weightsOf(model, options);
    const places = [];
    const placed = (bytes) => places[places.push(this.#copied(bytes)) - 1];
    try {
      const given = this.#exports.fastnst_page_options(
        alpha, palette, colors, levels.length ? placed(new Uint8Array(Int32Array.from(levels).buffer)) : 0, levels.length,
        1 + this.helpers.length, options.maxMemory ?? (model.generator ? ALL_MEMORY : MEMORY),
      );
      if (weights) this.#exports.fastnst_page_weights(placed(new Uint8Array(weights.buffer)), weights.length);
      const add = ({ width, height, data }, style) => this.#exports.fastnst_page_mask(height, width, placed(data), style);
      for (const { mask, style } of options.regions ?? []) add(mask, style);
      if (options.alphaMap) add(options.alphaMap, 0);
      return run(given);
    } finally {
      this.#free(...places);
    }
  }

  #begin(picture, tell = null) {
    const { width, height, data } = picture;
    if (!(width >= 1 && height >= 1) || data?.length !== 4 * width * height) {
      throw new FastnstError("a picture is an object with width, height and 4 bytes of data for each pixel");
    }
    this.#picture = picture;
    this.#tell = tell;
  }

  #end() {
    this.#picture = this.#result = this.#tell = null;
  }

  #read(first, count, to) {
    const row = 4 * this.#picture.width;
    new Uint8Array(this.#memory.buffer, to, count * row).set(this.#picture.data.subarray(first * row, (first + count) * row));
  }

  #write(from, count) {
    const row = 4 * this.#picture.width;
    this.#result.data.set(new Uint8Array(this.#memory.buffer, from, count * row), this.#result.rows * row);
    this.#result.rows += count;
  }

  #called(work, given) {
    if (this.#spent) throw new FastnstError("a call of this engine has failed: load another one");
    try {
      return work(...given);
    } catch (error) {
      this.#spent = true;
      throw error;
    }
  }

  #free(...places) {
    if (!this.#spent) for (const place of places) this.#exports.free(place);
  }

  #copied(bytes) {
    const place = this.#exports.malloc(Math.max(bytes.length, 1));
    if (!place) throw new FastnstError("not enough memory");
    new Uint8Array(this.#memory.buffer, place, bytes.length).set(bytes);
    return place;
  }

  #words(place, count) {
    return new Uint32Array(this.#memory.buffer, place, count);
  }

  #text(place) {
    return textAt(this.#memory, place);
  }
}
