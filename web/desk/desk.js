// The page: what people choose on the one side, the engine's worker on the other.

import { Fastnst } from "../fastnst.js";
import { landscape, NAMES, painting } from "./gallery.js";
import { NativeEngine } from "./native.js";
import { Regions } from "./regions.js";
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const after = $("after"), before = $("before"), easel = $("easel");

const state = {
  photo: null, // a canvas
  chosen: new Map(), // canvas of a painting by its button, in the order of choice
  weights: new Map(), // by button
  engines: new Map(), // promises by model
  running: null, // AbortController
  wanted: false,
  zoomed: false,
  words: WORDS.en,
  stream: null,
};

// ---- Words ----

const say = (text, wrong = false) => {
  $("message").textContent = text;
  $("message").classList.toggle("wrong", wrong);
};

const speak = (language) => {
  state.words = WORDS[language];
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = state.words[element.dataset.word];
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", state.words[element.dataset.label]);
  for (const button of $("gallery").children) button.title = button.ariaLabel = state.words[button.dataset.name] ?? button.dataset.name;
  after.ariaLabel = state.words.result;
  before.ariaLabel = state.words.photograph;
  $("language").value = language;
  localStorage.setItem("language", language);
};

// ---- Pictures ----

const canvasOf = (source, width, height) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
};

const opened = async (file) => {
  try {
    const bitmap = await createImageBitmap(file);
    return canvasOf(bitmap, bitmap.width, bitmap.height);
  } catch {
    say(`${file.name ?? ""} ${state.words["no-picture"]}`.trim(), true);
    return null;
  }
};

// The longer side of the result, by the choice of size.
const sized = (canvas) => {
  const most = Number($("size").value), longest = Math.max(canvas.width, canvas.height);
  if (!most || longest <= most) return canvas;
  const scale = most / longest;
  return canvasOf(canvas, Math.max(1, Math.round(canvas.width * scale)), Math.max(1, Math.round(canvas.height * scale)));
};

// A painting as large as its strokes are to be seen.
const scaled = (canvas) => {
  const scale = 2 ** Number($("scale").value), most = 1024 / Math.max(canvas.width, canvas.height);
  const factor = Math.min(scale * Math.min(1, 512 / Math.max(canvas.width, canvas.height)), most);
  return canvasOf(canvas, Math.max(16, Math.round(canvas.width * factor)), Math.max(16, Math.round(canvas.height * factor)));
};

const pixels = (canvas) => canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height);

const show = (canvas, picture) => {
  canvas.width = picture.width, canvas.height = picture.height;
  const context = canvas.getContext("2d");
  if (picture instanceof ImageData) context.putImageData(picture, 0, 0);
  else context.drawImage(picture, 0, 0);
};

const setPhoto = (canvas) => {
  if (!canvas) return;
  state.photo = canvas;
  easel.classList.add("full");
  show(after, canvas), show(before, canvas);
  regions.clear();
  paint();
};

// ---- The engine ----

// `fastnst ui` puts a token behind the page's address; elsewhere the engine is in the page.
const token = location.hash.slice(1);

const engine = (model) => {
  if (token) return Promise.resolve(new NativeEngine(model, token));
  if (!state.engines.has(model)) {
    const loading = Fastnst.load(model);
    loading.catch(() => state.engines.delete(model)); // so that the next try fetches it again
    state.engines.set(model, loading);
  }
  return state.engines.get(model);
};

const painted = async (photo, signal, onProgress) => {
  const fastnst = await engine($("model").value);
  const styles = [...state.chosen].map(([button, canvas]) => [pixels(scaled(canvas)), state.weights.get(button) ?? 1]);
  const options = {
    alpha: $("alpha").value / 100,
    palette: $("palette").value / 100,
    preserveColor: $("preserve").value || false,
    regions: regions.painted.map(({ mask, button }) => ({ mask, style: pixels(scaled(button.firstChild)) })),
    signal,
    onProgress,
  };
  return fastnst.stylize(pixels(photo), regions.keepsRest ? null : styles, options);
};

