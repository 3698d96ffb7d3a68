// Predict, then reveal: a question, its possible answers and how sure one is. Runs behind shared.js.

class Predict extends Playground {
  static watched = ["answer", "note", "seen"];

  build() {
    const { question, choices, between, within, step } = this.header, live = Boolean(this.model.send), least = choices.length ? Math.round(100 / choices.length) : 0;
    const range = (min, max, step, value) => make("input", { type: "range", min, max, step, value, oninput: (event) => this.draft(event) });
    this.radios = choices.map((_, value) => make("input", { type: "radio", name: this.id, value, onchange: () => this.draft() }));
    this.guess = between && range(between[0], between[1], step, between[0] + step * Math.round((between[1] - between[0]) / step / 2));
    this.guessed = make("output"), this.sure = range(least, 100, 1, Math.round((least + 100) / 2));
    this.told = make("output"), this.note = make("span.quiet", { role: "status" });
    this.keep = make("button", { type: "button", disabled: true, onclick: () => this.set({ answer: { choice: this.chosen, sure: this.sure.value / 100 } }) }, live ? "Keep my prediction" : "Compare");
    this.looked = ({ target }) => { if (target.open && this.findings.includes(target) && !this.answered) this.set({ seen: true }); };
    document.addEventListener("toggle", this.looked, true);      // it does not bubble
    this.section.append(make("fieldset.form", {}, make("legend", {}, make("strong", {}, "Predict: "), question),
      make("div.bar", {}, ...choices.map((choice, k) => make("label", {}, this.radios[k], choice)), this.guess && make("label", {}, "Your guess ", this.guess), this.guessed),
      make("div.bar", {}, make("label", {}, between ? `How sure, to ±${within}? ` : "How sure? ", this.sure), this.told, live || this.findings.length ? this.keep : null, this.note)));
  }

  /** What the run found: on the page, folded until the form is answered. */
  get findings() { return [...document.querySelectorAll("details[data-adlib-finding]")].filter((fold) => fold.dataset.adlibFinding === this.header.name); }
  get answered() { return this.get("answer").choice !== undefined; }
  get chosen() { return this.guess ? +this.guess.value : this.radios.findIndex((radio) => radio.checked); }

  /** A slider that nobody has moved is no guess. */
  draft(event) {
    this.moved ||= event?.target === this.guess && Boolean(this.guess);
    this.keep.disabled = this.guess ? !this.moved : this.chosen < 0;
    this.told.textContent = `${this.sure.value} %`, this.sure.setAttribute("aria-valuetext", this.told.textContent);
    if (!this.guess) return;
    this.guessed.textContent = this.moved ? `${+(+this.guess.value).toPrecision(4)} ${this.header.unit}` : "move the slider";
    this.guess.setAttribute("aria-valuetext", this.guessed.textContent);
  }

  show() {
    const answer = this.get("answer"), { choice, sure } = answer;
    if (this.answered && answer !== this.shown) {
      for (const fold of this.findings) fold.open = true;
      this.sure.value = Math.round(100 * sure), this.moved = true;
      if (this.guess) this.guess.value = choice; else this.radios[choice].checked = true;
    }
    this.shown = answer;
    this.draft();
    this.note.textContent = this.model.send ? this.get("note") : "choose, then compare with what the run found, below (only a running notebook keeps it)";
    this.drawn();
  }

  close() { super.close(), document.removeEventListener("toggle", this.looked, true); }
}

Predict.style = `
.adlib { padding: 2px 0; } .form { border: 1px solid var(--line); border-left: 4px solid var(--normal); border-radius: 4px; padding: 2px 12px 10px; margin: 0; min-width: 0; }
legend { padding: 0 6px; } label { gap: 5px; } input { accent-color: var(--normal); }
`;

export default door(Predict);
