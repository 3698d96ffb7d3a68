// Predict, then reveal: a question, its possible answers and how sure one is. Runs behind shared.js.

class Predict extends Playground {
  static watched = ["answer", "note"];

  build() {
    const { question, choices, between, within, step } = this.header, live = Boolean(this.model.send), least = choices.length ? Math.round(100 / choices.length) : 0;
    const range = (min, max, step, value) => make("input", { type: "range", min, max, step, value, oninput: (event) => this.draft(event) });
    this.radios = choices.map((_, value) => make("input", { type: "radio", name: this.id, value, onchange: () => this.draft() }));
    this.guess = between && range(between[0], between[1], step, between[0] + step * Math.round((between[1] - between[0]) / step / 2));
    this.guessed = make("output"), this.sure = range(least, 100, 1, Math.round((least + 100) / 2));
    this.told = make("output"), this.note = make("span.quiet", { role: "status" });
    this.keep = make("button", { type: "button", disabled: true, onclick: () => this.set({ answer: { choice: this.chosen, sure: this.sure.value / 100 } }) }, "Keep my prediction");
    this.section.append(make("fieldset.form", {}, make("legend", {}, make("strong", {}, "Predict: "), question),
      make("div.bar", {}, ...choices.map((choice, k) => make("label", {}, this.radios[k], choice)), this.guess && make("label", {}, "Your guess ", this.guess), this.guessed),
      make("div.bar", {}, make("label", {}, between ? `How sure, to ±${within}? ` : "How sure? ", this.sure), this.told, live ? this.keep : null, this.note)));
  }

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
    if (choice !== undefined && answer !== this.seen) {
      this.sure.value = Math.round(100 * sure), this.moved = true;
      if (this.guess) this.guess.value = choice; else this.radios[choice].checked = true;
    }
    this.seen = answer;
    this.draft();
    this.note.textContent = this.model.send ? this.get("note")
      : `${choice === undefined ? "" : `${this.get("note")}; `}choose, then compare with what the run says below (only a running notebook keeps it)`;
    this.drawn();
  }
}

Predict.style = `
.adlib { padding: 2px 0; } .form { border: 1px solid var(--line); border-left: 4px solid var(--normal); border-radius: 4px; padding: 2px 12px 10px; margin: 0; min-width: 0; }
legend { padding: 0 6px; } label { gap: 5px; } input { accent-color: var(--normal); }
`;

export default door(Predict);