// Paints what is chosen now; a choice that comes meanwhile stops it and is painted instead.
const paint = async () => {
  state.wanted = true;
  if (state.running) return state.running.abort();
  while (state.wanted && state.photo && state.chosen.size) {
    state.wanted = false;
    state.running = new AbortController();
    say(state.words.working);
    $("stop").hidden = $("progress").hidden = false;
    const photo = sized(state.photo), start = performance.now();
    try {
      const result = await painted(photo, state.running.signal, (part) => ($("progress").value = part));
      show(after, result), show(before, photo);
      $("save-png").disabled = $("save-jpeg").disabled = false;
      say(state.words.done(result.width, result.height, ((performance.now() - start) / 1000).toFixed(2)));
      document.body.dataset.painted = Number(document.body.dataset.painted ?? 0) + 1;
    } catch (error) {
      if (error.name === "AbortError") say(state.words.stopped);
      else say(error.message, true);
    }
    state.running = null;
    $("stop").hidden = $("progress").hidden = true;
    $("progress").value = 0;
  }
};

let timer;
const soon = () => {
  clearTimeout(timer);
  timer = setTimeout(paint, 120);
};

// ---- Choices ----

const choose = (button, canvas, alone) => {
  if (alone) {
    for (const each of [...state.chosen.keys()]) if (each !== button) leave(each);
  }
  state.chosen.set(button, canvas);
  mark();
};

const leave = (button) => {
  state.chosen.delete(button);
  mark();
};

// Pressed is what is chosen: for the region that is being painted, or else for everything.
const mark = () => {
  for (const button of $("gallery").children) {
    const chosen = regions.selected ? button === regions.selected.button : state.chosen.has(button);
    button.setAttribute("aria-pressed", chosen);
  }
};

const weigh = () => {
  $("weights").replaceChildren();
  if (state.chosen.size < 2) return;
  for (const button of state.chosen.keys()) {
    const name = document.createElement("span"), slider = document.createElement("input"), row = document.createElement("label");
    name.textContent = button.ariaLabel ?? button.title;
    Object.assign(slider, { type: "range", min: 0, max: 100, value: 100 * (state.weights.get(button) ?? 1) });
    slider.addEventListener("input", () => {
      state.weights.set(button, Math.max(slider.value, 1) / 100);
      soon();
    });
    row.className = "row";
    row.append(name, slider);
    $("weights").append(row);
  }
};

const offer = (canvas, name) => {
  const button = Object.assign(document.createElement("button"), { type: "button", title: name, ariaLabel: name });
  button.dataset.name = name;
  button.setAttribute("aria-pressed", "false");
  button.append(canvas);
  button.addEventListener("click", (event) => {
    if (regions.selected) return regions.give(button);
    const several = event.shiftKey || event.ctrlKey || event.metaKey || state.chosen.size > 1;
    if (state.chosen.has(button) && state.chosen.size > 1) leave(button);
    else choose(button, canvas, !several);
    weigh(), paint();
  });
  // A second finger or a long press is what a keyboard's shift is elsewhere.
  let press;
  button.addEventListener("pointerdown", () => regions.selected || (press = setTimeout(() => { choose(button, canvas, false); weigh(), paint(); }, 600)));
  for (const end of ["pointerup", "pointerleave"]) button.addEventListener(end, () => clearTimeout(press));
  $("gallery").append(button);
  return button;
};

const addPaintings = async (files) => {
  for (const file of files) {
    const canvas = await opened(file);
    if (!canvas) continue;
    const button = offer(canvas, file.name);
    if (regions.selected) regions.give(button);
    else choose(button, canvas, true);
  }
  weigh(), paint();
};

// ---- The easel ----

const compare = () => {
  const part = Number($("compare").value);
  before.style.clipPath = `inset(0 ${100 - part}% 0 0)`;
};

const zoom = (actual) => {
  state.zoomed = actual;
  easel.classList.toggle("actual", actual);
  $("zoom").setAttribute("aria-pressed", actual);
};

