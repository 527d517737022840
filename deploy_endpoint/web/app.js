// The page: asks for the token, learns the model's columns, and shows what the model says.

import { asCurl, call, predictRow, token, Unauthorized } from "./client.js";
import { el, find } from "./dom.js";
import { FilePanel } from "./file.js";
import { Form } from "./form.js";
import { markOld, showAnswer, showNothing, showTrouble } from "./result.js";
import { percent, sentence } from "./words.js";

const result = find("result");
let afterToken = start;

find("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(find("token").value.trim());
  find("token").value = "";
  find("ask").close();
  afterToken();
});
// Without a token there is nothing to go back to.
find("ask").addEventListener("cancel", (event) => event.preventDefault());
find("forget").addEventListener("click", () => {
  token.forget();
  location.reload();
});
for (const input of document.querySelectorAll("input[name=mode]")) {
  input.addEventListener("change", () => {
    for (const mode of ["one", "file"]) find(mode).hidden = mode !== input.value;
  });
}

/** Ask for the token, say why, and go on with what needed it. */
function ask(problem, next) {
  afterToken = next;
  find("ask-problem").textContent = problem;
  find("ask").showModal();
}

function refused(error, next) {
  token.forget();
  ask(error.message, next);
}

async function start() {
  find("trouble").hidden = true;
  if (!token.get()) {
    ask("", start);
    return;
  }
  try {
    const { document: schema } = await call("schema");
    open(schema);
  } catch (error) {
    if (error instanceof Unauthorized) refused(error, start);
    else {
      find("trouble").textContent = error.message;
      find("trouble").hidden = false;
    }
  }
}

function open(schema) {
  document.title = `${schema.label} · prediction`;
  find("title").textContent = sentence(schema.label).slice(0, -1);
  find("forget").hidden = false;
  find("main").hidden = false;
  showNothing(result);
  showHealth(schema);

  const form = new Form(find("fields"), schema.columns, () => markOld(result));
  let latest = 0;
  const predict = async () => {
    latest += 1;
    const mine = latest;
    // An answer that comes after a newer question is not shown.
    const isLatest = () => mine === latest;
    result.setAttribute("aria-busy", "true");
    try {
      const answer = await predictRow(form.values);
      if (isLatest()) showAnswer(result, schema, answer);
    } catch (error) {
      if (!isLatest()) return;
      if (error instanceof Unauthorized) refused(error, predict);
      else explain(form, error);
    } finally {
      if (isLatest()) result.setAttribute("aria-busy", "false");
    }
  };
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    predict();
  });
  find("examples").replaceChildren(...schema.examples.map((each, index) => example(each, index, form, predict)));
  form.values = schema.examples[0].values;
  find("curl").addEventListener("click", () => copy(asCurl(form.values)));
  new FilePanel(schema, refused);
}

/** Put an error where it belongs: to its fields, or in place of the answer. */
function explain(form, error) {
  const left = form.explain(error.findings ?? []);
  if (error.findings?.length && !left.length) {
    showTrouble(result, "Some values need your attention: they are marked.");
  } else showTrouble(result, error.message);
}

function example({ values, expected }, index, form, predict) {
  const risk = percent(expected.score);
  const take = () => {
    form.values = values;
    predict();
  };
  return el(
    "button",
    {
      type: "button",
      class: `chip ${expected.predicted_label === 1 ? "high" : "low"}`,
      "aria-label": `Example ${index + 1}, a risk of ${risk}`,
      onclick: take,
    },
    risk,
  );
}

async function showHealth(schema) {
  const place = find("serving");
  place.textContent = `Version ${schema.model_version}`;
  const found = await call("health").catch(() => null);
  if (!found?.document?.endpoint) return;
  const { healthy, endpoint } = found.document;
  const state = endpoint.status === "InService" ? "in service" : `endpoint ${endpoint.status}`;
  place.replaceChildren(
    el("span", { class: healthy ? "dot good" : "dot bad", "aria-hidden": "true" }),
    `Version ${schema.model_version} · ${state}`,
  );
}

async function copy(text) {
  const said = find("copied");
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = "Copied; set TOKEN in your shell.";
  } catch {
    said.textContent = "The browser did not allow it.";
  }
  setTimeout(() => (said.textContent = ""), 4000);
}

start();
