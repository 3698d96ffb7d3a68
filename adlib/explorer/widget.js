// The threshold explorer in the browser: a notebook's widget (through anywidget) and the static page run this file,
// behind shared.js.
//
// Scores come as codes (adlib/explorer/quantize.py): "score >= edges[c]" is "code >= c". So a threshold is an integer
// here, counts over the test set are one look into a table, and a picture is one pass over its codes.

const NUMBERS = [       // key, label, unit; the keys are those of ThresholdExplorer.numbers in Python
  ["pixel_precision", "Pixel precision", "%"],
  ["pixel_recall", "Pixel recall", "%"],
  ["pixel_fpr", "Pixel false-positive rate", "%"],
  ["pixel_iou", "Pixel IoU", "%"],
  ["regions_found", "Regions found", "of"],
  ["false_alarm_pixels", "False-alarm pixels per image", ""],
];
const VIEWS = [["image", "Image"], ["heatmap", "Heatmap"], ["mask", "Mask"], ["contours", "Contours"]];
const LINKS = [["validation", "same quantile of validation scores"], ["quantile", "same share of pixels"], ["value", "same score"], ["off", "not linked"]];
const BINS = 88;
const GUTTER = 86;      // px, left of the histograms: their labels
const FINE = 1 / 400, COARSE = 1 / 20;      // of the axis: what an arrow and a page key move, at most
const SQUEEZED = 0.05;      // where the lower half of the images share less of the score axis than this, at its end, the share of pixels comes first
const FACTOR = 3;       // canvas pixels per map pixel, each way

// Data ---------------------------------------------------------------------------------------------------------------

/** The methods, with the tables that answer for all of the test set. */
export function readMethods({ header, arrays }) {
  return header.methods.map((method, k) => {
    const of = (name) => arrays[`${name}${k}`];
    const made = { ...method, edges: of("edges"), packed: of("codes"), scores: of("scores"),
                   pixelsAtOrAbove: of("pixels_at_or_above"),
                   anomalousPixelsAtOrAbove: of("anomalous_pixels_at_or_above"),
                   overlap: of("overlap"), regions: of("regions"), anchors: of("anchors") };
    made.positions = { score: scorePositions(made.edges), share: sharePositions(made.pixelsAtOrAbove) };
    const ordered = Uint16Array.from(made.scores).sort(), at = (q) => made.positions.score[ordered[Math.round(q * (ordered.length - 1))]];
    made.spread = at(0.5) - at(0.1);        // of the score axis: the lower half of the images, where the normal ones end
    made.squeezed = made.spread > 0 && made.spread < SQUEEZED && at(0.5) < 2 * SQUEEZED;
    made.normalScores = sortedCodes(made.scores, header.labels, 0);
    made.anomalousScores = sortedCodes(made.scores, header.labels, 1);
    made.sortedRegions = Uint16Array.from(made.regions).sort();
    made.colours = colourOfCode(made.edges, method.scale, arrays.palette);
    return made;
  });
}

function sortedCodes(scores, labels, wanted) {
  return Uint16Array.from([...scores].filter((_, i) => (labels ? labels[i] : 0) === wanted)).sort();
}

function scorePositions(edges) {
  const low = edges[0], span = edges[edges.length - 1] - low;
  return Float64Array.from(edges, (edge) => (edge - low) / span);
}

function sharePositions(pixels) {       // 0 where every pixel reaches the edge, one step for each factor of ten
  const total = Math.log(Math.max(pixels[0], 2));
  return Float64Array.from(pixels, (n) => (n ? Math.log(pixels[0] / n) / total : 1));
}

function colourOfCode(edges, [low, high], palette) {
  return Uint32Array.from(edges, (edge) => {
    const heat = Math.min(1, Math.max(0, (edge - low) / (high - low || 1))), i = 3 * Math.round(255 * heat);
    return rgba(palette[i], palette[i + 1], palette[i + 2], 255 * Math.min(1, 3 * heat));    // cold is clear, not black
  });
}

/** The code from which scores are flagged; as `quantize.code_of`. */
export const codeOf = (threshold, edges) => Math.min(lowerBound(edges, threshold), edges.length - 1);

const atLeast = (sorted, code) => sorted.length - lowerBound(sorted, code);

// Numbers ------------------------------------------------------------------------------------------------------------

function pixelNumbers(tp, fp, anomalous, total, images) {
  return { pixel_precision: share(tp, tp + fp), pixel_recall: share(tp, anomalous),
           pixel_fpr: share(fp, total - anomalous), pixel_iou: share(tp, anomalous + fp),
           false_alarm_pixels: fp / images };
}

export function numbersOfTestSet(method, code, header) {
  const numbers = {};
  if (header.labels) {
    const tp = atLeast(method.anomalousScores, code), fp = atLeast(method.normalScores, code);
    Object.assign(numbers, { image_tp: tp, image_fp: fp, image_fn: method.anomalousScores.length - tp,
                             image_tn: method.normalScores.length - fp });
  }
  if (header.masks) {
    const { pixelsAtOrAbove: pixels, anomalousPixelsAtOrAbove: anomalous } = method, tp = anomalous[code];
    Object.assign(numbers, pixelNumbers(tp, pixels[code] - tp, anomalous[0], pixels[0], header.n),
                  { regions_found: atLeast(method.sortedRegions, code), regions: method.regions.length });
  }
  return numbers;
}

export function numbersOfImage(method, code, header, index, codes, mask, regionImages) {
  const flagged = method.scores[index] >= code, numbers = {};
  if (header.labels) {
    const anomalous = header.labels[index];
    Object.assign(numbers, { image_tp: +(flagged && anomalous), image_fp: +(flagged && !anomalous),
                             image_fn: +(!flagged && anomalous), image_tn: +(!flagged && !anomalous) });
  }
  if (mask) {
    let tp = 0, alarms = 0, anomalous = 0, found = 0, regions = 0;
    for (let i = 0; i < codes.length; i++) {
      const hit = codes[i] >= code ? 1 : 0;
      alarms += hit, anomalous += mask[i], tp += hit & mask[i];
    }
    for (let k = 0; k < regionImages.length; k++) {
      if (regionImages[k] === index) regions++, found += method.regions[k] >= code ? 1 : 0;
    }
    Object.assign(numbers, pixelNumbers(tp, alarms - tp, anomalous, codes.length, 1),
                  { regions_found: found, regions });
  }
  return numbers;
}

