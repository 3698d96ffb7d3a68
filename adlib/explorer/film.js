// Training film: a slider over the training steps, with maps, loss and histograms. Runs behind shared.js.

const PACE = 500;       // ms a frame while it plays
const LEFT = 52, TOP = 24, WIDTH = 300, HEIGHT = 130;

class Film extends Playground {
  static watched = ["frame", "method"];

  get chosen() { return Math.min(this.get("method"), this.header.methods.length - 1); }
  get frames() { return this.header.methods[this.chosen].frames; }
  get frameNumber() { return Math.min(this.get("frame"), this.frames.length - 1); }

  build() {
    const { methods, labels, size, side } = this.header;
    this.slider = make("input.steps", { type: "range", min: 0, step: 1, "aria-label": "Training step", oninput: () => { this.stop(); this.set({ frame: +this.slider.value }); } });
    this.told = make("output"), this.play = make("button", { type: "button", onclick: () => (this.playing ? this.stop() : this.start()) }, "Play");
    this.heat = layer(side, side);
    this.pictures = labels.map(() => layer(size, size)), this.maps = labels.map(() => layer(4 * side, 4 * side));
    const radios = make("fieldset.segments", { hidden: methods.length < 2 }, make("legend.unseen", {}, "Maps of"), ...methods.map(({ name }, k) =>
      make("label", {}, make("input", { type: "radio", name: this.id, value: k, onchange: () => { this.stop(); this.set({ method: k }); } }), make("span", {}, name))));
    this.plots = make("div.plots");
    this.section.append(make("h2", {}, this.header.title), radios,
      make("div.bar.time", {}, this.play, this.slider, this.told),
      make("div.reel", {}, ...labels.map((anomalous, i) => make("figure", {}, this.pictures[i].canvas, this.maps[i].canvas, make("figcaption", {}, anomalous ? "anomalous" : "normal")))),
      make("p.note", {}, "Each step has its own colour scale, which its normal images set: what is brighter than the middle is stronger than 99.9 % of their pixels. Thin lines are the rims of true defects."),
      this.plots);
    for (const { canvas } of [...this.pictures, ...this.maps]) canvas.setAttribute("role", "img");
    this.load();
  }

  async load() {
    const images = await Promise.all(this.arrays.images.map(inflate));
    images.forEach((pixels, i) => {
      const { pixels: target, context, data, canvas } = this.pictures[i];
      for (let p = 0; p < target.length; p++) target[p] = rgba(pixels[3 * p], pixels[3 * p + 1], pixels[3 * p + 2]);
      context.putImageData(data, 0, 0), canvas.setAttribute("aria-label", `image ${i + 1}, ${this.header.labels[i] ? "anomalous" : "normal"}`);
    });
    this.reels = await Promise.all(this.arrays.maps.map(inflate));
    this.redraw();
  }

  start() {
    const { frames } = this;
    this.play.textContent = "Pause";
    if (this.frameNumber === frames.length - 1) this.set({ frame: 0 });
    this.playing = setInterval(() => {
      if (this.frameNumber >= frames.length - 1) return this.stop();
      this.set({ frame: this.frameNumber + 1 });
    }, PACE);
  }

  stop() {
    clearInterval(this.playing), this.playing = null, this.play.textContent = "Play";
  }

  show() {
    const { frames, frameNumber, chosen } = this, frame = frames[frameNumber], { methods } = this.header;
    this.slider.max = frames.length - 1, this.slider.value = frameNumber;
    this.told.textContent = `step ${frame.step}`;
    this.slider.setAttribute("aria-valuetext", `step ${frame.step}${frame.ap == null ? "" : `, pixel AP ${frame.ap.toFixed(2)}`}`);
    for (const radio of this.root.querySelectorAll(`input[name=${this.id}]`)) radio.checked = +radio.value === chosen;
    const now = methods.map((m) => [m, m.frames.find((f) => f.step === frame.step)]).filter(([, f]) => f);     // the others beside the chosen one
    this.plots.replaceChildren(...[this.drawLoss(methods[chosen], frame), this.drawAP(frames, frame), ...now.map((m) => this.drawHistogram(...m))].filter(Boolean));
    if (!this.reels) return;
    const at = methods.slice(0, chosen).reduce((n, m) => n + m.frames.length, frameNumber);
    const { side } = this.header, { palette, masks } = this.arrays, of = (all, i) => all?.subarray(i * side * side, (i + 1) * side * side);
    this.maps.forEach((map, i) => {
      paintMap(map, this.heat, of(this.reels[at], i), palette, of(masks, i), side);
      map.canvas.setAttribute("aria-label", `map of image ${i + 1} at step ${frame.step}`);
    });
    this.say(`Step ${frame.step}`);
    this.drawn({ frame: frameNumber });
  }

  // Plots

