// Curves by hand: tiny maps whose scores and ground truth are changed pixel by pixel, and the six numbers that follow.
// Runs behind shared.js. Numbers as in adlib/metrics.py; there are so few pixels that each is counted afresh.

const NUMBERS = [["image_auroc", "image AUROC"], ["pixel_auroc", "pixel AUROC"], ["pixel_ap", "pixel AP"], ["pro", "PRO"],
                 ["iap", "IAP"], ["iap90", "IAP@90"]];
const GOALS = [       // what is to happen, what it teaches once it has, and whether it has
  ["AUROC loves it, AP hates it: pixel AUROC at least 0.9, pixel AP at most 0.35. Scores alone will not do it: shrink the ground truth",
   "Where anomalous pixels are rare, a few false alarms are a small share of the normal ones, and outnumber the hits", (n) => n.pixel_auroc >= 0.9 && n.pixel_ap <= 0.35],
  ["Right for the wrong reason: image AUROC 1, pixel AP at most 0.2",
   "Somewhere in image 1 is the highest score, and the image's score does not say where", (n) => n.image_auroc === 1 && n.pixel_ap <= 0.2],
  ["One region hides the other: pixel AUROC at least 0.9, PRO at most 0.55",
   "A missed region of few pixels costs AUROC little, and PRO as much as a large one", (n) => n.pixel_auroc >= 0.9 && n.pro <= 0.55],
];
const STEP = 0.05;

const count = (items, wanted) => items.reduce((n, item) => n + (wanted(item) ? 1 : 0), 0);
const area = (x, y) => x.reduce((sum, _, i) => (i ? sum + ((x[i] - x[i - 1]) * (y[i] + y[i - 1])) / 2 : 0), 0);

function auroc(normal, anomalous) {
  if (!normal.length || !anomalous.length) return NaN;
  let won = 0;
  for (const a of anomalous) for (const n of normal) won += a > n ? 1 : a === n ? 0.5 : 0;
  return won / (normal.length * anomalous.length);
}

/** Curves as adlib's PixelCurves, and what one threshold does. */
export function curvesOf(scores, truth, side, threshold) {
  const regions = labelRegions(truth, side), total = Math.max(0, ...regions);
  const normal = scores.filter((_, i) => !truth[i]), anomalous = scores.filter((_, i) => truth[i]);
  const levels = [...new Set(anomalous)].sort((a, b) => b - a);
  const sizes = Array.from({ length: total }, (_, k) => count(regions, (r) => r === k + 1));
  const at = (t) => {
    const all = count(scores, (s) => s >= t), tp = count(anomalous, (s) => s >= t), inside = new Array(total).fill(0);
    scores.forEach((s, i) => { if (s >= t && regions[i]) inside[regions[i] - 1]++; });
    return { tp, fp: all - tp, recall: share(tp, anomalous.length), fpr: share(all - tp, normal.length), precision: share(tp, all),
             overlap: share(inside.reduce((sum, n, k) => sum + n / sizes[k], 0), total),
             found: share(count(inside.map((n, k) => 2 * n > sizes[k]), Boolean), total) };
  };
  const defined = normal.length && anomalous.length;
  const fpr = [0], tpr = [0], pro = [0], recall = [0], precision = [];
  if (defined) {
    let above = { recall: 0, overlap: 0 };
    for (const t of levels) {
      const here = at(t);
      fpr.push(count(normal, (s) => s > t) / normal.length, here.fpr);
      tpr.push(above.recall, here.recall), pro.push(above.overlap, here.overlap);
      recall.push(here.recall), precision.push(here.precision);
      above = here;
    }
    fpr.push(1), tpr.push(1), pro.push(1);
  }
  const found = sizes.map((size, k) => scores.filter((_, i) => regions[i] === k + 1).sort((a, b) => b - a)[size >> 1]).sort((a, b) => a - b);
  const envelope = [];
  for (const t of found) envelope.push(Math.max(envelope.at(-1) ?? 0, at(t).precision));
  return { fpr, tpr, pro, recall, precision, envelope, here: at(threshold), defined };
}

