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
    stylize(tell, picture, rest, regions, options) {
      const made = []; // mixtures, of this call alone
      const styleOf = ({ styles, weights }) => {
        if (styles.length <= 1 && weights.every((weight) => weight === 1)) return styles[0] ?? null;
        return made[made.push(engine.mix(styles, weights)) - 1];
      };
      try {
        const placed = regions.map(({ mask, mixture }) => ({ mask, style: styleOf(mixture) }));
        return engine.stylize(model, picture, styleOf(rest), { ...options, regions: placed }, tell);
      } finally {
        for (const style of made) engine.freeStyle(style);
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
