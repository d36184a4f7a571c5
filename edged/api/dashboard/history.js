// The panel of the past: asks for api/history, as the box's flight recorder kept it, and draws a chart a kind of curve over one axis of
// time, with what happened as lines. All that came over the wire is set as text, never as markup.

import { chart } from "./charts.js";
import { by, el } from "./elements.js";

const SPANS = { hour: { seconds: 3600, everyMs: 10_000 }, day: { seconds: 86_400, everyMs: 60_000 } };
const POINTS = 240, LISTED = 40;
const SIGNS = { start: "started", governor: "governor", model: "model", health: "health", broker: "broker" };
let span = "hour", due = null;

const short = (value) => value === undefined || value === null ? "–" : Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
const last = (values) => values.findLast((value) => value !== null);
const clock = (at) => `${at.slice(5, 10)} ${at.slice(11, 19)}`;

// A curve is drawn from zero when it comes near, and when it hardly moves: no molehill becomes a mountain.
function isFromZero({ mean, low, high }) {
  const known = (values) => values.filter((value) => value !== null);
  const least = Math.min(...known(low)), most = Math.max(...known(high));
  return least >= 0 && (least <= most / 2 || Math.max(...known(mean)) - Math.min(...known(mean)) < 0.05 * most);
}

function panels(told) {
  const kinds = new Map();
  for (const curve of told.curves) kinds.set(curve.name, [...(kinds.get(curve.name) || []), curve]);
  const from = Date.parse(told.from), step = told.step_s * 1000;
  const marks = told.marks.map((mark) => ({ x: (Date.parse(mark.at) - from) / step, kind: mark.kind }));
  return [...kinds].map(([name, curves]) => {
    const lines = curves.map((curve) => curve.mean.map((value, at) => [at + 0.5, value]));
    const names = curves.map((curve, at) => el("span", {}, ...(curve.pipeline ? [el("i", { className: `k${at % 4}` })] : []),
      `${curve.pipeline} ${short(last(curve.mean))} ${curve.unit}`.trim()));
    names.push(el("span", { text: `at most ${short(Math.max(...curves.flatMap((curve) => curve.high).filter((value) => value !== null)))}` }));
    const drawn = chart(lines, { floor: curves.some(isFromZero) ? 0 : null, label: `${name}, the last ${span}`, marks, across: [0, POINTS] });
    const element = el("div", { className: "past" }, el("h3", { text: name }), el("div", { className: "legend" }, ...names), drawn);
    element.dataset.curve = name;
    return element;
  });
}

function happened(marks) {
  const rows = marks.slice(-LISTED).reverse().map((mark) => el("li", {},
    el("span", { className: `sign ${mark.kind}`, text: SIGNS[mark.kind] || mark.kind }), el("span", { className: "soft", text: clock(mark.at) }), el("span", { text: mark.what })));
  return el("ol", { className: "happened" }, ...rows);
}

async function refresh() {
  clearTimeout(due);
  const asked = span;
  try {
    const answer = await fetch(`api/history?seconds=${SPANS[asked].seconds}&points=${POINTS}`);
    // A box that keeps no history has no such path.
    by("past").hidden = !answer.ok;
    if (answer.status === 404) return;
    const told = await answer.json();
    if (asked === span) {
      by("history").replaceChildren(el("div", { className: "pasts" }, ...panels(told)), happened(told.marks));
      by("history").dataset.span = asked;
    }
  } catch { /* the page's head tells that the box does not answer */ }
  due = setTimeout(later, SPANS[span].everyMs);
}

function later() {
  if (document.hidden) due = setTimeout(later, 1000);
  else refresh();
}

function choose(name) {
  span = name;
  for (const button of by("spans").children) button.setAttribute("aria-pressed", String(button.dataset.span === name));
  refresh();
}

for (const button of by("spans").children) button.addEventListener("click", () => choose(button.dataset.span));
refresh();
