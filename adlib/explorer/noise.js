// Perlin noise by hand: a lattice, a threshold, a rotation and an opacity, and the synthetic anomaly that they make.
// Runs behind shared.js. The arithmetic is that of adlib/perlin.py, for one image.

const SEEDS = 200;      // whose masks the histogram counts
const BINS = 40;

/** The n-th number in [0, 1) of a seed, n from 1 on; as `noise.uniform_of_seed` in Python (mulberry32). */
export function uniformOfSeed(seed, n) {
  const a = (seed + Math.imul(n, 0x6d2b79f5)) | 0;
  let t = Math.imul(a ^ (a >>> 15), 1 | a);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

/** Along one axis: for each pixel its cell, the way into it, and how much of the next lattice point it takes. */
function axisWeights(cells, size) {
  return Array.from({ length: size }, (_, i) => {
    const at = i * (cells / size), cell = Math.floor(at), way = at - cell;
    return { cell, way, next: way ** 3 * (way * (6 * way - 15) + 10) };
  });
}

/** (size x size) Perlin noise of a seed on a lattice of cells along y and x. */
export function noiseOf(seed, [cy, cx], size) {
  const angles = Float64Array.from({ length: (cy + 1) * (cx + 1) }, (_, i) => 2 * Math.PI * uniformOfSeed(seed, i + 1));
  const gy = angles.map(Math.sin), gx = angles.map(Math.cos), noise = new Float32Array(size * size);
  const rows = axisWeights(cy, size), columns = axisWeights(cx, size);
  for (let y = 0, i = 0; y < size; y++) {
    const row = rows[y], above = row.cell * (cx + 1), below = above + cx + 1;
    for (let x = 0; x < size; x++, i++) {
      const { cell, way, next } = columns[x], a = above + cell, b = below + cell;
      const top = (1 - next) * (gy[a] * row.way + gx[a] * way) + next * (gy[a + 1] * row.way + gx[a + 1] * (way - 1));
      const low = (1 - next) * (gy[b] * (row.way - 1) + gx[b] * way) + next * (gy[b + 1] * (row.way - 1) + gx[b + 1] * (way - 1));
      noise[i] = Math.SQRT2 * ((1 - row.next) * top + row.next * low);
    }
  }
  return noise;
}

/** The noise turned counter-clockwise about its centre: bilinear, 0 outside; as perlin.rotate. */
export function turn(noise, degrees, size) {
  if (!degrees) return noise;
  const angle = (degrees * Math.PI) / 180, cos = Math.cos(angle), sin = Math.sin(angle), turned = new Float32Array(size * size);
  const at = (y, x) => (x < 0 || y < 0 || x >= size || y >= size ? 0 : noise[y * size + x]), middle = (size - 1) / 2;
  for (let y = 0, i = 0; y < size; y++) {
    for (let x = 0; x < size; x++, i++) {
      const u = cos * (x - middle) - sin * (y - middle) + middle, v = sin * (x - middle) + cos * (y - middle) + middle;
      const left = Math.floor(u), top = Math.floor(v), du = u - left, dv = v - top;
      turned[i] = (1 - dv) * ((1 - du) * at(top, left) + du * at(top, left + 1)) + dv * ((1 - du) * at(top + 1, left) + du * at(top + 1, left + 1));
    }
  }
  return turned;
}

class Noise extends Playground {
  static watched = ["cells", "threshold", "rotation", "opacity", "seed", "texture"];

  build() {
    const { size, textures } = this.header, power = (k) => (value) => this.setCells(k, 2 ** value);
    this.fields = {};
    const range = (name, label, min, max, step, act, shown = (v) => v) => {
      const input = make("input", { type: "range", min, max, step, oninput: () => act(+input.value) }), told = make("output");
      this.fields[name] = { input, told, shown };
      return make("label.row", {}, make("span", {}, label), input, told);
    };
    const set = (name) => (value) => this.set({ [name]: value });
    this.layers = ["Noise, turned", "Mask", "Texture", "Blended"].map((label) => ({ label, ...layer(size, size) }));
    this.layers.forEach(({ canvas }) => canvas.setAttribute("role", "img"));
    this.numbers = make("p.numbers", {}, "Mask covers ", this.covers = make("strong", { "data-number": "coverage" }), " of the image, in ",
                        this.parts = make("strong", { "data-number": "regions" }), this.partsWord = make("span"));
    this.seedField = make("input.number", { type: "number", min: 0, step: 1, onchange: () => this.set({ seed: Math.max(0, Math.round(+this.seedField.value) || 0) }) });
    this.choice = select("Texture", textures.map((name, k) => [k, name]), (k) => this.set({ texture: +k }));
    this.histogram = svg("svg", { viewBox: "0 0 420 190", role: "img" });
    this.summary = make("p.note");
    this.section.append(make("h2", {}, this.header.title),
      make("div.pictures", {}, ...this.layers.map(({ canvas, label }) => make("figure", {}, canvas, make("figcaption", {}, label)))),
      this.numbers,
      make("div.two", {}, make("div", {},
        range("y", "Cells along y", 0, 5, 1, power(0), (v) => 2 ** v), range("x", "Cells along x", 0, 5, 1, power(1), (v) => 2 ** v),
        range("rotation", "Rotation", -90, 90, 5, set("rotation"), (v) => `${v}°`),
        range("threshold", "Threshold", -1, 1, 0.05, set("threshold"), (v) => v.toFixed(2)),
        range("opacity", "Opacity", 0, 1, 0.05, set("opacity"), (v) => v.toFixed(2)),
        make("div.bar", {}, make("label", {}, "Seed ", this.seedField),
             make("button", { type: "button", onclick: () => this.set({ seed: this.get("seed") + 1 }) }, "Next seed"), this.choice.parentNode)),
        make("div", {}, this.histogram, this.summary)));
    this.load();
  }

  async load() {
    const pictures = await Promise.all(this.arrays.pictures.map(inflate));
    [this.image, ...this.textures] = pictures;
    this.redraw();
  }

  setCells(k, value) {
    const cells = [...this.get("cells")];
    cells[k] = value;
    this.set({ cells });
  }

  show() {
    const { size } = this.header, [cells, threshold, rotation, opacity, seed, texture] = Noise.watched.map(this.get);
    const values = { y: Math.log2(cells[0]), x: Math.log2(cells[1]), threshold, rotation, opacity };
    for (const [name, { input, told, shown }] of Object.entries(this.fields)) input.value = values[name], told.textContent = shown(values[name]);
    if (this.root.activeElement !== this.seedField) this.seedField.value = seed;
    this.choice.value = texture;
    this.noise = noiseOf(seed, cells, size);
    this.turned = turn(this.noise, rotation, size);
    this.mask = Uint8Array.from(this.turned, (n) => (n > threshold ? 1 : 0));
    this.coverage = this.mask.reduce((a, b) => a + b, 0) / this.mask.length;
    const regions = Math.max(0, ...new Set(labelRegions(this.mask, size)));
    this.covers.textContent = percent(this.coverage), this.covers.dataset.value = this.coverage;
    this.parts.textContent = regions, this.parts.dataset.value = regions, this.partsWord.textContent = regions === 1 ? " region" : " regions";
    this.say(`${this.numbers.textContent}`);
    this.countSeeds(JSON.stringify([cells, threshold, rotation]));
    if (this.image) this.paint(opacity, this.textures[texture]), this.drawn();
  }

  paint(opacity, texture) {
    const [noise, mask, filled, blended] = this.layers;
    for (let i = 0, at = 0; i < this.mask.length; i++, at += 3) {
      const grey = Math.round(127.5 * (1 + Math.max(-1, Math.min(1, this.turned[i])))), beta = this.mask[i] * opacity;
      const mix = (k) => Math.round(this.image[at + k] + beta * (texture[at + k] - this.image[at + k]));
      noise.pixels[i] = rgba(grey, grey, grey), mask.pixels[i] = this.mask[i] ? rgba(255, 255, 255) : rgba(0, 0, 0);
      filled.pixels[i] = rgba(texture[at], texture[at + 1], texture[at + 2]), blended.pixels[i] = rgba(mix(0), mix(1), mix(2));
    }
    for (const { context, data, canvas, label } of this.layers) {
      context.putImageData(data, 0, 0);
      canvas.setAttribute("aria-label", label === "Mask" ? `${label}; ${this.numbers.textContent}` : label);
    }
  }

  // The masks of many seeds, some each frame

  countSeeds(key) {
    if (key === this.counted) return this.drawHistogram();
    this.counted = key, this.coverages = [], this.summary.dataset.n = 0;
    const [cells, threshold, rotation] = JSON.parse(key), { size } = this.header;
    const some = () => {
      if (this.counted !== key) return;
      const end = performance.now() + 12;
      while (this.coverages.length < SEEDS && performance.now() < end) {
        const turned = turn(noiseOf(this.coverages.length, cells, size), rotation, size);
        this.coverages.push(turned.reduce((n, v) => n + (v > threshold ? 1 : 0), 0) / turned.length);
      }
      this.drawHistogram();
      if (this.coverages.length < SEEDS) this.counting = requestAnimationFrame(some);
    };
    cancelAnimationFrame(this.counting);
    this.counting = requestAnimationFrame(some);
  }

  close() {
    super.close();
    cancelAnimationFrame(this.counting);
  }

  drawHistogram() {
    const end = Math.max(0.2, Math.ceil(10 * Math.max(this.coverage, ...this.coverages)) / 10);
    const left = 40, top = 24, width = 354, height = 120, binOf = (c) => Math.min(BINS - 1, Math.floor((c / end) * BINS));
    const bins = new Array(BINS).fill(0), n = this.coverages.length, x = (c) => left + (c / end) * width;
    for (const c of this.coverages) bins[binOf(c)]++;
    const most = Math.max(1, ...bins), step = width / BINS;
    const bars = bins.map((b, k) => (b ? `M${(left + k * step).toFixed(1)} ${top + height}v${((-b / most) * height).toFixed(1)}h${(step - 1).toFixed(1)}V${top + height}z` : "")).join("");
    const text = (at, y, words, anchor = "middle", kind = "unit") => make(`svg:text.${kind}`, { x: at, y, "text-anchor": anchor }, words);
    this.histogram.replaceChildren(text(left, 14, `Coverage of ${n} seeds`, "start", "strong"), text(left - 5, top + 8, most, "end"), text(left - 5, top + height, 0, "end"),
      make("svg:path.bars.normal", { d: bars }), make("svg:line.rule", { x1: left, x2: left + width, y1: top + height, y2: top + height }),
      make("svg:line.now", { x1: x(this.coverage), x2: x(this.coverage), y1: top - 4, y2: top + height }),
      ...[0, 0.25, 0.5, 0.75, 1].map((f) => text(x(f * end), top + height + 16, `${+(100 * f * end).toFixed(1)} %`)), text(left + width / 2, top + height + 36, "share of the image that the mask covers; the line is this seed"));
    const mean = this.coverages.reduce((a, b) => a + b, 0) / (n || 1), empty = this.coverages.filter((c) => c === 0).length;
    this.histogram.setAttribute("aria-label", `Histogram: masks of ${n} seeds cover ${percent(mean)} of the image on average`);
    this.summary.textContent = `With this lattice, threshold and rotation: ${percent(mean)} on average; ${empty} of ${n} masks are empty.`;
    this.summary.dataset.mean = mean, this.summary.dataset.n = n;
  }
}

Noise.style = `
.pictures { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 10px; } figure { margin: 0; text-align: center; }
canvas { width: 100%; aspect-ratio: 1; border-radius: 3px; display: block; image-rendering: pixelated; border: 1px solid var(--line); }
figcaption { font-size: 13px; padding-top: 3px; } .numbers { margin: 10px 0; font-size: 15px; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 8px 24px; }
.row { display: grid; grid-template-columns: 104px 1fr 48px; gap: 8px; align-items: center; padding: 2px 0; } .row input { accent-color: var(--quiet); margin: 0; width: 100%; }
@container (max-width: 480px) { .pictures { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.number { width: 80px; } .now { stroke: var(--anomalous); stroke-width: 2; } svg { width: 100%; max-width: 460px; }
`;

export default door(Noise);
