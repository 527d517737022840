// Comma-separated values, with quotes where they are needed.

/** Give the fields of all lines; empty lines at both ends do not count. */
export function parse(text) {
  const rows = [];
  let row = [];
  let field = "";
  let quoted = false;
  const source = text.replace(/^\ufeff/, "").replace(/\r\n/g, "\n").replace(/^\n+|\n+$/g, "");
  for (let place = 0; place < source.length; place += 1) {
    const character = source[place];
    if (quoted) {
      if (character !== '"') field += character;
      else if (source[place + 1] === '"') field += source[(place += 1)];
      else quoted = false;
    } else if (character === '"' && field === "") quoted = true;
    else if (character === ",") {
      row.push(field);
      field = "";
    } else if (character === "\n") {
      rows.push([...row, field]);
      row = [];
      field = "";
    } else field += character;
  }
  rows.push([...row, field]);
  return rows;
}

/** Write rows of texts. */
export function write(rows) {
  return rows.map((row) => row.map(quote).join(",") + "\n").join("");
}

/** Split a file into names and rows, as the API does: a first line that names a column is a header. */
export function split(text, names) {
  const rows = parse(text);
  const first = rows[0].map((field) => field.trim());
  return first.some((field) => names.includes(field))
    ? { header: first, rows: rows.slice(1) }
    : { header: names, rows };
}

function quote(field) {
  return /[",\n\r]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
