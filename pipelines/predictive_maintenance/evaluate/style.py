"""The report's style sheet."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark;
  --page: #f4f5f7; --card: #ffffff; --ink: #17202b; --soft: #5b6878; --line: #dfe3e8;
  --main: #1f5fd6; --wash: #1f5fd614; --bad: #c8401a; --bad-wash: #c8401a14; --good: #1a7f4b;
  --good-wash: #1a7f4b14; --shade: 0 1px 2px #10182814; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f141a; --card: #171e26; --ink: #e7ecf2; --soft: #98a5b5; --line: #2a3440;
  --main: #6ea1ff; --wash: #6ea1ff1f; --bad: #ff8a5c; --bad-wash: #ff8a5c1f; --good: #58c78b;
  --good-wash: #58c78b1f; --shade: none; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 20px 56px; }
header p, figcaption, .tile p, footer, .lead { color: var(--soft); }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.02em; }
h2 { font-size: 19px; margin: 44px 0 4px; letter-spacing: -.01em; }
.lead { margin: 0 0 14px; max-width: 72ch; }
code { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.card, .tile, figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  box-shadow: var(--shade); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin-top: 26px; }
.tile { padding: 16px 18px; }
.tile h3 { margin: 0; font-size: 13px; font-weight: 600; color: var(--soft); }
.tile b { display: block; font-size: 36px; line-height: 1.25; letter-spacing: -.03em;
  font-variant-numeric: tabular-nums; }
.tile p { margin: 4px 0 0; font-size: 14px; line-height: 1.4; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; }
.pair + .pair { margin-top: 14px; }
figure { margin: 0; padding: 16px 18px 14px; min-width: 0; display: flex;
  flex-direction: column; }
figure h3 { margin: 0 0 8px; font-size: 15px; }
figcaption { font-size: 14px; margin-top: 8px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
svg .note { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--line); } .axis { stroke: var(--soft); }
.guess { fill: none; stroke: var(--soft); stroke-dasharray: 4 4; }
.line { fill: none; stroke: var(--main); stroke-width: 2.5; stroke-linejoin: round; }
.area { fill: var(--wash); } .mark { fill: var(--card); stroke: var(--bad); stroke-width: 3; }
.cut { stroke: var(--ink); stroke-dasharray: 3 3; }
.healthy { fill: var(--main); } .failing { fill: var(--bad); } .dot { fill: var(--main); }
.whisker { stroke: var(--main); stroke-width: 1.5; opacity: .55; }
.matrix { display: grid; grid-template-columns: auto 1fr 1fr; gap: 8px; font-size: 14px;
  flex: 1; grid-template-rows: auto 1fr 1fr; }
.matrix span { align-self: center; color: var(--soft); }
.matrix span.top { text-align: center; }
.cell { border-radius: 8px; padding: 14px 8px; text-align: center; line-height: 1.3;
  display: grid; align-content: center; }
.cell b { display: block; font-size: 32px; font-variant-numeric: tabular-nums; }
.right { background: var(--good-wash); } .right b { color: var(--good); }
.wrong { background: var(--bad-wash); } .wrong b { color: var(--bad); }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 4px; }
.key.up { background: var(--main); } .key.down { background: var(--bad); }
.bars { display: grid; flex: 1; align-content: space-evenly; align-items: center; font-size: 14px;
  grid-template-columns: auto 1fr auto; gap: 7px 12px; }
.bars i { display: block; height: 12px; border-radius: 3px; background: var(--main);
  min-width: 2px; }
.bars em { font-style: normal; color: var(--soft); font-variant-numeric: tabular-nums; }
.card { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; white-space: nowrap; }
th, td { padding: 9px 14px; text-align: right; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; font-size: 13px; white-space: normal;
  vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
.tag { border-radius: 99px; padding: 2px 10px; font-size: 13px; font-weight: 600;
  color: var(--bad); background: var(--bad-wash); }
.tag.quiet { color: var(--main); background: var(--wash); }
footer { margin-top: 44px; border-top: 1px solid var(--line); padding-top: 16px; font-size: 14px; }
@media (max-width: 860px) { .tiles { grid-template-columns: 1fr 1fr; }
  .pair { grid-template-columns: 1fr; } }
@media (max-width: 480px) { main { padding: 24px 14px 40px; } h1 { font-size: 25px; }
  .tile { padding: 12px 14px; } .tile b { font-size: 29px; } figure { padding: 14px 12px; }
  svg text { font-size: 13.5px; } .matrix { gap: 6px; font-size: 13px; } }
@media print { body { background: none; } .card, .tile, figure { break-inside: avoid; } }
"""
