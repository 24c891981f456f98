// What people have as pictures, as RGBA bytes and back.

import { FastnstError } from "./engine.js";

const has = (name, value) => typeof globalThis[name] !== "undefined" && value instanceof globalThis[name];

/** @returns {Promise<{width: number, height: number, data: Uint8ClampedArray | Uint8Array}>} */
export const pictureOf = async (picture) => {
  if (has("Blob", picture)) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(picture);
    } catch {
      throw new FastnstError(`${picture.name ?? "the file"} is no picture that this browser can read`);
    }
    try {
      return drawn(bitmap, bitmap.width, bitmap.height);
    } finally {
      bitmap.close();
    }
  }
  for (const name of ["ImageBitmap", "HTMLCanvasElement", "OffscreenCanvas"]) {
    if (has(name, picture)) return drawn(picture, picture.width, picture.height);
  }
  if (has("HTMLImageElement", picture)) return drawn(picture, picture.naturalWidth, picture.naturalHeight);
  if (has("HTMLVideoElement", picture)) return drawn(picture, picture.videoWidth, picture.videoHeight);
  const { width, height, data } = picture ?? {};
  if (!(width >= 1 && height >= 1) || !(data instanceof Uint8ClampedArray || data instanceof Uint8Array)) {
    throw new FastnstError("a picture is ImageData, ImageBitmap, Blob, canvas, image, video or {width, height, data}");
  }
  if (data.length !== 4 * width * height) {
    throw new FastnstError(`a picture of ${width} x ${height} pixels has ${4 * width * height} bytes, not ${data.length}`);
  }
  return { width, height, data };
};

const drawn = (source, width, height) => {
  if (!width || !height) throw new FastnstError("a picture has no pixels yet");
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.drawImage(source, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data };
};

/**
 * A mask of whatever is a picture: its transparency if any pixel has some, or else how light it is, as Pillow makes it grey.
 * Plain objects may have one byte for each pixel instead.
 *
 * @returns {Promise<{width: number, height: number, data: Uint8Array}>}
 */
export const maskOf = async (given) => {
  const bytes = given?.data;
  if ((bytes instanceof Uint8Array || bytes instanceof Uint8ClampedArray) && bytes.length === given.width * given.height) {
    return { width: given.width, height: given.height, data: new Uint8Array(bytes) };
  }
  const { width, height, data } = await pictureOf(given);
  const light = new Uint8Array(width * height), opaque = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < light.length; i++, at += 4) {
    light[i] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
    opaque[i] = data[at + 3];
  }
  return { width, height, data: opaque.every((each) => each === 255) ? light : opaque };
};

/** ImageData where there is such a thing, or else an object like it. */
export const resultOf = (data, { width, height }) =>
  typeof ImageData === "undefined" ? { width, height, data } : new ImageData(data, width, height);
