// Parts of the photograph that people paint over with a brush, each with a painting of its own.

const MOST_SIDE = 1024; // pixels of a mask
const MOST_REGIONS = 8;

// A mask is white where the brush was, and its strokes are kept as parts of its width: the last one can be taken back.
class Region {
  canvas = document.createElement("canvas");
  strokes = [];

  constructor(button, width, height) {
    this.button = button; // of its painting
    const scale = Math.min(1, MOST_SIDE / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
  }

  draw() {
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, width, height);
    Object.assign(context, { lineCap: "round", lineJoin: "round", strokeStyle: "#fff", fillStyle: "#fff" });
    for (const { points, size, erases } of this.strokes) {
      context.globalCompositeOperation = erases ? "destination-out" : "source-over";
      context.lineWidth = size * width;
      const [start, ...others] = points.map(([x, y]) => [x * width, y * width]);
      context.beginPath(); // a line without a length would leave no dot
      context.arc(...start, context.lineWidth / 2, 0, 2 * Math.PI);
      context.fill();
      context.beginPath();
      context.moveTo(...start);
      for (const point of others) context.lineTo(...point);
      context.stroke();
    }
  }

  get mask() {
    const { width, height } = this.canvas;
    return this.canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height);
  }
}

/** The regions of the page, and the brush. */
export class Regions {
  #list = [];
  #selected = null;
  #stroke = null;
  #cursor = [0.5, 0.25]; // of the keyboard, in parts of the width
  #$;
  #changed;

  /**
   * @param {(id: string) => HTMLElement} element
   * @param {() => void} changed is called when something is to be painted anew
   */
  constructor(element, changed) {
    [this.#$, this.#changed] = [element, changed];
    const $ = element, easel = $("easel");
    $("regions").addEventListener("click", () => this.open($("brushes").hidden));
    $("region-add").addEventListener("click", () => this.#add());
    $("region-remove").addEventListener("click", () => this.#remove());
    $("region").addEventListener("change", ({ target }) => this.#select(this.#list[target.selectedIndex]));
    $("undo").addEventListener("click", () => this.undo());
    $("erase").addEventListener("click", () => $("erase").setAttribute("aria-pressed", !this.#erases));
    $("keep-rest").addEventListener("change", changed);
    $("brush").addEventListener("input", () => this.#show());
    $("masks").addEventListener("pointerdown", (event) => {
      if (!this.#selected || event.button !== 0) return;
      $("masks").setPointerCapture(event.pointerId);
      this.#begin(this.#at(event));
    });
    $("masks").addEventListener("pointermove", (event) => {
      this.#cursor = this.#at(event);
      if (this.#stroke) this.#goOn();
      this.#show();
    });
    for (const end of ["pointerup", "pointercancel"]) $("masks").addEventListener(end, () => this.#end());
    easel.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#show()).observe($("after"));
  }

  /** Whether paintings are chosen for a region now. */
  get selected() {
    return this.#selected;
  }

  /** Whether the brush is in hand: then keys are the brush's. */
  get isOpen() {
    return !this.#$("brushes").hidden;
  }

  /** Whether what no region covers stays as it is. */
  get keepsRest() {
    return this.#$("keep-rest").checked && this.painted.length > 0;
  }

  /** Regions that have been painted at all. */
  get painted() {
    return this.#list.filter(({ strokes }) => strokes.length);
  }

  open(open) {
    this.#$("brushes").hidden = !open;
    this.#$("regions").setAttribute("aria-pressed", open);
    if (open) this.#$("easel").focus({ preventScroll: true }); // its keys are the brush's now
    if (open && !this.#list.length) this.#add();
    else this.#select(open ? (this.#list.at(-1) ?? null) : null);
  }

  /** Another photograph has no regions yet. */
  clear() {
    this.#list = [];
    this.open(false);
  }

  /** Gives the selected region the painting of a button. */
  give(button) {
    this.#selected.button = button;
    this.#select(this.#selected);
    this.#changed();
  }

  /** Takes the last stroke back. */
  undo() {
    if (!this.#selected?.strokes.pop()) return;
    this.#selected.draw();
    this.#changed();
  }

  #add() {
    const { width, height } = this.#$("after");
    if (!this.#$("easel").classList.contains("full")) return this.#select(null);
    const buttons = [...this.#$("gallery").children];
    this.#list.push(new Region(buttons[(this.#list.length + 1) % buttons.length], width, height));
    this.#select(this.#list.at(-1));
  }

  #remove() {
    this.#list = this.#list.filter((each) => each !== this.#selected);
    this.#select(this.#list.at(-1) ?? null);
    this.#changed();
  }

  // And everything that shows it.
  #select(region) {
    const $ = this.#$;
    this.#selected = region;
    $("region").replaceChildren(
      ...this.#list.map((each, i) => new Option(`${i + 1}: ${each.button.title}`, i, false, each === region)),
    );
    $("masks").replaceChildren(...(this.isOpen ? this.#list.map(({ canvas }) => canvas) : []), $("ring"));
    for (const each of this.#list) each.canvas.classList.toggle("selected", each === region);
    for (const id of ["region", "region-remove", "undo", "erase"]) $(id).disabled = !region;
    $("region-add").disabled = this.#list.length >= MOST_REGIONS;
    this.#show();
    $("gallery").dispatchEvent(new Event("marked"));
  }

  // The masks lie on the result, and the ring is as large as the brush.
  #show() {
    const $ = this.#$, masks = $("masks"), { offsetLeft, offsetTop, offsetWidth, offsetHeight } = $("after");
    masks.hidden = !this.isOpen || !this.#selected;
    Object.assign(masks.style, {
      left: `${offsetLeft}px`, top: `${offsetTop}px`, width: `${offsetWidth}px`, height: `${offsetHeight}px`,
    });
    const size = this.#size * offsetWidth, [x, y] = this.#cursor;
    Object.assign($("ring").style, {
      width: `${size}px`, height: `${size}px`, left: `${x * offsetWidth - size / 2}px`, top: `${y * offsetWidth - size / 2}px`,
    });
  }

  get #erases() {
    return this.#$("erase").getAttribute("aria-pressed") === "true";
  }

  get #size() {
    return Number(this.#$("brush").value) / 100;
  }

  #at({ clientX, clientY }) {
    const { left, top, width } = this.#$("masks").getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / width];
  }

  #begin(point) {
    this.#cursor = point;
    this.#stroke = { points: [point], size: this.#size, erases: this.#erases };
    this.#selected.strokes.push(this.#stroke);
    this.#selected.draw();
  }

  #goOn() {
    this.#stroke.points.push(this.#cursor);
    this.#selected.draw();
  }

  #end() {
    if (!this.#stroke) return;
    this.#stroke = null;
    this.#changed();
  }

  // Arrows move the brush, the space bar sets it down, Control and Z take that back, Escape puts it away.
  #key(event) {
    if (!this.isOpen || !this.#selected) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const tall = this.#$("after").height / this.#$("after").width;
    if (event.key in moves) {
      const [x, y] = moves[event.key], step = this.#size / 2, within = (value, most) => Math.min(Math.max(value, 0), most);
      this.#cursor = [within(this.#cursor[0] + x * step, 1), within(this.#cursor[1] + y * step, tall)];
      this.#show();
    } else if (event.key === " " || event.key === "Enter") {
      this.#begin(this.#cursor);
      this.#end();
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      this.undo();
    } else if (event.key === "Escape") {
      this.open(false);
    } else {
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}
