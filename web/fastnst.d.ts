/** What people have as a picture. Plain objects have RGBA bytes, rows from top to bottom, sRGB, not premultiplied. */
export type Picture =
  | ImageData
  | ImageBitmap
  | Blob
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLImageElement
  | HTMLVideoElement
  | { width: number; height: number; data: Uint8ClampedArray | Uint8Array };

/** A style that was encoded once, of the model that encoded it. */
export class Style {
  private constructor();
  /** Frees the memory that it takes. */
  free(): Promise<void>;
}

/** A style, or several with weights. */
export type StyleChoice = Picture | Style | [Picture | Style, number][];

/**
 * Where in the content something holds, stretched over the whole of it, at most 4096 pixels a side: a picture, whose transparency
 * counts if any pixel has some, and else how light it is; or one byte of data for each pixel.
 */
export type Mask = Picture;

export interface Region {
  mask: Mask;
  style: StyleChoice;
}

export interface StylizeOptions {
  /** 0: the content, as the model reconstructs it; 1 (default): full style. */
  alpha?: number;
  /** How far colours are moved to the style's, 0 to 1 (default), times alpha. */
  palette?: number;
  /**
   * The colours of the content: "luma", which true stands for, or "lab" take the lightness alone from the result, "match" gives it
   * the mean and covariance of the content's colours, "histogram" their histograms.
   */
  preserveColor?: boolean | "luma" | "lab" | "match" | "histogram";
  /** Parts with styles of their own, at most 64. Where masks overlap, the styles share. */
  regions?: Region[];
  /** How strong the style is by place, times alpha. */
  alphaMap?: Mask;
  /** Levels of a WCT model to run; all by default. */
  levels?: number[];
  /** One of a generator's own styles, from 0 (default) on. */
  styleIndex?: number;
  /** Several of them mixed, by their numbers, such as { 3: 0.5, 12: 0.5 }, relative to their sum. */
  styleWeights?: Record<number, number>;
  /**
   * Bytes of working memory above which the picture is done in tiles, with the same result: 160 MiB by default. A generator takes
   * pictures at once, and refuses larger ones.
   */
  maxMemory?: number;
  /** Stops the call, which then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Hears how far it is, from 0 to 1. */
  onProgress?: (part: number) => void;
}

/** What is wrong, in one line. */
export class FastnstError extends Error {}

export class Fastnst {
  private constructor();

  /**
   * Loads a model: the name of one that ships ("adain-16x", "adain-nano", "adain-pruned", "wct-16x"), the URL of a file, or its bytes.
   *
   * @throws FastnstError it cannot be fetched, or is no model
   */
  static load(
    model?: string | URL | Uint8Array | ArrayBuffer | Blob,
    options?: {
      /** The WebAssembly module, which lies beside this one otherwise. */
      wasm?: string | URL | Uint8Array;
      /**
       * 1 to 16. By default as many as there are cores, up to 4, in node and in pages that are isolated (crossOriginIsolated);
       * 1 elsewhere, whatever is asked. The result is the same.
       */
      threads?: number;
    },
  ): Promise<Fastnst>;

  /** What the model's file says about itself. */
  readonly card: Record<string, unknown>;
  /** Whether the model translates pictures by itself and takes no style. */
  readonly isGenerator: boolean;
  /** The levels of a WCT model, the deepest first; none of others. */
  readonly levels: number[];
  /** How many styles of its own a generator has, for styleIndex; 0 if it has one look, and of other models. */
  readonly styles: number;
  readonly version: string;
  /** How many threads work: 1 where memory cannot be shared. */
  readonly threads: number;
  /** Where its WebAssembly module is, if it was not given as bytes: what a page that works offline has to keep. */
  readonly module: string | undefined;
  /**
   * "relaxeddot" where one instruction of the processor sums four products of bytes, "relaxed" in other browsers with relaxed
   * vectors, "simd128" in those with plain ones, "scalar" in those without.
   */
  readonly instructionSet: "relaxeddot" | "relaxed" | "simd128" | "scalar";

  /** Encodes a style once, for several pictures. */
  encodeStyle(picture: Picture): Promise<Style>;

  /**
   * The content in the style, of the content's size, with its transparency. The bytes are those of fastnst everywhere else.
   *
   * @param style a picture, a style, or several of them with weights: [[a, 0.7], [b, 0.3]]; nothing for a generator. Of what no
   *   region covers: without it, that stays as it is
   * @throws FastnstError with one line
   */
  stylize(
    content: Picture,
    style?: StyleChoice | null,
    options?: StylizeOptions,
  ): Promise<ImageData>;

  /** Frees everything; later calls fail. */
  close(): void;
}
