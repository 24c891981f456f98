// Written by csrc/web/models.py. Bundlers look for files by this very form of an address, and take them along.

export const MODELS = {
  "adain-16x": new URL("./models/adain-16x.fnst", import.meta.url),
  "adain-nano": new URL("./models/adain-nano.fnst", import.meta.url),
  "adain-pruned": new URL("./models/adain-pruned.fnst", import.meta.url),
  "wct-16x": new URL("./models/wct-16x.fnst", import.meta.url),
};