/** The highest of the codes at which misses and false alarms cost least; as decisions.threshold_of_least_cost. */
export function leastCost(method, miss, falseAlarm) {
  const { anomalousScores: anomalous, normalScores: normal } = method;
  let best = method.edges.length - 1, least = miss * anomalous.length;
  for (let i = anomalous.length - 1; i >= 0; i--) {
    const code = anomalous[i], cost = costAt(method, code, miss, falseAlarm);
    if (cost < least) least = cost, best = code;
  }
  return normal.length && anomalous.length ? best : null;
}

export function costAt(method, code, miss, falseAlarm) {
  return miss * (method.anomalousScores.length - atLeast(method.anomalousScores, code))
       + falseAlarm * atLeast(method.normalScores, code);
}

/** The costs of a miss and of a false alarm, weighted for another share of anomalous images than the test set's. */
export function weighCosts(method, [miss, falseAlarm], prevalence) {
  const anomalous = method.anomalousScores.length, n = anomalous + method.normalScores.length;
  if (prevalence === anomalous / n || !anomalous || anomalous === n) return [miss, falseAlarm];
  return [(miss * prevalence * n) / anomalous, (falseAlarm * (1 - prevalence) * n) / (n - anomalous)];
}

/** The threshold among other anchors that lies where this one lies among mine; as widget.carry_over in Python. */
export function carryOver(threshold, mine, others) {
  const last = mine.length - 1, i = Math.min(lowerBound(mine, threshold), last);
  if (mine[i] === threshold) return others[i];
  if (i === 0 || threshold > mine[last]) {
    const span = mine[last] - mine[0];
    return others[i] + (threshold - mine[i]) * (span ? (others[last] - others[0]) / span : 0);
  }
  return others[i - 1] + ((threshold - mine[i - 1]) / (mine[i] - mine[i - 1])) * (others[i] - others[i - 1]);
}

/** The codes of all methods that go with one method's code; as ThresholdExplorer._linked in Python. */
export function linkedCodes(methods, active, code, link, current) {
  return methods.map((method, k) => {
    if (k === active) return code;
    if (link === "value") return codeOf(methods[active].edges[code], method.edges);
    if (link === "off") return current[k];
    if (link === "validation") {
      const { edges, anchors } = methods[active];
      return code === edges.length - 1 ? method.edges.length - 1 : codeOf(carryOver(edges[code], anchors, method.anchors), method.edges);
    }
    let low = 0, high = method.pixelsAtOrAbove.length - 1;        // the lowest code that no more pixels reach
    while (low < high) {
      const middle = (low + high) >> 1;
      if (method.pixelsAtOrAbove[middle] > methods[active].pixelsAtOrAbove[code]) low = middle + 1; else high = middle;
    }
    return low;
  });
}

// Pictures -----------------------------------------------------------------------------------------------------------

/** Codes from their folded differences along both axes: a running sum along each row, added to the row above. */
async function inflateCodes(bytes, width, height) {
  const planes = await inflate(bytes), size = width * height, codes = new Uint16Array(size);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0, sum = 0; x < width; x++, i++) {
      const folded = planes[i] | (planes[size + i] << 8);
      sum += (folded >>> 1) ^ -(folded & 1);
      codes[i] = y ? codes[i - width] + sum : sum;
    }
  }
  return codes;
}

async function inflateMask(bytes, size) {
  const bits = await inflate(bytes);
  return Uint8Array.from({ length: size }, (_, i) => (bits[i >> 3] >> (7 - (i & 7))) & 1);
}

/** Paint the border of the pixels that are `inside`, with a dark rim outside it, into FACTOR times finer pixels. */
function outline(target, inside, width, height, colour, rim) {
  const wide = width * FACTOR, last = FACTOR - 1;
  const box = (x0, y0, x1, y1, paint) => {
    for (let y = y0; y <= y1; y++) target.fill(paint, y * wide + x0, y * wide + x1 + 1);
  };
  for (const [paint, dark] of [[rim, true], [colour, false]]) {     // the rim first: a line is never broken by it
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!inside[i]) continue;
        const X = x * FACTOR, Y = y * FACTOR, d = dark ? 1 : 0, e = dark ? 0 : 1;
        if (x === 0 || !inside[i - 1]) { if (!(dark && x === 0)) box(X - d, Y, X - d + e, Y + last, paint); }
        if (x === width - 1 || !inside[i + 1]) {
          if (!(dark && x === width - 1)) box(X + last + d - e, Y, X + last + d, Y + last, paint);
        }
        if (y === 0 || !inside[i - width]) { if (!(dark && y === 0)) box(X, Y - d, X + last, Y - d + e, paint); }
        if (y === height - 1 || !inside[i + width]) {
          if (!(dark && y === height - 1)) box(X, Y + last + d - e, X + last, Y + last + d, paint);
        }
      }
    }
  }
}

const WHITE = rgba(255, 255, 255), CYAN = rgba(0, 229, 255), AMBER = rgba(255, 176, 0), RIM = rgba(0, 0, 0, 150);

class Painter {
  constructor(canvas, width, height) {
    Object.assign(this, { canvas, width, height });
    canvas.width = width * FACTOR, canvas.height = height * FACTOR;
    this.context = canvas.getContext("2d");
    this.under = layer(canvas.width, canvas.height);        // what does not depend on the threshold
    this.cells = layer(width, height), this.lines = layer(canvas.width, canvas.height);
    this.inside = new Uint8Array(width * height);
  }

  paint({ image, codes, mask, code, colours, view, opacity, truth }) {
    const { context, inside, lines, width, height } = this, key = [codes, view, view === "heatmap" && opacity];
    if (!this.key?.every((part, i) => part === key[i])) this.key = key, this.paintUnder(image, codes, colours, view, opacity);
    context.drawImage(this.under.canvas, 0, 0);
    for (let i = 0; i < codes.length; i++) inside[i] = codes[i] >= code ? 1 : 0;
    if (view === "mask") this.cover(context, (i) => (inside[i] ? AMBER : 0), opacity, false);
    const outlined = view === "heatmap" || view === "contours";
    if (!outlined && !(truth && mask)) return;
    lines.pixels.fill(0);
    if (outlined) outline(lines.pixels, inside, width, height, view === "heatmap" ? WHITE : AMBER, RIM);
    if (truth && mask) outline(lines.pixels, mask, width, height, CYAN, RIM);
    lines.context.putImageData(lines.data, 0, 0);
    context.drawImage(lines.canvas, 0, 0);
  }

