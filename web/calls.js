// What the worker does for a page, one call after the other.

import { Engine, FastnstError, Stopped } from "./engine.js";

/** Answers messages of `EngineWorker` by `post`. */
export const answering = (post) => {
  let engine, model;
  const calls = {
    async load(_, wasm, bytes) {
      engine = await Engine.load(wasm);
      model = engine.loadModel(bytes);
      const { card, generator, levels } = model;
      return { card, generator, levels, version: engine.version, instructionSet: engine.instructionSet };
    },
    encode: (_, picture) => engine.encode(model, picture),
    freeStyle: (_, style) => engine.freeStyle(style),
    stylize(tell, picture, styles, weights, options) {
      const mixed = styles.length > 1 || weights.some((weight) => weight !== 1);
      const style = mixed ? engine.mix(styles, weights) : (styles[0] ?? null);
      try {
        return engine.stylize(model, picture, style, options, tell);
      } finally {
        if (mixed) engine.freeStyle(style);
      }
    },
  };
  return async ({ id, name, args, tells }) => {
    const tell = tells ? (part) => void post({ id, part }) : null;
    try {
      const result = await calls[name](tell, ...args);
      post({ id, result }, result?.buffer ? [result.buffer] : []);
    } catch (error) {
      post({ id, error: error instanceof FastnstError || error instanceof Stopped ? error.message : `${error}` });
    }
  };
};