export function numbersOf(scores, truth, side, curves) {
  const size = side * side, images = Array.from({ length: scores.length / size }, (_, i) => i);
  const best = images.map((i) => Math.max(...scores.slice(i * size, (i + 1) * size)));
  const bad = images.map((i) => truth.slice(i * size, (i + 1) * size).some(Boolean));
  const numbers = { image_auroc: auroc(best.filter((_, i) => !bad[i]), best.filter((_, i) => bad[i])) };
  if (!curves.defined) return { ...numbers, pixel_auroc: NaN, pixel_ap: NaN, pro: NaN, iap: NaN, iap90: NaN };
  const { fpr, tpr, pro, recall, precision, envelope } = curves, [x, y] = cutAt(fpr, pro, 0.3);
  return { ...numbers, pixel_auroc: area(fpr, tpr), pro: area(x, y) / 0.3,
           pixel_ap: precision.reduce((sum, p, i) => sum + p * (recall[i + 1] - recall[i]), 0),
           iap: envelope.reduce((a, b) => a + b, 0) / envelope.length,
           iap90: envelope[envelope.length - Math.ceil((90 * envelope.length) / 100)] };
}

/** A curve up to x = limit, its end interpolated. */
function cutAt(x, y, limit) {
  const last = x.findLastIndex((v) => v <= limit);
  if (last === x.length - 1) return [x, y];
  const slope = (y[last + 1] - y[last]) / (x[last + 1] - x[last]);
  return [[...x.slice(0, last + 1), limit], [...y.slice(0, last + 1), y[last] + slope * (limit - x[last])]];
}

class Curves extends Playground {
  static watched = ["scores", "truth", "threshold"];

  get size() { return this.header.side ** 2; }

  build() {
    this.chosen = 0, this.cells = [];
    const { side, start } = this.header, maps = start.scores.length / this.size;
    const boards = Array.from({ length: maps }, (_, m) => make("div.map", {}, make("div.board", {
      role: "group", "aria-label": `Map ${m + 1}; arrows move, + and − change the score, space the ground truth`,
      style: `grid-template-columns: repeat(${side}, 1fr)`, onkeydown: (event) => this.key(event) },
      ...Array.from({ length: this.size }, (_, i) => this.buildCell(m * this.size + i))),
      make("p.quiet", {}, `image ${m + 1}: `, make("span"))));
    this.captions = boards.map((board) => board.querySelector("span"));
    const range = (properties) => make("input", { type: "range", min: 0, max: 1, ...properties });
    this.score = range({ step: STEP, oninput: () => this.change(this.chosen, +this.score.value) });
    this.truth = make("input", { type: "checkbox", onchange: () => this.toggle(this.chosen) });
    this.slider = range({ step: 0.01, max: 1.01, oninput: () => this.set({ threshold: +this.slider.value }) });
    this.which = make("strong"), this.value = make("output"), this.told = make("output"), this.counts = make("p.note");
    this.numbers = {};
    this.panels = [axes("ROC", "false-positive rate", "recall"), axes("PR", "recall", "precision"),
                   axes("PRO", "false-positive rate", "overlap", 0.3), axes("IAP", "regions found", "precision")];
    this.goals = GOALS.map(([text, why]) => make("li", { "data-reached": "false" }, `${text}.`, make("p", {}, `${why}.`)));
    const button = (text, act) => make("button", { type: "button", onclick: act }, text);
    this.section.append(make("h2", {}, this.header.title),
      make("p.note", {}, "Framed pixels are anomalous, underlined ones reach the threshold. Click a pixel, then move its score below; "
        + "double-click it to flip its ground truth. By keys: tab to a map, arrows, + and −, space."),
      make("div.top", {}, make("div", {}, make("div.maps", {}, ...boards),
        make("div.bar", {}, make("label", {}, make("strong", {}, "Threshold "), this.slider), this.told), this.counts,
        make("div.bar", {}, this.which, make("label", {}, "score ", this.score), this.value, make("label", {}, this.truth, "anomalous")),
        make("div.bar", {}, button("Start again", () => this.set({ scores: start.scores, truth: start.truth, threshold: start.threshold })),
             button("Random", () => this.random()))),
        make("div", {}, make("table", {}, make("caption", {}, "Six numbers; no threshold enters them"), make("tbody", {},
          ...NUMBERS.map(([key, label]) => make("tr", {}, make("th", { scope: "row" }, label), this.numbers[key] = make("td", { "data-number": key }))))),
          make("h3", {}, "Can you make these happen?"), make("ul.goals", {}, ...this.goals))),
      make("div.curves", {}, ...this.panels.map(({ picture }) => picture)));
  }

