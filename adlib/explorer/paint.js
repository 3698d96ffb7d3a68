// Paint a defect: tools that change a normal image, and what trained methods make of it. Runs behind shared.js.
//
// With a kernel the painted pixels go to Python after each stroke, one message at a time: while one is judged only the
// last stroke waits, so nothing queues. Without a kernel ten ready-made defects at eight contrasts are looked up.

const TOOLS = [["brush", "Brush"], ["line", "Line"], ["blot", "Blot"], ["paste", "Paste"], ["smudge", "Smudge"], ["erase", "Erase"]];
const TONES = [["dark", "darker"], ["bright", "brighter"]];
const UNDOS = 40, PATIENCE = 20000;     // ms, after which an answer is no longer awaited
const VISIBLE = 25;     // of 255: by how much a missed pixel must have changed; a faint veil over the whole image is no feat

class Paint extends Playground {
  static watched = ["defect", "contrast"];

  build() {
    const { header } = this, { size, runs, defects, contrasts } = header;
    this.live = Boolean(this.model.send), this.tool = "brush", this.tone = "dark", this.stroke = 0, this.answered = 0;
    this.cursor = [size / 2, size / 2], this.past = [], this.records = runs.map(() => ({}));
    this.picture = layer(size, size), this.heat = layer(header.side, header.side);
    const canvas = this.picture.canvas;
    canvas.tabIndex = this.live ? 0 : -1, canvas.setAttribute("role", this.live ? "application" : "img");
    this.ring = make("span.ring", { "aria-hidden": true });
    this.maps = runs.map((name) => ({ name, ...layer(2 * size, 2 * size), score: make("td"), verdict: make("td"), ap: make("td") }));
    this.levels = make("div.pictures.small"), this.told = make("p.told");
    const range = (label, min, max, step, value, act) => {
      const input = make("input", { type: "range", min, max, step, value, oninput: () => act(+input.value) });
      return [input, make("label", {}, `${label} `, input)];
    };
    [this.defectField, this.defectLabel] = range("Defect", 0, defects.length - 1, 1, 0, (v) => this.set({ defect: v }));
    [this.contrastField, this.contrastLabel] = range("Contrast", 0, contrasts.length - 1, 1, 0, (v) => this.set({ contrast: v }));
    this.which = make("output"), this.share = make("output.share");
    const ready = make("div.bar", {}, make("strong", {}, "Ready-made: "), this.defectLabel, this.contrastLabel, this.which);
    this.section.append(make("h2", {}, header.title, " ", make("span.quiet", {}, header.place)),
      make("div.two", {}, make("div", {}, make("div.easel", {}, canvas, this.ring), this.told, this.live ? this.buildTools(range) : null, ready,
        make("p.note", {}, this.live ? "Draw on the image; the runs look again after each stroke. Thin lines in the maps are the rim of what changed. By keys: arrows move the ring, space puts the tool down and lifts it, Ctrl+Z undoes."
          : "This page has no kernel: move the two sliders. Thin lines in the maps are the rim of what changed. In a running notebook you can paint a defect of your own.")),
      make("div", {}, make("div.pictures", {}, ...this.maps.map(({ canvas: map, name }) => { map.setAttribute("role", "img"); return make("figure", {}, map, make("figcaption", {}, name)); })),
        this.levels, this.buildTable(),
        make("h3", {}, "The largest that it misses, the smallest that it finds"),
        make("p.note", {}, "Hide as much as you can from a method, or make it see as little as possible. A missed pixel counts if it changed by a tenth of the full range; for a find all that changed count. Copy the line and let others try."),
        this.share, copyButton("Copy the line", this.share))));
    if (this.live) this.listen(canvas);
    this.load();
  }

  buildTools(range) {
    const radios = (name, options, legend, act) => make("fieldset.segments", {}, make("legend.unseen", {}, legend), ...options.map(([value, label], k) =>
      make("label", {}, make("input", { type: "radio", name: this.id + name, value, checked: k === 0, onchange: () => act(value) }), make("span", {}, label))));
    const { size } = this.header;
    [this.sizeField, this.sizeLabel] = range("Size", 1, size / 2, 1, Math.round(size / 16), () => this.placeRing());
    [this.strengthField, this.strengthLabel] = range("Strength", 0.02, 1, 0.02, 0.6, () => this.redraw());
    this.levelBox = make("input", { type: "checkbox", onchange: () => this.ask() });
    const button = (text, onclick) => make("button", { type: "button", onclick }, text);
    return make("div", {}, make("div.bar", {}, radios("tool", TOOLS, "Tool", (v) => { this.tool = v, this.from = null; })),
      make("div.bar", {}, radios("tone", TONES, "Tone", (v) => { this.tone = v; }), this.sizeLabel, this.strengthLabel),
      make("div.bar", {}, this.undoButton = button("Undo", () => this.undo()), button("Clean image", () => this.replace(this.base.slice())),
           make("label", {}, this.levelBox, `levels of ${this.header.runs[0]}`)));
  }

