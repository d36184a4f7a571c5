// Curves as SVG: numbers in, an element out. Nothing here knows what the numbers are.

const SVG = "http://www.w3.org/2000/svg";

function node(name, attributes, children = []) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Draw curves over one another. Each is [[x, y], …]; y may be null, where the curve has a gap. A limit is a dashed curve, a mark of a kind
// an upright line at its x. What is drawn reaches from the first x to the last, or as `across` says.
export function chart(curves, { limits = [], high = false, floor = null, label = "", marks = [], across = null } = {}) {
  const all = [...curves, ...limits].flat().filter(([, y]) => y !== null);
  const made = node("svg", { class: high ? "chart high" : "chart", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img" });
  made.append(node("title", {}, [label]));
  if (all.length === 0) return made;
  const xs = across ?? all.map(([x]) => x), ys = all.map(([, y]) => y);
  const box = { x0: Math.min(...xs), x1: Math.max(...xs), y0: floor ?? Math.min(...ys), y1: Math.max(...ys) };
  if (box.x1 === box.x0) box.x1 += 1;
  if (box.y1 <= box.y0) box.y1 = box.y0 + 1;
  marks.forEach(({ x, kind }) => made.append(line([[x, box.y0], [x, box.y1]], box, `mark ${kind}`)));
  curves.forEach((curve, index) => made.append(line(curve, box, `curve c${index % 4}`)));
  limits.forEach((curve) => made.append(line(curve, box, "limit")));
  return made;
}

function line(curve, box, className) {
  let path = "", isDown = false;
  for (const [x, y] of curve) {
    if (y === null) { isDown = false; continue; }
    const across = 100 * (x - box.x0) / (box.x1 - box.x0), up = 96 - 92 * (y - box.y0) / (box.y1 - box.y0);
    path += `${isDown ? "L" : "M"}${across.toFixed(2)} ${up.toFixed(2)}`;
    isDown = true;
  }
  return node("path", { d: path, class: className });
}
