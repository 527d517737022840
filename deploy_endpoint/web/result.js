// What the model says of one row.

import { el } from "./dom.js";
import { gauge } from "./gauge.js";
import { percent, verdict } from "./words.js";

const MARKS = ["✓", "!"];

/** What is shown before the first answer. */
export function showNothing(place) {
  place.className = "card result";
  place.replaceChildren(
    el("p", { class: "waiting" }, "Fill in the values or take an example, then press Predict."),
  );
}

/** Mark the shown answer as one of other values. */
export function markOld(place) {
  place.classList.add("old");
}

export function showTrouble(place, message) {
  place.className = "card result";
  place.replaceChildren(el("p", { class: "notice bad", role: "alert" }, message));
}

/** Show the answer to one row with all that the caller should know of it. */
export function showAnswer(place, schema, { document, milliseconds, modelMilliseconds }) {
  const { score, predicted_label: label } = document.predictions[0];
  const side = score >= schema.threshold ? "reaches" : "is below";
  const model = modelMilliseconds === null ? "" : `, ${Math.round(modelMilliseconds)} ms of it the model`;
  place.className = `card result ${label === 1 ? "high" : "low"}`;
  const parts = [
    el("div", { class: "dial" }, gauge(score, schema.threshold), el("p", { class: "score" }, percent(score))),
    el("h2", {}, el("span", { class: "mark", "aria-hidden": "true" }, MARKS[label]), verdict(schema.label, label)),
    el("p", { class: "why" }, `The risk ${side} the model's threshold of ${percent(schema.threshold)}.`),
    warnings(document.warnings),
    el(
      "dl",
      { class: "facts" },
      ...fact("Version", document.model_version),
      ...fact("Took", `${Math.round(milliseconds)} ms${model}`),
      ...fact("Request", document.request_id),
    ),
  ];
  place.replaceChildren(...parts.filter(Boolean));
  place.scrollIntoView({ block: "nearest" });
}

function warnings(found) {
  if (!found.length) return null;
  return el(
    "div",
    { class: "notice careful" },
    el("strong", {}, "Take this answer with care"),
    el("ul", {}, ...found.map((warning) => el("li", {}, inWords(warning)))),
  );
}

function inWords(warning) {
  return warning.column && warning.value
    ? `${warning.column}: ${warning.value}, but ${warning.rule}.`
    : warning.message;
}

function fact(name, value) {
  return [el("dt", {}, name), el("dd", {}, value)];
}