  buildTable() {
    const heads = ["Score / threshold", "Verdict", "Pixel AP"];
    return make("div.wide", {}, make("table", {}, make("caption.unseen", {}, "What the methods say"),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Method"), ...heads.map((h) => make("th", { scope: "col" }, h)))),
      make("tbody", {}, ...this.maps.map((m) => make("tr", {}, make("th", { scope: "row" }, m.name), m.score, m.verdict, m.ap)))));
  }

  async load() {
    const [base, texture, ...deltas] = await Promise.all(this.arrays.pictures.map(inflate));
    this.base = base, this.texture = texture, this.deltas = deltas.map((d) => new Int16Array(d.buffer));
    this.now = base.slice(), this.seen = this.live ? `${this.get("defect")} ${this.get("contrast")}` : null;
    this.take({ ...this.header.clean }, this.arrays.clean);
    this.redraw();
  }

  // What is painted

  /** Pixels that differ from the clean image by more than one step of 255; as `paint.differs`. */
  mask(least = 1) {
    const { base, now } = this, changed = (at) => Math.abs(now[at] - base[at]) > least;
    return Uint8Array.from({ length: now.length / 3 }, (_, i) => (changed(3 * i) || changed(3 * i + 1) || changed(3 * i + 2) ? 1 : 0));
  }

  replace(pixels, before = this.now) {
    this.past = [...this.past, before].slice(-UNDOS), this.now = pixels, this.before = null;
    this.finish();
  }

  undo() { if (this.past.length) this.now = this.past.pop(), this.finish(); }

  finish() { this.stroke++, this.redraw(), this.ask(); }

  async readyMade() {      // the sliders' defect, on the clean image
    const defect = this.get("defect"), contrast = this.get("contrast"), delta = this.deltas[defect], c = this.header.contrasts[contrast];
    const pixels = Uint8ClampedArray.from(this.base, (v, i) => Math.floor(v + c * delta[i] + 0.5));
    if (this.live) return this.replace(new Uint8Array(pixels.buffer));
    this.now = new Uint8Array(pixels.buffer);
    const at = defect * this.header.contrasts.length + contrast, maps = await inflate(this.arrays.maps[at]);
    if (at !== this.get("defect") * this.header.contrasts.length + this.get("contrast")) return;
    this.take({ at, scores: this.header.scores[at], ap: this.header.ap[at] }, maps);
  }

  /** How much of a pixel the tool covers along a way: 1 inside, fading over a pixel at the rim. */
  cover(alpha, [x0, y0], [x1, y1], shape = () => 1) {
    const { size } = this.header, radius = this.sizeField.value / 2, length = Math.hypot(x1 - x0, y1 - y0) ** 2 || 1;
    for (let y = 0, i = 0; y < size; y++) {
      for (let x = 0; x < size; x++, i++) {
        const f = Math.max(0, Math.min(1, ((x + 0.5 - x0) * (x1 - x0) + (y + 0.5 - y0) * (y1 - y0)) / length));
        const dx = x + 0.5 - x0 - f * (x1 - x0), dy = y + 0.5 - y0 - f * (y1 - y0);
        alpha[i] = Math.max(alpha[i], Math.min(1, Math.max(0, radius * shape(Math.atan2(dy, dx)) - Math.hypot(dx, dy) + 0.5)));
      }
    }
  }

  begin(at) {
    this.before = this.now, this.now = this.now.slice(), this.alpha = new Float32Array(this.header.size ** 2), this.from = this.last = at;
    this.phase = Array.from({ length: 4 }, () => 2 * Math.PI * Math.random());
    this.extend(at);
  }

  extend(at) {
    const { tool, alpha } = this, blot = (angle) => 0.8 + this.phase.reduce((sum, p, k) => sum + (0.25 / (k + 1)) * Math.sin((k + 1) * angle + p), 0);
    if (tool === "line" || tool === "smudge") alpha.fill(0);
    if (tool === "blot") this.cover(alpha, at, at, blot);
    else this.cover(alpha, tool === "line" ? this.from : this.last, at);
    if (tool === "smudge") this.smudge(at); else this.blend();
    this.last = at, this.redraw();
  }