const save = (type, suffix) => {
  after.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `fastnst.${suffix}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, type, 0.95);
};

// ---- The camera ----

const live = async () => {
  const video = $("video");
  while (state.stream) {
    const scale = Math.min(1, 512 / Math.max(video.videoWidth, video.videoHeight, 1));
    if (video.videoWidth && state.chosen.size) {
      const frame = canvasOf(video, Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale));
      const start = performance.now();
      try {
        const result = await painted(frame);
        if (!state.stream) return;
        easel.classList.add("full");
        state.photo = frame;
        show(after, result), show(before, frame);
        $("save-png").disabled = $("save-jpeg").disabled = false;
        say(state.words.done(result.width, result.height, ((performance.now() - start) / 1000).toFixed(2)));
        document.body.dataset.painted = Number(document.body.dataset.painted ?? 0) + 1;
      } catch (error) {
        say(error.message, true);
        return stopCamera();
      }
    }
    await new Promise(requestAnimationFrame);
  }
};

const stopCamera = () => {
  for (const track of state.stream?.getTracks() ?? []) track.stop();
  state.stream = null;
  $("camera").setAttribute("aria-pressed", "false");
};

const startCamera = async () => {
  try {
    state.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
  } catch {
    return say(state.words["no-camera"], true);
  }
  $("camera").setAttribute("aria-pressed", "true");
  $("video").srcObject = state.stream;
  await $("video").play();
  live();
};

// ---- Everything together ----

const regions = new Regions($, () => paint());
$("gallery").addEventListener("marked", mark);
for (const name of NAMES) offer(painting(name), name);
const [first] = $("gallery").children;
choose(first, first.firstChild, true);
speak(WORDS[localStorage.getItem("language") ?? navigator.language.slice(0, 2)] ? (localStorage.getItem("language") ?? navigator.language.slice(0, 2)) : "en");
compare();

$("language").addEventListener("change", (event) => speak(event.target.value));
$("photo").addEventListener("change", async (event) => {
  stopCamera();
  setPhoto(await opened(event.target.files[0]));
  event.target.value = "";
});
$("painting").addEventListener("change", (event) => addPaintings([...event.target.files]));
$("try").addEventListener("click", () => setPhoto(landscape()));
$("camera").addEventListener("click", () => (state.stream ? stopCamera() : startCamera()));
$("compare").addEventListener("input", compare);
$("zoom").addEventListener("click", () => zoom(!state.zoomed));
$("save-png").addEventListener("click", () => save("image/png", "png"));
$("save-jpeg").addEventListener("click", () => save("image/jpeg", "jpg"));
$("stop").addEventListener("click", () => {
  state.wanted = false;
  state.running?.abort();
});
for (const id of ["alpha", "palette"]) {
  $(id).addEventListener("input", ({ target }) => {
    target.nextElementSibling.textContent = `${target.value} %`;
    soon();
  });
}
$("scale").addEventListener("input", ({ target }) => {
  target.nextElementSibling.textContent = `× ${Number((2 ** target.value).toFixed(2))}`;
  soon();
});
for (const id of ["preserve", "size", "model"]) $(id).addEventListener("change", paint);

easel.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -5, ArrowRight: 5 };
  if (event.key in steps) {
    $("compare").value = Number($("compare").value) + steps[event.key];
    compare();
    event.preventDefault();
  }
  if (event.key === "+") zoom(true);
  if (event.key === "-") zoom(false);
});

for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    easel.classList.toggle("over", over);
  });
}
document.addEventListener("drop", async (event) => {
  const files = [...event.dataTransfer.files];
  if (event.target.closest?.("#choices")) return addPaintings(files);
  if (files[0]) setPhoto(await opened(files[0]));
});
document.addEventListener("paste", async (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) setPhoto(await opened(file));
});

engine($("model").value).then(({ module }) => {
  if (!token && "serviceWorker" in navigator && isSecureContext) {
    navigator.serviceWorker.register(`offline.js?${new URLSearchParams({ module })}`);
  }
}, (error) => say(error.message, true));
