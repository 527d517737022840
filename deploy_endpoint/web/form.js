// The form for one row, made from the model's columns.

import { el } from "./dom.js";
import { sentence, shortName, span } from "./words.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

export class Form {
  /** Put a field for each column into the place; `changed` is called on each change. */
  constructor(place, columns, changed) {
    this.fields = columns.map((column, index) =>
      column.kind === "category" ? new Choice(column, index) : new Quantity(column, index),
    );
    place.replaceChildren(...this.fields.map((field) => field.element));
    place.addEventListener("input", (event) => {
      const field = this.fields.find((each) => each.element.contains(event.target));
      field?.say(null);
      field?.update(event.target);
      changed();
    });
  }

  /** The row as the API takes it. What is no number goes as it is: the API says what is wrong. */
  get values() {
    return Object.fromEntries(this.fields.map((field) => [field.column.name, field.value]));
  }

  set values(values) {
    for (const field of this.fields) {
      field.value = values[field.column.name];
      field.say(null);
      field.update(null);
    }
  }

  /** Show findings at their fields, go to the first; give those that belong to no field. */
  explain(findings) {
    const left = findings.filter((finding) => {
      const field = this.fields.find((each) => each.column.name === finding.column);
      field?.say(sentence(finding.rule ?? finding.message));
      return !field;
    });
    this.fields.find((field) => field.wrong)?.focus();
    return left;
  }
}

class Field {
  constructor(column, index) {
    this.column = column;
    this.id = `field-${index}`;
    this.problem = el("p", { id: `${this.id}-problem`, class: "problem" });
    this.wrong = false;
  }

  /** Show what is wrong with the value, or nothing. */
  say(problem) {
    this.wrong = problem !== null;
    this.problem.textContent = problem ?? "";
    this.element.classList.toggle("wrong", this.wrong);
    for (const input of this.inputs) input.setAttribute("aria-invalid", String(this.wrong));
  }

  update() {}
}

class Choice extends Field {
  constructor(column, index) {
    super(column, index);
    this.inputs = column.categories.map((category, place) =>
      el("input", { type: "radio", name: this.id, value: category, checked: place === 0 }),
    );
    const labels = this.inputs.map((input) => el("label", {}, input, el("span", {}, input.value)));
    const hint = el("p", { id: `${this.id}-hint`, class: "hint" }, column.description);
    this.element = el(
      "fieldset",
      { class: "field", "aria-describedby": `${this.id}-hint ${this.id}-problem` },
      el("legend", {}, shortName(column)),
      el("div", { class: "choice" }, ...labels),
      hint,
      this.problem,
    );
  }

  get value() {
    return this.inputs.find((input) => input.checked)?.value ?? "";
  }

  set value(value) {
    for (const input of this.inputs) input.checked = input.value === value;
  }

  focus() {
    (this.inputs.find((input) => input.checked) ?? this.inputs[0]).focus();
  }
}

class Quantity extends Field {
  constructor(column, index) {
    super(column, index);
    const described = `${this.id}-hint ${this.id}-problem`;
    this.input = el("input", {
      id: this.id, type: "text", inputmode: "decimal", required: true, "aria-describedby": described,
    });
    this.inputs = [this.input];
    this.slider = this.makeSlider();
    this.trained = span(column.training_minimum, column.training_maximum);
    this.training = el("span", { class: "training" });
    const allowed = span(column.minimum, column.maximum);
    this.element = el(
      "div",
      { class: "field" },
      el("label", { for: this.id }, shortName(column)),
      el("div", { class: "quantity" }, this.input, el("span", { class: "unit" }, column.unit)),
      this.slider,
      el(
        "p",
        { id: `${this.id}-hint`, class: "hint" },
        column.description,
        el("span", { class: "ranges" }, allowed && el("span", {}, `Allowed ${allowed}`), this.training),
      ),
      this.problem,
    );
    this.update(null);
  }

  get value() {
    const text = this.input.value.trim();
    return NUMBER.test(text) ? Number(text) : text;
  }

  set value(value) {
    this.input.value = value;
  }

  focus() {
    this.input.focus();
  }

  /** Keep number and slider the same, and mark a value that the training data did not reach. */
  update(changed) {
    if (this.slider && changed === this.slider) this.input.value = this.slider.value;
    const value = this.value;
    if (this.slider && changed !== this.slider && typeof value === "number") this.slider.value = value;
    const outside = typeof value === "number" && isOutside(this.column, value);
    const word = outside ? "Outside training" : "Training";
    this.training.textContent = this.trained && `${word} ${this.trained}`;
    this.element.classList.toggle("far", outside);
  }

  /** A slider over the allowed range, for mouse and touch; the training range is marked on it. */
  makeSlider() {
    const { minimum, maximum, training_minimum: low, training_maximum: high, kind } = this.column;
    if (minimum === null || maximum === null || minimum >= maximum) return null;
    const step = kind === "integer" ? 1 : 0.1;
    const slider = el("input", {
      type: "range", min: minimum, max: maximum, step, tabindex: "-1", "aria-hidden": "true",
    });
    slider.value = ((low ?? minimum) + (high ?? maximum)) / 2;
    const place = (value) => `${(100 * (value - minimum)) / (maximum - minimum)}%`;
    slider.style.setProperty("--from", place(low ?? minimum));
    slider.style.setProperty("--to", place(high ?? maximum));
    return slider;
  }
}

/** Whether the training data has no value as low or as high. */
export function isOutside(column, value) {
  const { training_minimum: low, training_maximum: high } = column;
  return (low !== null && value < low) || (high !== null && value > high);
}
