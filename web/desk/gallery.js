// Paintings of our own, drawn here: they take no bytes of the network.

const SIDE = 384;

// Mulberry32 (Tommy Ettinger, public domain): the same strokes every time.
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

const pick = (list, draw) => list[Math.floor(draw() * list.length)];

const fill = (c, color) => {
  c.fillStyle = color;
  c.fillRect(0, 0, SIDE, SIDE);
};

// A stroke of several hairs along a curve.
const stroke = (c, draw, points, color, width) => {
  c.strokeStyle = color;
  c.lineCap = "round";
  for (let hair = 0; hair < 5; hair++) {
    c.lineWidth = (width / 4) * (0.5 + draw());
    c.globalAlpha = 0.5 + draw() / 2;
    const dx = (draw() - 0.5) * width, dy = (draw() - 0.5) * width;
    c.beginPath();
    points.forEach(([x, y], i) => (i ? c.lineTo(x + dx, y + dy) : c.moveTo(x + dx, y + dy)));
    c.stroke();
  }
  c.globalAlpha = 1;
};

// Short strokes everywhere, along angle(x, y) and in the colours that colors(x, y) has.
const strokes = (c, draw, count, length, width, angle, colors) => {
  for (let i = 0; i < count; i++) {
    let x = draw() * SIDE, y = draw() * SIDE;
    const color = pick(colors(x, y), draw), points = [];
    for (let step = 0; step < 6; step++) {
      points.push([x, y]);
      const a = angle(x, y);
      x += (Math.cos(a) * length) / 6, y += (Math.sin(a) * length) / 6;
    }
    stroke(c, draw, points, color, width);
  }
};

const PAINTINGS = {
  waves(c, draw) {
    fill(c, "#0f3a5f");
    const sea = ["#15507f", "#1f6f9f", "#4fa5c2", "#a9d8d8", "#f4f0df"];
    strokes(c, draw, 1500, 70, 7, (x, y) => 0.9 * Math.sin(x / 45 + y / 90), (x, y) => sea.slice(0, 2 + Math.round((3 * (Math.sin(y / 28 + x / 60) + 1)) / 2)));
  },
  dots(c, draw) {
    fill(c, "#f0e3c0");
    for (let i = 0; i < 9000; i++) {
      const x = draw() * SIDE, y = draw() * SIDE;
      const warm = Math.sin(x / 70) + Math.cos(y / 55) > 0;
      c.fillStyle = pick(warm ? ["#d95d39", "#f2a541", "#f6d186", "#b23a48"] : ["#1d5c63", "#417d7a", "#7db9a4", "#2f4858"], draw);
      c.beginPath();
      c.arc(x, y, 1.5 + 3 * draw(), 0, 7);
      c.fill();
    }
  },
  facets(c, draw) {
    fill(c, "#c9a66b");
    const colors = ["#8c6239", "#5b4636", "#c9a66b", "#e7d3a8", "#3f4f4f", "#7d8471", "#b0794a"];
    for (let i = 0; i < 420; i++) {
      const x = draw() * SIDE, y = draw() * SIDE, size = 20 + 70 * draw(), turn = draw() * 6.3;
      const shade = c.createLinearGradient(x, y, x + size, y + size);
      shade.addColorStop(0, pick(colors, draw)), shade.addColorStop(1, pick(colors, draw));
      c.fillStyle = shade;
      c.globalAlpha = 0.75;
      c.beginPath();
      for (let k = 0; k < 3 + draw() * 2; k++) c.lineTo(x + size * Math.cos(turn + 2.1 * k), y + size * Math.sin(turn + 1.7 * k));
      c.closePath();
      c.fill();
      c.strokeStyle = "#2f241b", c.lineWidth = 1.2, c.stroke();
    }
    c.globalAlpha = 1;
  },
  woodcut(c, draw) {
    fill(c, "#f3ecd8");
    c.strokeStyle = "#191612";
    for (let band = -SIDE; band < 2 * SIDE; band += 5.5) {
      c.beginPath();
      for (let x = 0; x <= SIDE; x += 4) {
        const y = band + 40 * Math.sin(x / 60 + band / 90) + 14 * Math.sin(x / 17);
        c.lineWidth = 1 + 3.2 * Math.abs(Math.sin(x / 80 + band / 40)) + draw() * 0.4;
        x ? c.lineTo(x, y) : c.moveTo(x, y);
      }
      c.stroke();
    }
  },
  night(c, draw) {
    fill(c, "#0b1d51");
    const centres = [[100, 110], [260, 90], [200, 250], [330, 220], [60, 300]];
    const near = (x, y) => centres.map(([a, b]) => Math.hypot(x - a, y - b)).reduce((a, b) => Math.min(a, b));
    const angle = (x, y) => {
      let [a, b] = centres.reduce((best, each) => (Math.hypot(x - each[0], y - each[1]) < Math.hypot(x - best[0], y - best[1]) ? each : best));
      return Math.atan2(y - b, x - a) + Math.PI / 2;
    };
    strokes(c, draw, 2600, 44, 6, angle, (x, y) => (near(x, y) < 28 ? ["#ffe066", "#fff3b0", "#f4a259"] : near(x, y) < 60 ? ["#8ecae6", "#3a7ca5", "#cfe8ef"] : ["#16425b", "#2f6690", "#0b1d51", "#3a7ca5"]));
  },
  meadow(c, draw) {
    fill(c, "#bcd4a7");
    strokes(c, draw, 1700, 34, 6, (x, y) => -1.5 + 0.5 * Math.sin(x / 40), (x, y) => (y < 120 ? ["#bfd7ea", "#e3eef5", "#a8c5da"] : ["#5b8c5a", "#7fb069", "#3c6e47", "#d8e2a8"]));
    for (let i = 0; i < 700; i++) {
      c.fillStyle = pick(["#d7263d", "#f46036", "#fcca46", "#f7f3e3", "#9d4edd"], draw);
      c.beginPath();
      c.ellipse(draw() * SIDE, 110 + draw() * 280, 2 + 4 * draw(), 2 + 3 * draw(), draw() * 3, 0, 7);
      c.fill();
    }
  },
  ink(c, draw) {
    fill(c, "#eee8dc");
    for (let i = 0; i < 130; i++) {
      const x = draw() * SIDE, y = draw() * SIDE, size = 12 + 90 * draw() * draw();
      const wash = c.createRadialGradient(x, y, 0, x, y, size);
      const tone = Math.floor(20 + 70 * draw());
      wash.addColorStop(0, `rgba(${tone},${tone},${tone + 8},.55)`), wash.addColorStop(0.8, `rgba(${tone},${tone},${tone + 8},.25)`), wash.addColorStop(1, "rgba(0,0,0,0)");
      c.fillStyle = wash;
      c.fillRect(x - size, y - size, 2 * size, 2 * size);
    }
    strokes(c, draw, 90, 150, 5, (x, y) => 0.8 * Math.sin(x / 50) + 0.9 * Math.cos(y / 70), () => ["#141414", "#2b2b33"]);
    stroke(c, draw, [[300, 300], [312, 306], [320, 300]], "#b5202b", 14);
  },
  mosaic(c, draw) {
    fill(c, "#3b3530");
    for (let y = 0; y < SIDE; y += 12)
      for (let x = 0; x < SIDE; x += 12) {
        const ring = Math.hypot(x - 190, y - 200) / 42;
        c.fillStyle = pick([["#14746f", "#248277"], ["#e9c46a", "#f4a261"], ["#264653", "#2a6f97"], ["#e76f51", "#bc4749"], ["#f1ead2", "#ddd0ab"]][Math.floor(ring + 0.3 * draw()) % 5], draw);
        c.save();
        c.translate(x + 6, y + 6), c.rotate((draw() - 0.5) * 0.5);
        c.fillRect(-5, -5, 9.5, 9.5);
        c.restore();
      }
  },
};

