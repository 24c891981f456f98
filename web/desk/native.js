// The engine behind `fastnst ui`: the same calls as of the one in WebAssembly, answered by a process on this computer.

import { FastnstError } from "../fastnst.js";

export class NativeEngine {
  #model;
  #token;

  constructor(model, token) {
    this.#model = model;
    this.#token = token;
  }

  /** As Fastnst.stylize, of ImageData. */
  async stylize(content, styles, { alpha = 1, palette = 1, preserveColor = false, regions = [], signal } = {}) {
    const own = regions.flatMap(({ mask, style }) => [mask, style]), mixed = styles ?? [];
    const pictures = [content, ...mixed.map(([picture]) => picture), ...own];
    const asked = {
      model: this.#model, alpha, palette, preserveColor,
      weights: mixed.map(([, weight]) => weight),
      sizes: pictures.map(({ width, height }) => [width, height]),
    };
    const body = new Blob([JSON.stringify(asked), "\n", ...pictures.map(({ data }) => data)]);
    let response;
    try {
      response = await fetch("/stylize", { method: "POST", headers: { Authorization: `Bearer ${this.#token}` }, body, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new FastnstError("fastnst ui has ended");
    }
    if (!response.ok) throw new FastnstError(await response.text());
    return new ImageData(new Uint8ClampedArray(await response.arrayBuffer()), content.width, content.height);
  }
}