  /** Axes over the training steps (logarithmic, 0 included), a line and a point. */
  overSteps(title, points, [low, high], ticks, now, told) {
    const last = Math.max(1, this.frames.at(-1).step, points.at(-1)?.[0] ?? 1);
    const x = (step) => LEFT + (Math.log1p(step) / Math.log1p(last)) * WIDTH, y = (v) => TOP + HEIGHT * (1 - (v - low) / (high - low || 1));
    const text = (at, height, words, anchor) => make("svg:text.unit", { x: at, y: height, "text-anchor": anchor }, words);
    const picture = svg("svg", { viewBox: `0 0 ${LEFT + WIDTH + 14} 200`, role: "img", "aria-label": `${title} over training steps; ${told}` },
      make("svg:text.strong", { x: LEFT, y: 14 }, title), make("svg:text.told", { x: LEFT + WIDTH, y: 14, "text-anchor": "end" }, told),
      make("svg:rect.frame", { x: LEFT, y: TOP, width: WIDTH, height: HEIGHT }),
      make("svg:path.curve", { d: points.map(([s, v], i) => `${i ? "L" : "M"}${x(s).toFixed(1)} ${y(v).toFixed(1)}`).join("") }),
      make("svg:line.now", { x1: x(now[0]), x2: x(now[0]), y1: TOP, y2: TOP + HEIGHT }),
      now[1] == null ? "" : make("svg:circle.dot", { r: 5, cx: x(now[0]), cy: y(now[1]) }),
      ...ticks.map(([v, words]) => text(LEFT - 5, y(v) + 4, words, "end")), text(LEFT + WIDTH / 2, 194, "training step", "middle"));
    for (const step of [0, 1, 10, 100, 1000, 10000]) if (step <= last) picture.append(text(x(step), TOP + HEIGHT + 16, step, "middle"));
    return picture;
  }

  drawLoss({ loss }, { step }) {
    if (!loss.length) return null;
    const points = loss.map(([s, v]) => [s, Math.log10(Math.max(v, 1e-12))]), values = points.map((p) => p[1]);
    const low = Math.min(...values), high = Math.max(...values), here = points.findLast(([s]) => s <= step);
    return this.overSteps("Loss, logarithmic", points, [low, high], [[low, short(10 ** low)], [high, short(10 ** high)]], [step, here?.[1]],
                          here ? short(10 ** here[1]) : "not trained yet");
  }

  drawAP(frames, frame) {
    if (frame.ap == null) return null;
    return this.overSteps("Pixel AP of these images", frames.map((f) => [f.step, f.ap]), [0, 1], [[0, 0], [0.5, 0.5], [1, 1]], [frame.step, frame.ap], frame.ap.toFixed(3));
  }

  drawHistogram({ name }, { counts, scale, step }) {
    const half = HEIGHT / 2, middle = TOP + half, n = counts[0].length, width = WIDTH / n, names = this.header.masks ? ["normal pixels", "defects"] : ["normal images", "anomalous images"];
    const picture = svg("svg", { viewBox: `0 0 ${LEFT + WIDTH + 14} 200`, role: "img", "aria-label": `Histograms of ${name}'s scores at step ${step}: ${names[0]} above, ${names[1]} below` },
      make("svg:text.strong", { x: LEFT, y: 14 }, name), make("svg:text.told", { x: LEFT + WIDTH, y: 14, "text-anchor": "end" }, "share at each score, logarithmic"));
    counts.forEach((bins, kind) => {
      const all = bins.reduce((a, b) => a + b, 0), bars = bins.map((b, i) => {
        const h = b ? Math.max(2, half * (1 + Math.log10(b / all) / 5)) : 0;
        return h ? `M${(LEFT + i * width).toFixed(1)} ${middle}v${(kind ? h : -h).toFixed(1)}h${(width - 0.6).toFixed(1)}V${middle}z` : "";
      });
      picture.append(make(`svg:path.bars.${kind ? "anomalous" : "normal"}`, { d: bars.join("") }),
                     make(`svg:text.${kind ? "anomalous" : "normal"}`, { x: LEFT + WIDTH, y: kind ? TOP + HEIGHT : TOP + 10, "text-anchor": "end" }, names[kind]));
    });
    picture.append(make("svg:line.rule", { x1: LEFT, x2: LEFT + WIDTH, y1: middle, y2: middle }),
      ...[0, 0.5, 1].map((f) => make("svg:text.unit", { x: LEFT + f * WIDTH, y: TOP + HEIGHT + 16, "text-anchor": ["start", "middle", "end"][2 * f] }, short(scale[0] + f * (scale[1] - scale[0])))),
      make("svg:text.unit", { x: LEFT + WIDTH / 2, y: 194, "text-anchor": "middle" }, "pixel score, from the darkest colour to the brightest"));
    return picture;
  }

  close() { super.close(), this.stop(); }
}

Film.style = `
.time { flex-wrap: nowrap; } .steps { flex: 1; min-width: 60px; } .time output { min-width: 84px; } .time button { min-width: 66px; }
.reel { display: grid; grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); gap: 10px; margin-top: 10px; max-width: 1000px; } figure { margin: 0; } figcaption { font-size: 13px; }
canvas { display: block; width: 100%; aspect-ratio: 1; border-radius: 3px; } canvas + canvas { margin-top: 4px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 260px), 1fr)); gap: 8px 16px; margin-top: 8px; } svg { width: 100%; max-width: 420px; }
.now { stroke: var(--anomalous); stroke-dasharray: 3 3; }
`;

export default door(Film);
