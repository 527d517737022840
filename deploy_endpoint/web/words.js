// How numbers and names are put for a reader.

const ONE_DIGIT = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const PLAIN = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });

/** A probability as per cent; what rounds to none or all is not called so. */
export function percent(score) {
  if (score > 0 && score < 0.001) return "<\u00a00.1\u00a0%";
  if (score < 1 && score > 0.999) return ">\u00a099.9\u00a0%";
  return `${ONE_DIGIT.format(score * 100)}\u00a0%`;
}

export function count(number, one, many) {
  return `${PLAIN.format(number)} ${number === 1 ? one : many}`;
}

/** "250–350", "from 250", "up to 350"; nothing when there are no limits. */
export function span(low, high) {
  if (low === null) return high === null ? "" : `up to ${PLAIN.format(high)}`;
  return high === null ? `from ${PLAIN.format(low)}` : `${PLAIN.format(low)}–${PLAIN.format(high)}`;
}

/** A column's name without its unit, which stands elsewhere. */
export function shortName(column) {
  const unit = ` [${column.unit}]`;
  return column.unit && column.name.endsWith(unit) ? column.name.slice(0, -unit.length) : column.name;
}

export function sentence(text) {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** What a label means: 1 says that it is expected. */
export function verdict(label, predicted) {
  const name = label.toLowerCase();
  return predicted === 1 ? `${sentence(label).slice(0, -1)} expected` : `No ${name} expected`;
}