  buildCell(i) {
    const cell = make("button.cell", { type: "button", tabindex: i % this.size ? -1 : 0, onclick: (event) => {
      this.choose(i);
      if (event.shiftKey) this.toggle(i);
    }, onfocus: () => this.choose(i), ondblclick: () => this.toggle(i) });
    this.cells.push(cell);
    return cell;
  }

  choose(i) {
    const begin = i - (i % this.size);
    this.chosen = i;
    this.cells.slice(begin, begin + this.size).forEach((cell, k) => { cell.tabIndex = begin + k === i ? 0 : -1; });
    this.cells[i].focus();
    this.redraw();
  }

  change(i, score) {
    const scores = [...this.get("scores")];
    scores[i] = +Math.min(1, Math.max(0, score)).toFixed(2);
    this.set({ scores });
  }

  toggle(i) {
    const truth = [...this.get("truth")];
    truth[i] = !truth[i];
    this.set({ truth });
  }

  random() {
    const scores = this.get("scores").map(() => +Math.random().toFixed(2)), truth = scores.map((s, i) => i < this.size && Math.random() < 0.3 + 0.3 * (s - 0.5));
    this.set({ scores, truth });
  }

  key(event) {
    const i = this.chosen, { side } = this.header, x = i % side, y = Math.floor((i % this.size) / side);
    const by = { ArrowLeft: x > 0 && -1, ArrowRight: x < side - 1 && 1, ArrowUp: y > 0 && -side, ArrowDown: y < side - 1 && side }[event.key];
    const change = { "+": STEP, "=": STEP, "-": -STEP, "−": -STEP }[event.key];
    if (by === undefined && !change && event.key !== " ") return;
    event.preventDefault();
    if (by) this.choose(i + by);
    else if (change) this.change(i, this.get("scores")[i] + change);
    else if (event.key === " ") this.toggle(i);
  }

  show() {
    const scores = this.get("scores"), truth = this.get("truth"), threshold = this.get("threshold"), { side } = this.header;
    const curves = curvesOf(scores, truth, side, threshold), numbers = numbersOf(scores, truth, side, curves), { here } = curves;
    this.cells.forEach((cell, i) => this.showCell(cell, i, scores[i], truth[i], scores[i] >= threshold));
    this.captions.forEach((caption, m) => { caption.textContent = truth.slice(m * this.size, (m + 1) * this.size).some(Boolean) ? "anomalous" : "normal"; });
    this.slider.value = threshold, this.told.textContent = threshold.toFixed(2);
    this.slider.setAttribute("aria-valuetext", `${threshold.toFixed(2)}: ${here.tp} hits, ${here.fp} false alarms`);
    this.counts.textContent = `${here.tp} of ${count(truth, Boolean)} anomalous pixels hit, ${here.fp} false alarm${here.fp === 1 ? "" : "s"}`;
    this.which.textContent = `Image ${Math.floor(this.chosen / this.size) + 1}, row ${Math.floor((this.chosen % this.size) / side) + 1}, column ${(this.chosen % side) + 1}:`;
    this.score.value = scores[this.chosen], this.truth.checked = truth[this.chosen], this.value.textContent = scores[this.chosen].toFixed(2);
    for (const [key] of NUMBERS) {
      this.numbers[key].textContent = Number.isNaN(numbers[key]) ? "–" : numbers[key].toFixed(3);
      this.numbers[key].dataset.value = numbers[key];
    }
    this.goals.forEach((goal, k) => { goal.dataset.reached = GOALS[k][2](numbers); });
    this.drawCurves(curves);
    this.say(NUMBERS.map(([key, label]) => `${label} ${this.numbers[key].textContent}`).join(", "));
    this.drawn();
  }