export const NAMES = Object.keys(PAINTINGS);

/** @returns {HTMLCanvasElement} */
export const painting = (name) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  PAINTINGS[name](canvas.getContext("2d", { willReadFrequently: true }), random(1 + NAMES.indexOf(name)));
  return canvas;
};

/** A landscape to begin with, for whoever has no photograph at hand. */
export const landscape = () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 768, height: 512 });
  const c = canvas.getContext("2d", { willReadFrequently: true }), draw = random(99);
  const sky = c.createLinearGradient(0, 0, 0, 330);
  sky.addColorStop(0, "#5b8fc4"), sky.addColorStop(0.7, "#f3d9b8"), sky.addColorStop(1, "#f6b98a");
  c.fillStyle = sky, c.fillRect(0, 0, 768, 512);
  c.fillStyle = "#fff2cf", c.beginPath(), c.arc(560, 210, 34, 0, 7), c.fill();
  [["#7d8fa8", 250, 60], ["#5f7486", 300, 46], ["#44594f", 350, 34]].forEach(([color, base, height], i) => {
    c.fillStyle = color, c.beginPath(), c.moveTo(0, 512);
    for (let x = 0; x <= 768; x += 6) c.lineTo(x, base - height * Math.abs(Math.sin(x / (90 - 18 * i) + i)) - 8 * Math.sin(x / 13 + i));
    c.lineTo(768, 512), c.fill();
  });
  const lake = c.createLinearGradient(0, 390, 0, 512);
  lake.addColorStop(0, "#e3bd94"), lake.addColorStop(1, "#31556b");
  c.fillStyle = lake, c.fillRect(0, 390, 768, 122);
  c.strokeStyle = "rgba(255,255,255,.35)";
  for (let i = 0; i < 120; i++) {
    const x = draw() * 768, y = 395 + draw() * 110;
    c.beginPath(), c.moveTo(x, y), c.lineTo(x + 10 + 40 * draw(), y), c.stroke();
  }
  for (let i = 0; i < 26; i++) {
    const x = draw() * 768, h = 50 + 70 * draw(), y = 400 + 10 * draw();
    c.fillStyle = pick(["#24382d", "#2e4a37", "#1c2d26"], draw);
    for (let k = 0; k < 5; k++) {
      c.beginPath();
      c.moveTo(x, y - h + (k * h) / 7), c.lineTo(x - 6 - k * 4, y - h + ((k + 2) * h) / 7), c.lineTo(x + 6 + k * 4, y - h + ((k + 2) * h) / 7), c.fill();
    }
    c.fillRect(x - 2, y - h / 4, 4, h / 4);
  }
  return canvas;
};