  blend() {
    const { before, now, base, texture, alpha, tool } = this, strength = +this.strengthField.value, tone = this.tone === "dark" ? -255 : 255;
    for (let i = 0; i < now.length; i++) {
      const a = alpha[(i / 3) | 0], v = before[i];
      const change = tool === "erase" ? base[i] - v : strength * (tool === "paste" ? texture[i] - v : tone);
      now[i] = Math.max(0, Math.min(255, Math.round(v + a * change)));
    }
  }

  smudge([x, y]) {
    const { size } = this.header, { now, alpha } = this, [dx, dy] = [Math.round(x - this.last[0]), Math.round(y - this.last[1])];
    if (!dx && !dy) return;
    const old = now.slice(), strength = +this.strengthField.value, clip = (v) => Math.max(0, Math.min(size - 1, v));
    for (let i = 0; i < alpha.length; i++) {
      if (!alpha[i]) continue;
      const from = clip(Math.floor(i / size) - dy) * size + clip((i % size) - dx);
      for (let k = 0; k < 3; k++) now[3 * i + k] = Math.round(old[3 * i + k] + strength * alpha[i] * (old[3 * from + k] - old[3 * i + k]));
    }
  }

  end() { if (this.before) this.replace(this.now, this.before); }

  listen(canvas) {
    const at = (event) => {
      const box = canvas.getBoundingClientRect(), scale = this.header.size / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.now) return;
      canvas.setPointerCapture(event.pointerId), this.begin(this.cursor = at(event)), event.preventDefault(), canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (event) => {
      this.cursor = at(event), this.placeRing();
      if (this.before) this.extend(this.cursor);
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => this.end());
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.hear = (answer, [buffer]) => this.heardAnswer(answer, new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
    this.model.on("msg:custom", this.hear);
  }

  key(event) {
    const { size } = this.header, step = event.shiftKey ? 8 : 2, [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    const undo = (event.ctrlKey || event.metaKey) && event.key === "z";
    if (dx || dy || event.key === " " || undo) event.preventDefault(); else return;
    if (undo) return this.undo();
    if (dx || dy) {
      this.cursor = [[0, dx], [1, dy]].map(([k, d]) => Math.max(0, Math.min(size, this.cursor[k] + step * d)));
      if (this.before) this.extend(this.cursor);
    } else if (this.before) this.end();
    else this.begin(this.cursor);       // space puts the tool down, space lifts it
    this.placeRing();
  }

  // What the methods say

  ask() {
    if (!this.live || this.asking) return;      // the answer asks again, for the stroke that is the last one then
    const pixels = this.now, mask = this.mask(), sent = new Uint8Array(pixels.length + mask.length);
    sent.set(pixels), sent.set(mask, pixels.length);
    this.asking = { stroke: this.stroke, levels: this.levelBox.checked };
    this.model.send(this.asking, undefined, [sent.buffer]);
    this.giveUp = setTimeout(() => { this.asking = null, this.late = "the kernel does not answer", this.redraw(); }, PATIENCE);
  }

  heardAnswer(answer, maps) {
    const asked = this.asking;
    clearTimeout(this.giveUp), this.asking = null;
    if (asked && (asked.stroke !== this.stroke || asked.levels !== this.levelBox.checked)) return this.ask();
    this.answered = answer.stroke, this.late = `judged in ${Math.round(1000 * answer.seconds)} ms`;
    this.take(answer, maps);
  }

  take(answer, heat) {
    this.answer = answer, this.heatOf = heat;
    const [area, visible] = [1, VISIBLE].map((least) => this.mask(least).reduce((a, b) => a + b, 0)), { thresholds } = this.header;
    this.records.forEach((record, k) => {
      if (!area || this.alarms(k)) return;
      if (answer.scores[k] < thresholds[k]) record.missed = Math.max(record.missed ?? 0, visible);
      else record.found = Math.min(record.found ?? Infinity, area);
    });
    this.redraw();
  }

  show() {
    const { header } = this, defect = this.get("defect"), contrast = this.get("contrast");
    this.defectField.value = defect, this.contrastField.value = contrast;
    this.which.textContent = `${header.defects[defect]}, contrast ${header.contrasts[contrast]}`;
    this.defectField.setAttribute("aria-valuetext", header.defects[defect]), this.contrastField.setAttribute("aria-valuetext", header.contrasts[contrast]);
    if (!this.now) return;
    const chosen = `${defect} ${contrast}`;
    if (chosen !== this.seen) this.seen = chosen, this.readyMade();
    if (this.live) this.undoButton.disabled = !this.past.length;
    const mask = this.mask(), area = mask.reduce((a, b) => a + b, 0);
    for (let i = 0; i < mask.length; i++) this.picture.pixels[i] = rgba(this.now[3 * i], this.now[3 * i + 1], this.now[3 * i + 2]);
    this.picture.context.putImageData(this.picture.data, 0, 0);
    this.picture.canvas.setAttribute("aria-label", `${header.name} with ${area} changed pixels${this.live ? "; arrows move the tool, space puts it down and lifts it" : ""}`);
    this.placeRing();
    const words = this.maps.map((map, k) => this.showMap(map, k, mask)), lines = this.maps.map((map, k) => this.recordOf(map.name, k)).filter(Boolean);
    this.showLevels();
    this.share.textContent = lines.length ? `On ${header.place}: ${lines.join("; ")}.` : "Nothing yet.";
    this.told.textContent = [...words, this.late].filter(Boolean).join(" · "), this.say(words.join(", "));
    this.drawn({ stroke: this.stroke, answered: this.answered });
  }

  showMap(map, k, mask) {
    const { thresholds } = this.header, score = this.answer.scores[k], ap = this.answer.ap[k], flagged = score >= thresholds[k];
    this.paintHeat(map, k, mask);
    map.score.textContent = `${short(score)} / ${short(thresholds[k])}`, map.score.dataset.value = score;
    map.verdict.textContent = flagged ? "flagged" : "passed", map.verdict.className = flagged ? "flagged" : "";
    map.ap.textContent = ap == null ? "–" : ap.toFixed(3), map.ap.dataset.value = ap ?? "NaN";
    map.canvas.setAttribute("aria-label", `Map of ${map.name}: ${map.verdict.textContent}, score ${short(score)}`);
    return `${map.name}: ${map.verdict.textContent}`;
  }

  paintHeat(map, k, mask) {
    const { side } = this.header, size = side * side;
    paintMap(map, this.heat, this.heatOf.subarray(k * size, (k + 1) * size), this.arrays.palette, mask, this.header.size);
  }

  showLevels() {
    const { side, runs } = this.header, n = this.heatOf.length / side ** 2 - runs.length;
    this.levels.replaceChildren(...Array.from({ length: n }, (_, k) => {
      const map = layer(2 * side, 2 * side);
      this.paintHeat(map, runs.length + k), map.canvas.setAttribute("role", "img"), map.canvas.setAttribute("aria-label", `Level ${k + 1}`);
      return make("figure", {}, map.canvas, make("figcaption", {}, `level ${k + 1}`));
    }));
  }

  recordOf(name, k) {
    const { missed, found } = this.records[k], of = (n) => `${n} px (${percent(n / this.header.size ** 2)} of the image)`;
    if (this.alarms(k)) return `${name} flags even the clean image`;
    return missed || found ? `${name} ${[missed && `missed ${of(missed)}`, found && `found ${of(found)}`].filter(Boolean).join(" and ")}` : "";
  }

  alarms(k) { return this.header.clean.scores[k] >= this.header.thresholds[k]; }      // then finding is no feat

  placeRing() {
    if (!this.live) return;
    const { size } = this.header, share = (v) => `${(100 * v) / size}%`, d = +this.sizeField.value;
    Object.assign(this.ring.style, { left: share(this.cursor[0] - d / 2), top: share(this.cursor[1] - d / 2), width: share(d), height: share(d), borderStyle: this.before ? "dashed" : "solid" });
  }

  close() { super.close(), clearTimeout(this.giveUp), this.live && this.model.off("msg:custom", this.hear); }
}

Paint.style = `
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 12px 22px; }
.easel { position: relative; max-width: 460px; overflow: hidden; touch-action: none; } .easel canvas { image-rendering: pixelated; } [role=application] { cursor: crosshair; }
@container (max-width: 560px) { .easel { max-width: 300px; } } @container (max-width: 300px) { .wide table { font-size: 12px; } .wide :is(th, td) { padding: 2px 4px 2px 0; } } .told { margin: 6px 0 0; font-weight: 600; } .ring { position: absolute; border: 1px solid #fff; outline: 1px solid #000; border-radius: 50%; pointer-events: none; } .ring:not([style]) { display: none; }
canvas { display: block; width: 100%; aspect-ratio: 1; border-radius: 3px; } canvas:focus-visible { outline-offset: -3px; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 8px; max-width: 560px; } .small { max-width: 330px; grid-template-columns: repeat(3, 1fr); margin-top: 8px; }
figure { margin: 0; max-width: 300px; } figcaption { font-size: 13px; padding-top: 3px; } h3 { margin-top: 12px; }
.wide { overflow-x: auto; margin-top: 8px; } table { width: 100%; } thead th, tbody td { white-space: normal; vertical-align: bottom; } thead th:first-child { text-align: left; padding-left: 0; }
.flagged { color: var(--anomalous); font-weight: 600; } .share { display: block; margin: 6px 0; overflow-wrap: anywhere; } .bar > .segments { flex-wrap: wrap; }
`;

export default door(Paint);