  paintUnder(image, codes, colours, view, opacity) {
    const { context, canvas } = this.under;
    context.imageSmoothingEnabled = true, context.imageSmoothingQuality = "high";
    context.fillStyle = "#808080";
    if (image) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    else context.fillRect(0, 0, canvas.width, canvas.height);
    if (view === "heatmap") this.cover(context, (i) => colours[codes[i]], opacity, true);
  }

  cover(context, colourOf, opacity, smooth) {
    const { cells, canvas } = this;
    for (let i = 0; i < cells.pixels.length; i++) cells.pixels[i] = colourOf(i);
    cells.context.putImageData(cells.data, 0, 0);
    context.globalAlpha = opacity, context.imageSmoothingEnabled = smooth;
    context.drawImage(cells.canvas, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  }
}

// Page ---------------------------------------------------------------------------------------------------------------

function display(key, unit, numbers) {
  const value = numbers[key];
  if (value === undefined || Number.isNaN(value)) return "–";
  if (unit === "%") return percent(value);
  if (unit === "of") return `${value} of ${numbers.regions}`;
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

class Explorer extends Playground {
  static watched = ["threshold", "thresholds", "index", "opacity", "view", "method", "link", "truth", "costs", "prevalence"];

  get active() { return Math.min(this.get("method"), this.methods.length - 1); }
  get method() { return this.methods[this.active]; }
  get code() { return codeOf(this.get("threshold"), this.method.edges); }
  get codes() {
    const all = this.get("thresholds");
    return this.methods.map((m, k) => (k === this.active ? this.code : codeOf(all[k], m.edges)));
  }
  get index() { return nearest(this.header.shown, this.get("index")); }
  get axis() { return this.axisPicked ?? (this.method.squeezed ? "share" : "score"); }
  get positions() { return this.method.positions[this.axis]; }

  // What a person does

  setCode(code) {
    code = Math.min(Math.max(code, 0), this.method.edges.length - 1);
    const codes = linkedCodes(this.methods, this.active, code, this.get("link"), this.codes);
    this.set({ threshold: this.method.edges[code], thresholds: codes.map((c, k) => this.methods[k].edges[c]) });
  }

  setPosition(position) { this.setCode(this.codeAt(position)); }

  codeAt(position) {
    const last = this.method.edges.length - 1;
    return position >= 1 ? last : Math.min(lowerBound(this.positions, position), last);
  }

  step(size) {      // at least one code, however small the step
    const code = this.code, aim = this.codeAt(Math.max(0, this.positions[code] + size));
    this.setCode(size > 0 ? Math.max(aim, code + 1) : Math.min(aim, code - 1));
  }

  go(by) {
    const { shown } = this.header, at = shown.indexOf(this.index) + by;
    this.set({ index: shown[Math.min(Math.max(at, 0), shown.length - 1)] });
  }

  setMethod(k) { this.set({ method: k, threshold: this.get("thresholds")[k] }); }

  setLink(link) {
    this.model.set("link", link);
    this.setCode(this.code);
  }

  setAxis(axis) {
    this.axisPicked = axis;
    this.drawHistograms();
    this.redraw();
  }

  // What follows

  watch() {
    super.watch();
    this.resized = new ResizeObserver(() => this.drawHistograms());
    this.resized.observe(this.plots);
  }

  close() {
    super.close();
    this.resized.disconnect();
    for (const url of this.urls) URL.revokeObjectURL(url);
  }

  load(index) {     // a promise, with what it brought as `loaded`; those asked for last are kept
    let entry = this.cache.get(index);
    if (!entry) {
      entry = this.decode(index);
      entry.then((loaded) => { entry.loaded = loaded; }, () => {});
    }
    this.cache.delete(index), this.cache.set(index, entry);
    if (this.cache.size > 24) this.cache.delete(this.cache.keys().next().value);
    return entry;
  }

  async decode(index) {
    const { header, arrays } = this, at = header.shown.indexOf(index), { width, height } = header;
    const blob = arrays.images && new Blob([arrays.images[at]], { type: "image/jpeg" });
    const [image, mask, ...codes] = await Promise.all([
      blob && createImageBitmap(blob),
      header.masks ? inflateMask(arrays.masks[at], width * height) : null,
      ...this.methods.map((m) => inflateCodes(m.packed[at], width, height))]);
    return { image, mask, codes };
  }

  show() {
    const index = this.index, entry = this.load(index), loaded = entry.loaded;
    this.showThreshold();
    this.showTestSet();
    if (!loaded) {
      entry.then(() => this.redraw(), (error) => { this.status.textContent = `Image ${index}: ${error}`; });
      return;
    }
    this.showImage(index, loaded);
    const at = this.header.shown.indexOf(index);
    for (const by of [1, -1]) if (this.header.shown[at + by] !== undefined) this.load(this.header.shown[at + by]);
    this.drawn({ index, code: this.code });
  }

  showThreshold() {
    const { code, method } = this, position = this.positions[code];
    const value = method.edges[code], reached = share(method.pixelsAtOrAbove[code], method.pixelsAtOrAbove[0]);
    const last = code === method.edges.length - 1;
    if (this.root.activeElement !== this.field) this.field.value = short(value);
    this.slider.value = last ? 10000 : Math.round(10000 * position);
    this.slider.setAttribute("aria-valuetext", `${short(value)}, reached by ${percent(reached)} of all pixels`);
    const flagged = method.scores.reduce((n, score) => n + (score >= code), 0);
    this.reached.textContent = last ? "above every score"
      : `${percent(reached)} of the pixels, ${flagged} of ${method.scores.length} images reach it`;
    this.placeLine(last ? 1 : position);
    this.axisChoice.value = this.axis;
    if (this.linkChoice) this.linkChoice.value = this.get("link");
    for (const radio of this.root.querySelectorAll(`input[name=${this.id}view]`)) {
      radio.checked = radio.value === this.get("view");
    }
    for (const radio of this.root.querySelectorAll(`input[name=${this.id}method]`)) {
      radio.checked = +radio.value === this.active;
    }
    this.opacity.value = this.get("opacity");
    this.opacity.disabled = !["heatmap", "mask"].includes(this.get("view"));
    if (this.truth) this.truth.checked = this.get("truth");
    this.scaleEnds.forEach((end, i) => { end.textContent = method.scale[i].toPrecision(2); });
    this.scaleEnds[0].parentNode.hidden = this.get("view") !== "heatmap";
    if (this.drawnFor !== this.active) this.drawHistograms(), this.drawCurves(), this.buildSuggestions(), this.sortThumbs();
    this.placeOnCurves();
    this.showCosts();
  }

  showTestSet() {
    const { header, method, code } = this, numbers = numbersOfTestSet(method, code, header);
    fill(this.testCells, numbers);
    for (const [key, cell] of Object.entries(this.confusionCells)) {
      cell.textContent = numbers[key] ?? "–", cell.dataset.value = numbers[key] ?? "";
    }
    this.markThumbs();
    if (!this.comparison) return;
    this.methods.forEach((m, k) => {
      const n = numbersOfTestSet(m, this.codes[k], header), cells = this.comparison[k];
      cells[0].textContent = short(m.edges[this.codes[k]]);
      cells[1].textContent = header.labels ? `${n.image_tp} of ${n.image_tp + n.image_fn}` : "–";
      cells[2].textContent = header.labels ? `${n.image_fp} of ${n.image_fp + n.image_tn}` : "–";
      [["pixel_precision", "%"], ["pixel_recall", "%"], ["pixel_iou", "%"], ["regions_found", "of"]].forEach(
        ([key, unit], i) => { cells[3 + i].textContent = display(key, unit, n); });
    });
  }

  showImage(index, { image, mask, codes }) {
    const { header, method, code } = this, all = this.codes;
    const view = this.get("view"), opacity = this.get("opacity"), truth = this.get("truth");
    this.painters.forEach((painter, k) => painter.paint({ image, mask, codes: codes[k], code: all[k], view, opacity,
                                                          truth, colours: this.methods[k].colours }));
    const numbers = numbersOfImage(method, code, header, index, codes[this.active], mask, this.arrays.regionImages);
    fill(this.imageCells, numbers);
    const flagged = method.scores[index] >= code, verdict = verdictOf(flagged, header.labels?.[index]);
    for (const cell of Object.values(this.confusionCells)) cell.classList.remove("here");
    this.confusionCells[`image_${verdict.key}`]?.classList.add("here");
    const place = `${header.shown.indexOf(index) + 1} of ${header.shown.length}`;
    const score = short(method.edges[method.scores[index]]);
    this.name.textContent = header.names[index];
    this.place.textContent = place;
    this.verdict.textContent = `${this.methods.length > 1 ? `${method.name}, ` : ""}score ${score}: ${verdict.text}`, this.verdict.className = `verdict ${verdict.kind}`;
    this.painters.forEach((painter, k) => painter.canvas.setAttribute("aria-label",
      `${header.names[index]}, ${view} of ${this.methods[k].name}; score ${score}: ${verdict.text}`));
    this.captions.forEach(([caption, mark], k) => {
      const m = this.methods[k], v = verdictOf(m.scores[index] >= all[k], header.labels?.[index]);
      caption.textContent = `${m.name}: score ${short(m.edges[m.scores[index]])}`;
      mark.textContent = v.text, mark.className = `verdict ${v.kind}`;
    });
    this.previous.disabled = index === header.shown[0], this.next.disabled = index === header.shown.at(-1);
    for (const [i, button] of this.thumbs) button.setAttribute("aria-current", i === index);
    this.say(`Threshold ${short(method.edges[code])}. ${header.names[index]}: ${verdict.text}.`);
  }

  // Building the page, once

  build() {
    this.section.setAttribute("aria-label", `Threshold explorer: ${this.header.title}`);
    this.methods = readMethods(this);
    this.cache = new Map();
    const { header } = this, many = this.methods.length > 1;
    this.urls = [];
    this.thumbs = new Map();
    this.section.append(
      make("header", {}, make("h2", {}, header.title),
                     ...header.notes.map((note) => make("p.note", {}, note))),
      make(many ? "div.main.many" : "div.main", {}, this.buildLook(), this.buildChoice()),
      ...(many ? [this.buildComparison()] : []),
      this.buildCosts(), this.curves = make("div.curves"), this.buildThumbs());
  }

  buildLook() {
    const { width, height } = this.header, many = this.methods.length > 1;
    this.captions = [];
    this.painters = this.methods.map(() => new Painter(make("canvas", { role: "img" }), width, height));
    const pictures = make("div.pictures", {
      tabindex: 0, role: "group", "aria-label": "Picture; left and right arrows go to other images", onkeydown: (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[event.key];
        if (by) event.preventDefault(), this.go(by);
      } }, ...this.painters.map((painter) => {
      const caption = [make("span"), make("span.verdict")];
      this.captions.push(caption);
      return make("figure", {}, painter.canvas, ...(many ? [make("figcaption", {}, caption[0], " ", caption[1])] : []));
    }));
    pictures.style.setProperty("--aspect", `${width} / ${height}`);
    this.name = make("strong"), this.place = make("span.quiet"), this.verdict = make("span.verdict");
    this.previous = make("button", { type: "button", onclick: () => this.go(-1), "aria-label": "Previous image" }, "‹");
    this.next = make("button", { type: "button", onclick: () => this.go(1), "aria-label": "Next image" }, "›");
    const views = make("fieldset.segments", {}, make("legend.unseen", {}, "What lies over the image"),
      ...VIEWS.map(([value, label]) => make("label", {}, make("input", { type: "radio", name: `${this.id}view`, value,
        onchange: () => this.set({ view: value }) }), make("span", {}, label))));
    this.opacity = make("input", { type: "range", min: 0, max: 1, step: 0.05,
                                   oninput: () => this.set({ opacity: +this.opacity.value }) });
    if (this.header.masks) {
      this.truth = make("input", { type: "checkbox", onchange: () => this.set({ truth: this.truth.checked }) });
    }
    return make("div.look", {}, pictures,
      make("div.bar.turn", {}, this.previous, make("span.who", {}, this.name, this.place), this.next),
      make("div.bar.says", {}, this.verdict), make("div.bar", {}, views),
      make("div.bar.options", {}, make("label", {}, "Opacity ", this.opacity), this.buildScale(),
           this.truth ? make("label", {}, this.truth, make("span.truth", {}, "ground truth")) : null));
  }

  buildScale() {
    const { palette } = this.arrays, stops = [];
    for (let i = 0; i < 256; i += 15) stops.push(`rgb(${palette.subarray(3 * i, 3 * i + 3).join(" ")} / ${Math.min(1, i / 85)})`);
    this.scaleEnds = [make("span"), make("span")];
    return make("span.scale", { role: "group", "aria-label": "Colour scale of the heatmap" }, this.scaleEnds[0],
                make("i", { style: `background: linear-gradient(to right, ${stops.join(", ")}), #808080` }), this.scaleEnds[1]);
  }

  buildChoice() {
    this.field = make("input.number", { type: "text", inputmode: "decimal", id: `${this.id}t`, autocomplete: "off",
      onchange: () => {
        const value = Number(this.field.value.replace(",", "."));
        if (this.field.value.trim() && Number.isFinite(value)) this.setCode(codeOf(value, this.method.edges));
        this.field.value = short(this.method.edges[this.code]);
      } });
    this.reached = make("span.quiet");
    this.axisChoice = select("Axis", [["score", "score"], ["share", "share of pixels above"]], (v) => this.setAxis(v));
    this.linkChoice = this.methods.length > 1 ? select("Other methods", LINKS.filter(([value]) => value !== "validation" || this.method.anchors), (v) => this.setLink(v)) : null;
    this.plots = make("div.plots");
    this.slider = make("input.slider", { type: "range", min: 0, max: 10000, step: 1, "aria-label": "Threshold",
      oninput: () => this.setPosition(this.slider.value / 10000), onkeydown: (event) => this.slide(event) });
    this.slider.style.marginLeft = `${GUTTER - 8}px`;
    return make("div.choice", {},
      make("div.bar.threshold", {}, make("label", { for: `${this.id}t` }, "Threshold"), this.field, this.reached),
      this.plots, this.slider,
      make("div.bar.options", {}, this.axisChoice.parentNode, this.linkChoice?.parentNode),
      this.buildNumbers());
  }

  slide(event) {
    const size = { ArrowLeft: -FINE, ArrowDown: -FINE, ArrowRight: FINE, ArrowUp: FINE, PageDown: -COARSE,
                   PageUp: COARSE, Home: -9, End: 9 }[event.key];
    if (!size || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const fine = this.axis === "score" ? Math.min(FINE, this.method.spread / 100) : FINE;
    if (event.shiftKey && Math.abs(size) === FINE) this.setCode(this.code + Math.sign(size));
    else this.step(Math.abs(size) === FINE ? Math.sign(size) * fine : size);
  }

  buildNumbers() {
    this.imageCells = {}, this.testCells = {}, this.confusionCells = {};
    const cell = (cells, key) => (cells[key] = make("td", { "data-number": key }));
    const rows = NUMBERS.map(([key, label]) => make("tr", {}, make("th", { scope: "row" }, label),
      cell(this.imageCells, key), cell(this.testCells, key)));
    const numbers = make("table.numbers", {},
      make("caption.unseen", {}, "Numbers at this threshold"),
      make("thead", {}, make("tr", {}, make("td"), make("th", { scope: "col" }, "this image"),
                             make("th", { scope: "col" }, `test set (${this.header.n})`))),
      make("tbody", {}, ...rows));
    const counted = (key, kind) => (this.confusionCells[key] = make(`td.${kind}`, { "data-number": key }));
    const row = (name, a, b) => make("tr", {}, make("th", { scope: "row" }, name), a, b);
    const confusion = make("table.confusion", {},
      make("caption", {}, "Images; this one's cell is framed"),
      make("thead", {}, make("tr", {}, make("td"), make("th", { scope: "col" }, "flagged"),
                             make("th", { scope: "col" }, "passed"))),
      make("tbody", {}, row("anomalous", counted("image_tp", "right"), counted("image_fn", "wrong")),
           row("normal", counted("image_fp", "wrong"), counted("image_tn", "right"))));
    return make("div.tables", {}, this.header.labels ? confusion : null, this.header.masks ? numbers : null);
  }

  buildComparison() {
    const heads = ["Threshold", "Images found", "False alarms", "Precision", "Recall", "IoU", "Regions found"];
    this.comparison = this.methods.map(() => heads.map(() => make("td")));
    return make("div.wide", {}, make("table.comparison", {}, make("caption", {}, "Methods on the test set; the chosen one is examined above"),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Method"),
                             ...heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...this.methods.map((m, k) => make("tr", {}, make("th", { scope: "row" },
        make("label", {}, make("input", { type: "radio", name: `${this.id}method`, value: k,
                                          onchange: () => this.setMethod(k) }), ` ${m.name}`)), ...this.comparison[k])))));
  }

  buildCosts() {
    this.suggestions = make("div.buttons");
    const { labels } = this.header, both = labels && labels.includes(0) && labels.includes(1);
    const block = make("div.suggest", { role: "group", "aria-label": "Ways to choose the threshold" },
      make("h3", {}, "Choose it for me"), this.suggestions);
    if (both) {
      const field = (i, label) => {
        const input = make("input.number", { type: "number", min: 0, step: "any", onchange: () => {
          const costs = [...this.get("costs")];
          costs[i] = Math.max(0, Number(input.value) || 0);
          this.set({ costs });
        } });
        return [input, make("label", {}, `${label} `, input)];
      };
      const [[miss, missLabel], [alarm, alarmLabel]] = [field(0, "A missed image costs"), field(1, "a false alarm")];
      this.costFields = [miss, alarm], this.costNow = make("output.quiet");
      this.prevalence = make("input", { type: "range", min: -4, max: 0, step: 0.01, oninput: () => this.set({ prevalence: Math.min(0.99, 10 ** +this.prevalence.value) }) });
      this.prevalenceNow = make("output.quiet");
      const asInTest = make("button", { type: "button", onclick: () => this.set({ prevalence: labels.reduce((a, b) => a + b, 0) / labels.length }) }, "as in the test set");
      block.append(make("div.bar", {}, make("label", {}, "Prevalence of anomalous images ", this.prevalence), this.prevalenceNow, asInTest),
                   make("div.bar.costs", {}, missLabel, alarmLabel, button("Least cost", "images", true, () => {
        const code = leastCost(this.method, ...this.weights);
        if (code !== null) this.setCode(code);
      }), this.costNow));
    }
    if (labels) block.append(make("p.note", {}, "A threshold chosen on test labels flatters: its numbers are better "
      + "than those on new images. One chosen on normal validation images does not."));
    return block;
  }

  buildSuggestions() {
    this.suggestions.replaceChildren(...this.method.suggestions.map((s) => button(s.text, s.by, s.labels, () =>
      this.setCode(codeOf(s.threshold, this.method.edges)))));
  }

  get weights() { return weighCosts(this.method, this.get("costs"), this.get("prevalence")); }

  showCosts() {
    if (!this.costFields) return;
    const costs = this.get("costs"), prevalence = this.get("prevalence");
    this.prevalence.value = Math.log10(Math.max(1e-4, prevalence));
    this.prevalenceNow.textContent = percent(prevalence), this.prevalence.setAttribute("aria-valuetext", percent(prevalence));
    this.costFields.forEach((field, i) => { if (this.root.activeElement !== field) field.value = costs[i]; });
    this.costNow.textContent = `cost now: ${+costAt(this.method, this.code, ...this.weights).toPrecision(6)}`;
  }

  buildThumbs() {
    const { shown, names } = this.header, images = this.arrays.images;
    this.strip = make("div.strip", { role: "group", "aria-label": "Images, highest score first" });
    for (const [at, index] of shown.entries()) {
      const url = images ? URL.createObjectURL(new Blob([images[at]], { type: "image/jpeg" })) : null;
      if (url) this.urls.push(url);
      this.thumbs.set(index, make("button.thumb", { type: "button", title: names[index],
        onclick: () => this.set({ index }) },
        url ? make("img", { src: url, alt: "", loading: "lazy", decoding: "async" }) : make("span.blank", {}, `${index}`),
        make("span.mark", { "aria-hidden": "true" })));
    }
    return make("div.thumbs", {}, make("h3", {}, "All images, highest score first"),
      make("p.legend", {}, ...(this.header.labels ? [make("span.key", {}, "!"), "false alarm", make("span.key", {}, "?"), "missed, "] : []),
           "pale: below the threshold"), this.strip);
  }

  sortThumbs() {
    const { scores } = this.method;
    this.strip.append(...[...this.thumbs].sort(([a], [b]) => scores[b] - scores[a] || a - b).map(([, t]) => t));
    for (const [, thumb] of this.thumbs) delete thumb.dataset.state;
  }

  markThumbs() {
    const { scores } = this.method, { labels, names } = this.header, code = this.code;
    for (const [index, thumb] of this.thumbs) {
      const verdict = verdictOf(scores[index] >= code, labels?.[index]);
      if (thumb.dataset.state === verdict.key) continue;
      thumb.dataset.state = verdict.key;
      thumb.lastChild.textContent = { fp: "!", fn: "?" }[verdict.key] ?? "";
      thumb.setAttribute("aria-label", `${names[index]}: ${verdict.text}`);
    }
  }

  // Histograms, with the threshold as a line over them

  drawHistograms() {
    const width = Math.floor(this.plots.clientWidth);
    if (!width) return;
    this.drawnFor = this.active;
    const right = 8, inner = width - GUTTER - right, { header, method } = this;
    const cuts = Array.from({ length: BINS + 1 }, (_, b) => (b === BINS ? method.edges.length - 1 : this.codeAt(b / BINS)));
    const counts = (atOrAbove) => Array.from({ length: BINS }, (_, b) => atOrAbove(cuts[b]) - atOrAbove(cuts[b + 1]));
    const { pixelsAtOrAbove, anomalousPixelsAtOrAbove: anomalous } = method;
    const pixels = [counts((c) => pixelsAtOrAbove[c] - anomalous[c]), counts((c) => anomalous[c])];
    const images = [counts((c) => atLeast(method.normalScores, c)), counts((c) => atLeast(method.anomalousScores, c))];
    const log = (bins) => { const all = bins.reduce((a, b) => a + b, 0); return bins.map((n) => (n ? Math.max(0.04, 1 + Math.log10(n / all) / 6) : 0)); };
    const top = Math.max(1, ...images.flat()), line = (bins) => bins.map((n) => (n ? Math.max(0.06, n / top) : 0));
    const kinds = header.labels ? ["normal", "anomalous"] : ["all", ""];
    const below = header.masks ? "anomalous" : "of anomalous";
    const panels = [
      { at: 16, half: 50, bars: pixels.map(log), title: "Pixels", unit: "height: share of pixels, logarithmic", kinds: header.masks || !header.labels ? kinds : ["of normal", below] },
      { at: 136, half: 34, bars: images.map(line), title: "Images", unit: `height: number of images, ${top} at most`, kinds }];
    const height = 246, clip = `${this.id}clip`;
    this.clip = svg("rect", { y: 0, height });
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": "Histograms of scores: normal above, anomalous below each axis; the vertical line is the threshold" },
      svg("defs", {}, svg("clipPath", { id: clip }, this.clip)));
    for (const { at, half, bars, title, unit, kinds: names } of panels) {
      const middle = at + half;
      bars.forEach((heights, kind) => {
        let path = "";
        heights.forEach((h, b) => {
          if (!h) return;
          const x = GUTTER + (b * inner) / BINS, y = kind ? middle + 1 : middle - h * half;
          path += `M${x.toFixed(1)} ${y.toFixed(1)}h${(inner / BINS - 0.6).toFixed(1)}v${(h * half).toFixed(1)}h-${(inner / BINS - 0.6).toFixed(1)}z`;
        });
        const colour = kind ? "anomalous" : "normal";
        picture.append(make(`svg:path.bars.faint.${colour}`, { d: path }),
                       make(`svg:path.bars.${colour}`, { d: path, "clip-path": `url(#${clip})` }));
      });
      picture.append(make("svg:line.rule", { x1: GUTTER, x2: width - right, y1: middle + 0.5, y2: middle + 0.5 }));
      const text = (y, what, kind) => make(`svg:text.${kind}`, { x: GUTTER - 8, y, "text-anchor": "end" }, what);
      picture.append(text(middle - 18, names[0], "normal"), text(middle + 4, title, "strong"));
      if (names[1]) picture.append(text(middle + 26, names[1], "anomalous"));
      picture.append(make("svg:text.unit", { x: width - right, y: at - 5, "text-anchor": "end" }, unit));
    }
    const ticks = this.ticks(inner);
    for (const [position, label] of ticks) {
      const x = GUTTER + position * inner;
      picture.append(make("svg:line.tick", { x1: x, x2: x, y1: 206, y2: 211 }),
                     make("svg:text.unit", { x, y: 224, "text-anchor": "middle" }, label));
    }
    picture.append(make("svg:line.rule", { x1: GUTTER, x2: width - right, y1: 206, y2: 206 }),
                   make("svg:text.unit", { x: width - right, y: 241, "text-anchor": "end" },
                        this.axis === "score" ? "anomaly score" : "share of pixels at or above, logarithmic"));
    this.line = svg("g", { class: "line" }, svg("line", { y1: 2, y2: 206 }), svg("path", { d: "M-6 0h12l-6 8z" }),
                    svg("rect", { x: -9, y: 0, width: 18, height: 206, fill: "transparent" }));
    picture.append(this.line);
    const drag = (event) => {
      const box = picture.getBoundingClientRect();
      this.setPosition(Math.max(0, (event.clientX - box.left - GUTTER) / inner));
    };
    picture.addEventListener("pointerdown", (event) => {
      picture.setPointerCapture(event.pointerId), drag(event), event.preventDefault();
      this.slider.focus({ preventScroll: true });
    });
    picture.addEventListener("pointermove", (event) => { if (picture.hasPointerCapture(event.pointerId)) drag(event); });
    this.plots.replaceChildren(picture);
    this.inner = inner, this.slider.style.width = `${inner + 16}px`;
    this.placeLine(this.code === method.edges.length - 1 ? 1 : this.positions[this.code]);
  }

  ticks(inner) {
    const { edges, pixelsAtOrAbove } = this.method, low = edges[0], high = edges.at(-1);
    const most = Math.max(2, Math.floor(inner / 70));
    if (this.axis === "share") {
      const decades = Math.log10(Math.max(pixelsAtOrAbove[0], 2)), by = Math.ceil(decades / most);
      return Array.from({ length: Math.floor(decades / by) + 1 }, (_, i) => [(i * by) / decades,
        i * by <= 6 ? `${+(100 / 10 ** (i * by)).toPrecision(2)} %` : `1e−${i * by - 2} %`]);
    }
    if (high - low < 1e-9 * Math.max(1, Math.abs(high))) return [[0, short(low)]];
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const by = power * [1, 2, 5, 10].find((f) => f * power >= rough);
    const first = Math.ceil(low / by), last = Math.floor(high / by), digits = Math.max(0, -Math.floor(Math.log10(by)));
    const name = (v) => (Math.abs(by) >= 1e5 || digits > 4 ? v.toExponential(1) : v.toFixed(digits));
    return Array.from({ length: last - first + 1 }, (_, i) => [((first + i) * by - low) / (high - low), name((first + i) * by)]);
  }

  placeLine(position) {
    if (!this.line) return;
    const x = GUTTER + position * this.inner;
    this.line.setAttribute("transform", `translate(${x.toFixed(2)} 0)`);
    this.clip.setAttribute("x", x.toFixed(2)), this.clip.setAttribute("width", Math.max(0, GUTTER + this.inner + 8 - x).toFixed(2));
  }

  // ROC, PR and PRO, with the point where the threshold sits

  drawCurves() {
    const { method, header } = this, edges = method.edges.length;
    const at = (code) => numbersOfTestSet(method, code, header), kinds = [];
    const images = (n) => ({ recall: share(n.image_tp, n.image_tp + n.image_fn), fpr: share(n.image_fp, n.image_fp + n.image_tn),
                             precision: share(n.image_tp, n.image_tp + n.image_fp) });
    if (header.masks && method.regions.length) {
      kinds.push(["ROC, pixels", "false-positive rate", "recall", 1, (c, n) => [n.pixel_fpr, n.pixel_recall]],
                 ["PR, pixels", "recall", "precision", 1, (c, n) => [n.pixel_recall, n.pixel_precision]],
                 ["PRO, regions", "false-positive rate", "overlap", 0.3, (c, n) => [n.pixel_fpr, method.overlap[c]]]);
    } else if (method.normalScores.length && method.anomalousScores.length) {
      kinds.push(["ROC, images", "false-positive rate", "recall", 1, (c, n) => [images(n).fpr, images(n).recall]],
                 ["PR, images", "recall", "precision", 1, (c, n) => [images(n).recall, images(n).precision]]);
    }
    const table = kinds.length ? Array.from({ length: edges }, (_, c) => at(c)) : [];
    this.points = kinds.map(([title, x, y, limit, point]) => this.drawCurve(title, x, y, limit, (c) => point(c, table[c]), edges));
    this.curves.replaceChildren(...this.points.map(({ picture }) => picture));
  }

  drawCurve(title, xLabel, yLabel, limit, point, edges) {
    const made = axes(title, xLabel, yLabel, limit), { place } = made;
    let path = "", seen = null;
    for (let c = edges - 1; c >= 0; c--) {
      const [x, y] = point(c);
      if (Number.isNaN(x) || Number.isNaN(y)) continue;
      const spot = place([x, y]);
      if (seen && Math.hypot(spot[0] - seen[0], spot[1] - seen[1]) < 0.4 && c) continue;
      path += `${seen ? "L" : "M"}${spot[0].toFixed(1)} ${spot[1].toFixed(1)}`, seen = spot;
      if (x > limit) break;
    }
    made.curve.setAttribute("d", path);
    return { ...made, at: point };
  }

  placeOnCurves() {
    for (const { at, point } of this.points ?? []) point(...at(this.code));
  }
}

function verdictOf(flagged, anomalous) {
  if (anomalous === undefined) return { key: flagged ? "flagged" : "passed", kind: flagged ? "out" : "quiet", text: flagged ? "flagged" : "passed" };
  if (anomalous) return flagged ? { key: "tp", kind: "right", text: "anomalous, flagged" }
                                : { key: "fn", kind: "wrong", text: "anomalous, missed" };
  return flagged ? { key: "fp", kind: "wrong", text: "normal, false alarm" } : { key: "tn", kind: "right", text: "normal, passed" };
}

function fill(cells, numbers) {
  for (const [key, , unit] of NUMBERS) {
    cells[key].textContent = display(key, unit, numbers);
    cells[key].dataset.value = numbers[key] ?? "";
  }
}

function button(text, by, labels, onclick) {
  return make("button.choose", { type: "button", onclick }, make("span", {}, text),
              make(labels ? "small.uses" : "small", {}, `${by}, ${labels ? "test labels" : "no labels"}`));
}

function nearest(shown, index) {
  return shown.reduce((best, i) => (Math.abs(i - index) < Math.abs(best - index) ? i : best), shown[0]);
}

Explorer.style = `
.main { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 20px; }
.main.many { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } .choice { container-type: inline-size; }
.scale { display: inline-flex; align-items: center; gap: 5px; font-size: 12px; color: var(--quiet); } .scale i { width: 64px; height: 10px; border: 1px solid var(--line); }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 200px), 1fr)); gap: 8px; }
figure { margin: 0; } canvas { display: block; width: 100%; aspect-ratio: var(--aspect); border-radius: 3px; }
figcaption { font-size: 13px; padding-top: 3px; }
.turn { justify-content: space-between; flex-wrap: nowrap; } .says { justify-content: center; margin-top: 2px; }
.who { display: flex; gap: 8px; min-width: 0; } .who strong { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.who .quiet { white-space: nowrap; }
.options { justify-content: space-between; } .options input[type=range] { width: 96px; }
.truth { border-bottom: 2px solid var(--truth); }
.verdict.right::before { content: "✓ "; } .verdict.wrong::before { content: "✕ "; }
.verdict.wrong, .verdict.out { color: var(--anomalous); font-weight: 600; } .verdict.right { color: var(--normal); }
.number { width: 92px; } .costs .number { width: 72px; }
.turn button { width: 40px; font-size: 18px; line-height: 1.2; }
.segments { width: 100%; }
.threshold { margin-top: 0; } .threshold label { font-weight: 600; }
.plots { margin-top: 6px; touch-action: none; height: 246px; } .plots svg { display: block; cursor: ew-resize; user-select: none; }
.line line { stroke: var(--ink); stroke-width: 2; } .line path { fill: var(--ink); }
.slider { -webkit-appearance: none; appearance: none; display: block; height: 20px; background: none; margin-top: 0; margin-bottom: 0; padding: 0; cursor: ew-resize; }
.slider::-webkit-slider-runnable-track { height: 4px; border-radius: 2px; background: var(--line); }
.slider::-moz-range-track { height: 4px; border-radius: 2px; background: var(--line); }
.slider::-webkit-slider-thumb { -webkit-appearance: none; width: 16px; height: 16px; margin-top: -6px; border-radius: 50%; background: var(--ink); border: 0; }
.slider::-moz-range-thumb { width: 16px; height: 16px; border-radius: 50%; background: var(--ink); border: 0; }
.tables { display: grid; grid-template-columns: auto 1fr; gap: 20px; align-items: start; margin-top: 10px; }
.confusion { justify-self: start; } .confusion caption { max-width: 190px; }
.numbers { width: 100%; } .numbers tr + tr > *, .comparison tbody tr > * { border-top: 1px solid var(--line); }
.confusion td { min-width: 54px; font-size: 16px; font-weight: 600; padding: 5px 8px; border: 1px solid var(--line); } .confusion thead td { border: 0; }
.confusion .right { color: var(--normal); } .confusion .wrong { color: var(--anomalous); }
.confusion td.here { outline: 2px solid var(--ink); outline-offset: -2px; }
.wide { overflow-x: auto; margin-top: 14px; } .comparison { width: 100%; } .comparison thead th:first-child { text-align: left; padding-left: 0; }
.comparison thead th { white-space: normal; vertical-align: bottom; } .comparison label { white-space: nowrap; }
.suggest, .thumbs { margin-top: 16px; padding-top: 12px; border-top: 1px solid var(--line); }
.buttons { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 262px), 1fr)); gap: 6px; }
.choose { text-align: left; display: flex; flex-direction: column; line-height: 1.3; padding: 5px 9px; } .choose small { color: var(--quiet); }
.choose small.uses { color: var(--anomalous); } .costs .choose { flex-direction: row; gap: 8px; align-items: baseline; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(56px, 1fr)); gap: 6px; max-height: 264px; overflow-y: auto; padding: 4px; }
.thumb { position: relative; padding: 0; border: 3px solid transparent; border-radius: 4px; overflow: hidden; aspect-ratio: 1; background: var(--raised); }
.thumb img { display: block; width: 100%; height: 100%; object-fit: cover; } .thumb:is([data-state=tn], [data-state=fn], [data-state=passed]) img { opacity: .55; }
.thumb[data-state=fp], .thumb[data-state=fn] { border-color: var(--anomalous); } .thumb[data-state=fn] { border-style: dashed; }
.thumb[aria-current=true] { box-shadow: 0 0 0 3px var(--ink); } .legend { margin: 0 0 4px; font-size: 13px; color: var(--quiet); }
.mark, .key { font-weight: 700; color: #fff; background: #b34700; border-radius: 3px; } .mark { position: absolute; right: 2px; top: 2px; width: 16px; line-height: 16px; font-size: 12px; }
.mark:empty { display: none; } .key { display: inline-block; width: 16px; line-height: 16px; text-align: center; margin: 0 5px 0 14px; font-size: 12px; } .key:first-child { margin-left: 0; }
@container (max-width: 820px) { .main, .main.many { grid-template-columns: minmax(0, 1fr); } .look { max-width: 560px; width: 100%; margin: 0 auto; } .main.many .look { max-width: none; } }
@container (max-width: 470px) { .tables { grid-template-columns: minmax(0, 1fr); } }
`;

export default door(Explorer);
