// What the explorer and the playgrounds share in the browser; `page.read_script` puts a widget's own file behind it.

// Data ---------------------------------------------------------------------------------------------------------------

/** The header, the arrays and the lists of byte strings in a block of `quantize.pack`. */
export function unpack(view) {
  const { buffer, byteOffset: at0 } = view.byteOffset % 8      // arrays of numbers must be aligned
    ? new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)) : view;
  const length = Number(new DataView(buffer).getBigUint64(at0, true)), begin = at0 + 8 + length;
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, at0 + 8, length)));
  const types = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array, float64: Float64Array };
  const arrays = {};
  for (const [name, [type, at, bytes]] of Object.entries(header.arrays)) {
    const array = new types[type](buffer, begin + at, bytes / types[type].BYTES_PER_ELEMENT);
    const ends = header.ends[name];
    arrays[name] = ends ? ends.map((end, i) => array.subarray(i ? ends[i - 1] : 0, end)) : array;
  }
  return { header, arrays };
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The first place in an ascending array whose value is at least `value`. */
export function lowerBound(array, value) {
  let low = 0, high = array.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (array[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

const rgba = (r, g, b, a = 255) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** Number the 8-connected regions of the masks, on through all images: 0 for normal pixels. */
export function labelRegions(truth, side) {
  const regions = new Array(truth.length).fill(0), size = side * side;
  let found = 0;
  for (let i = 0; i < truth.length; i++) {
    if (!truth[i] || regions[i]) continue;
    const todo = [i];
    regions[i] = ++found;
    while (todo.length) {
      const at = todo.pop(), x = at % side, y = Math.floor((at % size) / side), begin = at - (at % size);
      for (let v = Math.max(0, y - 1); v <= Math.min(side - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(side - 1, x + 1); u++) {
          const next = begin + v * side + u;
          if (truth[next] && !regions[next]) regions[next] = found, todo.push(next);
        }
      }
    }
  }
  return regions;
}

// Page ---------------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

/** make("button.wide", {title: "x", onclick: f}, "text", child): an element; "svg:path" one of SVG. */
function make(what, properties = {}, ...children) {
  const [name, ...classes] = what.split(".");
  const svg = name.startsWith("svg:");
  const element = svg ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const svg = (name, properties, ...children) => make(`svg:${name}`, properties, ...children);

const short = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : x.toPrecision(4));
const percent = (x) => (x === 0 ? "0 %" : x >= 0.0995 ? `${(100 * x).toFixed(1)} %` : `${(100 * x).toPrecision(2)} %`)
  .replace(/(\d)e-(\d+)/, "$1e−$2");

function select(label, options, onchoice) {
  const choice = make("select", { onchange: () => onchoice(choice.value) },
                      ...options.map(([value, text]) => make("option", { value }, text)));
  make("label", {}, `${label} `, choice);
  return choice;
}

const share = (part, total) => (total ? part / total : NaN);

function layer(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true }), data = context.createImageData(width, height);
  return { canvas, context, data, pixels: new Uint32Array(data.data.buffer) };
}

/** Enlarge a map of colour numbers onto a layer, with a thin line along the rim of a mask, if there is one. */
function paintMap({ context, canvas }, heat, numbers, palette, mask, side) {
  numbers.forEach((n, p) => { heat.pixels[p] = rgba(palette[3 * n], palette[3 * n + 1], palette[3 * n + 2]); });
  heat.context.putImageData(heat.data, 0, 0), context.imageSmoothingQuality = "high", context.drawImage(heat.canvas, 0, 0, canvas.width, canvas.height);
  const by = canvas.width / side, thin = by / 2, inside = (x, y) => x >= 0 && y >= 0 && x < side && y < side && mask[y * side + x];
  context.fillStyle = "#00e5ff";
  for (let p = 0; mask && p < mask.length; p++) {
    for (const [dx, dy] of mask[p] ? [[-1, 0], [1, 0], [0, -1], [0, 1]] : []) {
      const x = p % side, y = Math.floor(p / side);
      if (!inside(x + dx, y + dy)) context.fillRect(by * x + (dx > 0 ? thin : 0), by * y + (dy > 0 ? thin : 0), dx ? thin : by, dy ? thin : by);
    }
  }
}

/** A set of axes from 0 to a limit each: a picture with an empty curve, an area, a point, and where values lie in it. */
function axes(title, xLabel, yLabel, limit = 1) {
  const left = 40, top = 24, width = 210, height = 150;
  const place = ([x, y]) => [left + (Math.min(x, limit * 1.001) / limit) * width, top + (1 - y) * height];
  const made = { place, limit, dot: svg("circle", { class: "dot", r: 5 }), curve: svg("path", { class: "curve" }),
                 area: svg("path", { class: "area" }), told: make("svg:text.told", { x: left + width, y: 14, "text-anchor": "end" }) };
  made.picture = svg("svg", { viewBox: "0 0 262 214", role: "img", "aria-label": `${title}: ${yLabel} over ${xLabel}` },
    make("svg:text.strong", { x: left, y: 14 }, title), made.told,
    make("svg:rect.frame", { x: left, y: top, width, height }), made.area, made.curve, made.dot,
    make("svg:text.unit", { x: left + width / 2, y: 210, "text-anchor": "middle" }, xLabel),
    make("svg:text.unit", { transform: `translate(10 ${top + height / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
  for (const f of [0, 0.5, 1]) {
    made.picture.append(make("svg:text.unit", { x: left + f * width, y: top + height + 15, "text-anchor": "middle" }, +(f * limit).toFixed(2)),
                        make("svg:text.unit", { x: left - 5, y: top + (1 - f) * height + 4, "text-anchor": "end" }, f));
  }
  made.point = (x, y) => {      // where the threshold sits; away where it is undefined or outside
    const [X, Y] = place([x, y]), away = Number.isNaN(X) || Number.isNaN(Y) || x > limit;
    made.dot.style.display = away ? "none" : "";
    if (!away) made.dot.setAttribute("cx", X.toFixed(1)), made.dot.setAttribute("cy", Y.toFixed(1));
    made.told.textContent = Number.isNaN(y) ? "–" : `${x > limit ? "off: " : ""}${x.toPrecision(2)}, ${y.toFixed(2)}`;
  };
  return made;
}

/** A button that copies an element's text. The text is selected too: a page without a clipboard leaves it to the keyboard. */
function copyButton(label, from) {
  const button = make("button", { type: "button", "aria-live": "polite" }, label);
  button.onclick = async () => {
    getSelection().selectAllChildren(from);
    const copied = await navigator.clipboard?.writeText(from.textContent).then(() => true, () => false);
    button.textContent = copied ? "Copied" : "Selected: press Ctrl+C", setTimeout(() => { button.textContent = label; }, 3000);
  };
  return button;
}

/** What every widget does: hold data, follow its model's traits, draw once a frame, know the theme. `build` and `show` are its own. */
class Playground {
  static watched = [];      // traits that change the picture
  static style = "";

  constructor(host, data, model) {
    Object.assign(this, { host, model, ...unpack(data) });
    this.id = `e${Math.random().toString(36).slice(2)}`;
    host.dataset.lmSuppressShortcuts = "true";      // JupyterLab's own keys move between cells
    this.root = host.shadowRoot || host.attachShadow({ mode: "open" });
    this.section = make("section.adlib", { role: "group", "aria-label": this.header.title });
    this.status = make("p.unseen", { role: "status" });
    this.root.replaceChildren(make("style", {}, STYLE + this.constructor.style), this.section);
    this.build(), this.section.append(this.status);
    this.watch(), this.show();
  }

  get = (name) => this.model.get(name);

  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.redraw();
    this.saving ??= setTimeout(() => { this.saving = null; this.model.save_changes(); }, 50);
  }

  redraw() { this.frame ??= requestAnimationFrame(() => { this.frame = null; this.show(); }); }

  drawn(detail = {}) { this.host.dispatchEvent(new CustomEvent("adlib:drawn", { detail })); }

  say(words) {      // to a screen reader, once the hand rests
    clearTimeout(this.telling);
    this.telling = setTimeout(() => { this.status.textContent = words; }, 600);
  }

  watch() {
    this.heard = () => this.redraw();
    for (const name of this.constructor.watched) this.model.on(`change:${name}`, this.heard);
    this.themes = new MutationObserver(() => this.setTheme());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    this.dark = matchMedia("(prefers-color-scheme: dark)"), this.dark.addEventListener("change", this.setTheme);
    this.setTheme();
  }

  setTheme = () => {
    const told = document.body.dataset.jpThemeLight;
    this.section.dataset.theme = told ? (told === "true" ? "light" : "dark") : this.dark.matches ? "dark" : "light";
  };

  close() {
    for (const name of this.constructor.watched) this.model.off?.(`change:${name}`, this.heard);
    this.themes.disconnect(), this.dark.removeEventListener("change", this.setTheme), cancelAnimationFrame(this.frame), clearTimeout(this.saving), clearTimeout(this.telling);
  }
}

const STYLE = `
:host { display: block; container-type: inline-size; } :host([hidden]), [hidden] { display: none !important; }
.adlib { --ground: #fff; --raised: #f4f6f8; --ink: #1c2227; --quiet: #59636e; --line: #d3d9df; --focus: #0a58ca;
  --normal: #0173b2; --anomalous: #b84900; --truth: #007f91;
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--ground);
  padding: 14px; border-radius: 6px; font-variant-numeric: tabular-nums; color-scheme: light; }
.adlib[data-theme=dark] { --ground: #15181b; --raised: #20262b; --ink: #e6e9ec; --quiet: #9aa5b0; --line: #39424a;
  --focus: #8ab8ff; --normal: #56b4e9; --anomalous: #ff9b50; --truth: #00e5ff; color-scheme: dark; }
* { box-sizing: border-box; }
h2 { font-size: 17px; margin: 0 0 10px; } h3 { font-size: 14px; margin: 0 0 6px; }
.quiet, .note, .unit { color: var(--quiet); } .note { margin: 4px 0 8px; font-size: 13px; max-width: 75ch; }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px; margin-top: 8px; }
.bar input[type=range] { accent-color: var(--quiet); margin: 0; } .bar label { display: inline-flex; align-items: center; gap: 6px; }
button, select, .number { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line);
  border-radius: 4px; padding: 3px 9px; }
button { cursor: pointer; } button:hover:not(:disabled) { border-color: var(--quiet); } button:disabled { opacity: .4; cursor: default; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.segments { display: flex; border: 1px solid var(--line); border-radius: 4px; padding: 0; margin: 0; min-width: 0; }
.segments label { flex: 1; text-align: center; cursor: pointer; display: grid; align-content: stretch; } .segments label + label { border-left: 1px solid var(--line); }
.segments input { position: absolute; opacity: 0; } .segments span { display: grid; align-content: center; padding: 3px 8px; }
.segments input:checked + span { background: var(--ink); color: var(--ground); }
.segments input:focus-visible + span { outline: 3px solid var(--focus); outline-offset: 2px; }
text { font-size: 12px; fill: var(--ink); } text.unit { fill: var(--quiet); font-size: 11.5px; } text.strong { font-weight: 600; }
text.normal { fill: var(--normal); } text.anomalous { fill: var(--anomalous); } text.told { fill: var(--quiet); font-size: 11.5px; }
.bars.normal { fill: var(--normal); } .bars.anomalous { fill: var(--anomalous); } .faint { opacity: .28; }
.rule, .tick { stroke: var(--quiet); stroke-width: 1; } .area { fill: var(--normal); opacity: .16; }
.frame { fill: none; stroke: var(--line); } .curve { fill: none; stroke: var(--normal); stroke-width: 2; stroke-linejoin: round; }
.dot { fill: var(--anomalous); stroke: var(--ground); stroke-width: 2; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 8px 16px; margin-top: 14px; } .curves svg { width: 100%; max-width: 330px; }
table { border-collapse: collapse; font-size: 13px; } caption { text-align: left; color: var(--quiet); padding-bottom: 3px; font-size: 12px; }
th { font-weight: normal; text-align: left; } thead th { color: var(--quiet); } thead th, td { text-align: right; padding: 2px 6px; white-space: nowrap; }
tbody th { padding: 2px 6px 2px 0; }
`;

// Doors --------------------------------------------------------------------------------------------------------------

/** A page's stand-in for the widget's model: it holds the state, and nobody else listens. */
class PageModel {
  constructor(state) { this.state = { ...state }; }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = value; }
  on() {}
  save_changes() {}
}

const living = (globalThis.adlibLiving ??= new Set());      // ids of the widgets on this page, over all copies of this file

function hideStatic(id) {
  for (const form of document.querySelectorAll(`[data-adlib-static="${id}"]`)) form.hidden = true, form.widget?.close();
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);      // not in browsers older than 2025
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** What the static form beside a widget holds, where that is everything: then it need not be sent again. */
function staticData(id) {
  const form = document.querySelector(`[data-adlib-static="${id}"]`), text = form && document.getElementById(`${form.id}-data`);
  const data = text && fromBase64(text.textContent.trim()), header = data && unpack(data).header;
  return header && (!header.shown || header.shown.length === header.n) ? data : null;
}

/** The two ways in: `render` for a notebook's widget, `start` for a static form. */
function door(Kind) {
  /** Start a static form once it comes into sight, unless the living widget is on the page: then it stays hidden. */
  function start(id) {
    const place = document.getElementById(id), widget = place.dataset.adlibStatic;
    if (living.has(widget)) return hideStatic(widget);
    const begin = () => {
      if (place.hidden) return;
      const data = fromBase64(document.getElementById(`${id}-data`).textContent.trim());
      place.widget = new Kind(place, data, new PageModel(unpack(data).header.state));
    };
    new IntersectionObserver((seen, watcher) => {
      if (seen.some((entry) => entry.isIntersecting)) watcher.disconnect(), begin();
    }).observe(place);
  }

  function render({ model, el }) {
    const place = make("div.adlib-widget", {}, "Waiting for the kernel …"), id = model.get("_id");
    el.append(place);
    const begin = (data) => {
      place.widget = new Kind(place, data, model);
      living.add(id), hideStatic(id);
    };
    const take = () => { if (!place.widget && model.get("_data").byteLength) begin(model.get("_data")); };
    const beside = staticData(id);
    model.on("change:_data", take);
    if (model.get("_data").byteLength) take();
    else if (beside) begin(beside);
    else model.set("_wanted", true), model.save_changes();
    return () => { model.off("change:_data", take), place.widget?.close(); };
  }
  return { render, start };
}