  showCell(cell, i, score, truth, flagged) {
    const heat = 3 * Math.round(255 * Math.min(1, Math.max(0, score))), [r, g, b] = this.arrays.palette.subarray(heat, heat + 3);
    cell.style.background = `rgb(${r} ${g} ${b})`, cell.style.color = 0.3 * r + 0.6 * g + 0.1 * b > 110 ? "#000" : "#fff";
    cell.textContent = score.toFixed(2);
    cell.dataset.truth = truth, cell.dataset.flagged = flagged, cell.setAttribute("aria-pressed", i === this.chosen);
    const verdict = truth ? (flagged ? "hit" : "missed") : flagged ? "false alarm" : "passed";
    cell.setAttribute("aria-label", `score ${score.toFixed(2)}, ${truth ? "anomalous" : "normal"}, ${verdict}`);
  }

  drawCurves({ fpr, tpr, pro, recall, precision, envelope, here, defined }) {
    const stairs = (y) => [y.flatMap((_, i) => [i / y.length, (i + 1) / y.length]), y.flatMap((v) => [v, v])];
    const steps = [recall.slice(1).flatMap((r, i) => [recall[i], r]), precision.flatMap((p) => [p, p])];
    const lines = [[fpr, tpr], steps, cutAt(fpr, pro, 0.3), stairs([...envelope].reverse())];
    const points = [[here.fpr, here.recall], [here.recall, here.precision], [here.fpr, here.overlap], [here.found, here.precision]];
    this.panels.forEach(({ curve, area: under, place, point }, k) => {
      const path = defined ? lines[k][0].map((x, i) => place([x, lines[k][1][i]]).map((v) => v.toFixed(1)).join(" ")) : [];
      curve.setAttribute("d", path.length ? `M${path.join("L")}` : "");
      const foot = (x) => place([x, 0]).map((v) => v.toFixed(1)).join(" ");
      under.setAttribute("d", path.length ? `M${foot(lines[k][0][0])}L${path.join("L")}L${foot(lines[k][0].at(-1))}z` : "");
      point(...points[k]);
    });
  }
}

Curves.style = `
.top { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 20px; }
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px; max-width: 560px; }
.map p { margin: 4px 0 0; text-align: center; } .board { display: grid; gap: 3px; }
.cell { aspect-ratio: 1; padding: 0; border: 3px solid transparent; border-radius: 3px; font-size: 13px; }
.cell[data-truth=true] { border-color: #00e5ff; box-shadow: 0 0 0 1px #0008; } .cell[aria-pressed=true] { outline: 3px solid var(--ink); outline-offset: 1px; }
.cell[data-flagged=true] { text-decoration: underline; font-weight: 700; }
.goals { list-style: none; margin: 0; padding: 0; } .goals li { padding: 3px 0 3px 24px; position: relative; color: var(--quiet); }
.goals li::before { content: "○"; position: absolute; left: 4px; } .goals li[data-reached=true] { color: var(--normal); font-weight: 600; }
.goals li[data-reached=true]::before { content: "✓"; } .goals p { margin: 2px 0 0; font-weight: 400; color: var(--ink); } .goals li[data-reached=false] p { display: none; } table { margin-bottom: 14px; } td { font-size: 15px; }
@container (max-width: 760px) {      /* the curves right under what moves them */
  .adlib { display: flex; flex-direction: column; } .top { display: contents; } .curves { order: 1; } .top > :last-child { order: 2; margin-top: 12px; } }
`;

export default door(Curves);
