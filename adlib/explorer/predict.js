// Predict, then reveal: a question, its possible answers and how sure one is. Runs behind shared.js.

class Predict extends Playground {
  static watched = ["answer", "note"];

  build() {
    const { question, choices } = this.header, least = Math.round(100 / choices.length), live = Boolean(this.model.send);
    this.radios = choices.map((_, value) => make("input", { type: "radio", name: this.id, value, disabled: !live, onchange: () => this.draft() }));
    this.sure = make("input", { type: "range", min: least, max: 100, step: 1, value: Math.round((least + 100) / 2), disabled: !live, oninput: () => this.draft() });
    this.told = make("output"), this.note = make("span.quiet");
    this.keep = make("button", { type: "button", disabled: true, onclick: () => this.set({ answer: { choice: this.chosen, sure: this.sure.value / 100 } }) }, "Keep my prediction");
    this.section.append(make("fieldset.form", {}, make("legend", {}, make("strong", {}, "Predict: "), question),
      make("div.bar", {}, ...choices.map((choice, k) => make("label", {}, this.radios[k], choice))),
      make("div.bar", {}, make("label", {}, "How sure? ", this.sure), this.told, live ? this.keep : null, this.note)));
  }

  get chosen() { return this.radios.findIndex((radio) => radio.checked); }

  draft() {
    this.keep.disabled = this.chosen < 0, this.told.textContent = `${this.sure.value} %`;
    this.sure.setAttribute("aria-valuetext", this.told.textContent);
  }

  show() {
    const answer = this.get("answer"), { choice, sure } = answer;
    if (choice !== undefined && answer !== this.seen) this.radios[choice].checked = true, this.sure.value = Math.round(100 * sure);
    this.seen = answer;
    this.draft();
    this.note.textContent = this.get("note") + (this.model.send ? "" : "; a running notebook keeps what you predict");
    this.drawn();
  }
}

Predict.style = `
.adlib { padding: 2px 0; } .form { border: 1px solid var(--line); border-left: 4px solid var(--normal); border-radius: 4px; padding: 2px 12px 10px; margin: 0; min-width: 0; }
legend { padding: 0 6px; } label { gap: 5px; } input { accent-color: var(--normal); }
`;

export default door(Predict);
