// A csv file's predictions: a summary, a table, a file to take away.

import { predictFile, Unauthorized } from "./client.js";
import { split, write } from "./csv.js";
import { el, find } from "./dom.js";
import { isOutside } from "./form.js";
import { count, percent, sentence, shortName, verdict } from "./words.js";

const PAGE_ROWS = 100;

export class FilePanel {
  /** `refused` is called when the token is not accepted. */
  constructor(schema, refused) {
    this.schema = schema;
    this.refused = refused;
    this.place = find("table");
    const drop = find("drop");
    const choose = find("choose");
    const { bytes, rows } = schema.limits;
    find("drop-hint").textContent =
      `Columns in any order if the first line names them. ` +
      `At most ${count(rows, "row", "rows")} and ${count(bytes / 1000, "kB", "kB")}.`;
    choose.addEventListener("change", () => {
      if (choose.files.length) this.read(choose.files[0]);
      choose.value = "";
    });
    for (const kind of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files.length) this.read(event.dataTransfer.files[0]);
      });
    }
  }

  async read(file) {
    const { bytes } = this.schema.limits;
    if (file.size > bytes) {
      const [limit, size] = [bytes, file.size].map((each) => count(Math.ceil(each / 1000), "kB", "kB"));
      this.fail(file.name, `The file may have at most ${limit}; it has ${size}.`, []);
      return;
    }
    this.place.replaceChildren(el("p", { class: "waiting" }, `Reading ${file.name} …`));
    try {
      const text = await file.text();
      this.show(file.name, text, await predictFile(text));
    } catch (error) {
      if (error instanceof Unauthorized) this.refused(error, () => this.read(file));
      else this.fail(file.name, error.message, error.findings ?? []);
    }
  }

  /** Say what is wrong with the file, each finding on a line of its own. */
  fail(name, message, findings) {
    const lines = findings.map((finding) => el("li", {}, sentence(finding.message)));
    const more = message.endsWith("And more.") ? [el("li", {}, "And more.")] : [];
    this.place.replaceChildren(
      el(
        "div",
        { class: "notice bad", role: "alert" },
        el("strong", {}, `${name} was not used`),
        lines.length ? el("ul", {}, ...lines, ...more) : el("p", {}, message),
      ),
    );
  }

  show(name, text, { document, milliseconds }) {
    const { header, rows } = split(text, this.schema.columns.map((column) => column.name));
    const lines = document.predictions.map((prediction, index) => ({
      number: index + 1, ...prediction, fields: rows[index],
    }));
    const ranked = [...lines].sort((one, other) => other.score - one.score);
    const reported = lines.filter((line) => line.predicted_label === 1).length;
    const order = el("input", { type: "checkbox", checked: true });
    const body = el("tbody");
    const more = el("button", { type: "button", class: "quiet" });
    let shown = 0;
    const add = () => {
      const next = (order.checked ? ranked : lines).slice(shown, shown + PAGE_ROWS);
      body.append(...next.map((line) => this.line(line, header)));
      shown += next.length;
      more.hidden = shown === lines.length;
      more.textContent = `Show more of ${count(lines.length, "row", "rows")}`;
    };
    order.addEventListener("change", () => {
      body.replaceChildren();
      shown = 0;
      add();
    });
    more.addEventListener("click", add);
    add();
    const parts = [
      el(
        "div",
        { class: "card summary" },
        el("div", {}, el("strong", {}, count(lines.length, "row", "rows")), el("span", {}, name)),
        el(
          "div",
          { class: reported ? "high" : "low" },
          el("strong", {}, count(reported, "row", "rows")),
          el("span", {}, verdict(this.schema.label, 1).toLowerCase()),
        ),
        el("div", {}, el("strong", {}, percent(ranked[0].score)), el("span", {}, "highest risk")),
        el("div", {}, el("strong", {}, `${Math.round(milliseconds)} ms`), el("span", {}, `version ${document.model_version}`)),
      ),
      el(
        "div",
        { class: "tools" },
        el("label", { class: "check" }, order, "Highest risk first"),
        el("button", { type: "button", class: "main", onclick: () => download(name, header, lines) }, "Download with scores"),
      ),
      this.notes(document.warnings),
      el(
        "div",
        { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Table of results" },
        el("table", {}, this.head(), body),
      ),
      more,
    ];
    this.place.replaceChildren(...parts.filter(Boolean));
  }

  notes(warnings) {
    const unused = warnings.filter((warning) => warning.column && warning.row === null);
    const outside = warnings.some((warning) => warning.row !== null);
    const notes = [];
    if (outside) notes.push("Marked values lie outside the training data: take those scores with care.");
    if (unused.length) notes.push(`Not used: ${unused.map((each) => each.column).join(", ")}.`);
    return notes.length ? el("p", { class: "notice careful" }, notes.join(" ")) : null;
  }

  head() {
    const names = this.schema.columns.map((column) =>
      el("th", { scope: "col" }, shortName(column), column.unit ? el("small", {}, column.unit) : ""),
    );
    const fixed = ["Row", "Risk", "Expected"].map((name) => el("th", { scope: "col" }, name));
    return el("thead", {}, el("tr", {}, ...fixed, ...names));
  }

  line({ number, score, predicted_label: label, fields }, header) {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", String(score));
    const values = this.schema.columns.map((column) => {
      const text = fields[header.indexOf(column.name)] ?? "";
      const far = column.kind !== "category" && isOutside(column, Number(text));
      return el("td", { class: far ? "far" : "", title: far ? "Outside the training data" : null }, text.trim());
    });
    return el(
      "tr",
      { class: label === 1 ? "high" : "low" },
      el("th", { scope: "row" }, String(number)),
      el("td", { class: "risk" }, el("span", {}, percent(score)), bar),
      el("td", {}, label === 1 ? this.schema.label.toLowerCase() : "none"),
      ...values,
    );
  }
}

function download(name, header, lines) {
  const rows = lines.map((line) => [...line.fields, String(line.score), String(line.predicted_label)]);
  const text = write([[...header, "score", "predicted_label"], ...rows]);
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = el("a", { href: url, download: `${name.replace(/\.csv$/i, "")}-scores.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
