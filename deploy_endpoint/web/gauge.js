// A half circle that fills with the risk; a tick marks the model's threshold.

import { svg } from "./dom.js";

const CENTRE = 110;
const RADIUS = 90;

export function gauge(score, threshold) {
  const arc = { d: `M ${CENTRE - RADIUS} ${CENTRE} A ${RADIUS} ${RADIUS} 0 0 1 ${CENTRE + RADIUS} ${CENTRE}`, pathLength: 100 };
  const filled = svg("path", { ...arc, class: "filled" });
  filled.style.setProperty("--filled", String(Math.max(0.5, score * 100)));
  const [x1, y1] = point(threshold, RADIUS - 15);
  const [x2, y2] = point(threshold, RADIUS + 15);
  return svg(
    "svg",
    { viewBox: "0 0 220 124", class: "gauge", "aria-hidden": "true" },
    svg("path", { ...arc, class: "track" }),
    filled,
    svg("line", { x1, y1, x2, y2, class: "tick" }),
  );
}

function point(share, radius) {
  const angle = Math.PI * (1 - share);
  return [CENTRE + radius * Math.cos(angle), CENTRE - radius * Math.sin(angle)];
}
