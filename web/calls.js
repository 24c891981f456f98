// What the worker does for a page, one call after the other.

import { Engine, FastnstError, help } from "./engine.js";

/** Answers messages of `EngineWorker` by `post`. */
export const answering = (post) => {
  let engine, model, files;
  const styles = new Map(); // by their numbers: of which picture, and where the engine has it
  let next = 1;

  const start = async () => {
    const [wasm, bytes, threads] = files;
    engine = await Engine.load(wasm, threads);
    if (engine.helpers.length) post({ helpers: engine.helpers }); // those of an engine before this one are of no more use
    model = engine.loadModel(bytes);
    for (const style of styles.values()) style.place = null;
  };
  const placeOf = (number) => {
    const style = styles.get(number);
    return (style.place ??= engine.encode(model, style.picture));
  };

  const calls = {
    async load(_, ...given) {
      files = given;
      await start();
      const { card, generator, levels, styles } = model;
      return { card, generator, levels, styles, version: engine.version, instructionSet: engine.instructionSet };
    },
    help(_, helper) {
      setTimeout(() => help(helper)); // behind the answer, for this worker hears nothing from then on
    },
    encode(_, picture) {
      styles.set(next, { picture, place: engine.encode(model, picture) });
      return next++;
    },
    freeStyle(_, number) {
      const { place } = styles.get(number);
      if (place !== null) engine.freeStyle(place);
      styles.delete(number);
    },
    stylize(tell, picture, rest, regions, options) {
      const made = []; // mixtures, of this call alone
      const styleOf = ({ styles, weights }) => {
        const places = styles.map(placeOf);
        if (places.length <= 1 && weights.every((weight) => weight === 1)) return places[0] ?? null;
        return made[made.push(engine.mix(places, weights)) - 1];
      };
      try {
        const placed = regions.map(({ mask, mixture }) => ({ mask, style: styleOf(mixture) }));
        return engine.stylize(model, picture, styleOf(rest), { ...options, regions: placed }, tell);
      } finally {
        if (!engine.spent) for (const style of made) engine.freeStyle(style);
      }
    },
  };
  return async ({ id, name, args, tells }) => {
    const tell = tells ? (part) => void post({ id, part }) : null;
    try {
      if (engine?.spent) await start();
      const result = await calls[name](tell, ...args);
      post({ id, result }, result?.buffer ? [result.buffer] : []);
    } catch (error) {
      post({ id, error: error instanceof FastnstError ? error.message : `${error}` });
    }
  };
};
