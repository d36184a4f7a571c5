// The dashboard: asks for api/overview once a second and writes what it says into the page. All that came over the wire is set as text,
// never as markup.

import { chart } from "./charts.js";
import { by, el } from "./elements.js";

const EVERY_MS = 1000, PICTURE_MS = 200, HISTORY = 120;
const STAGES = ["age", "preprocess", "inference", "postprocess"];
const GRADES = { ok: "good", degraded: "poor", failed: "bad" };
const cards = new Map();

const ms = (value) => value === null || value === undefined ? "–" : value >= 100 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`;
const mebibytes = (value) => value === null || value === undefined ? "unknown" : `${value} MiB`;
const ago = (seconds) => seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;

class Card {
  constructor(name) {
    this.name = name;
    this.history = [];
    this.last = null;
    this.image = el("img", { alt: `what ${name} sees` });
    this.veil = el("div", { className: "veil", text: "" });
    this.view = el("div", { className: "view" });
    this.title = el("h3", { text: name });
    this.state = el("span", { className: "badge" });
    this.model = el("div", { className: "soft" });
    this.why = el("div", { className: "why" });
    this.answer = el("div", { className: "answer" });
    this.figures = el("div", { className: "figures" });
    this.stack = el("div", { className: "stack", role: "img" });
    this.legend = el("div", { className: "legend" });
    this.curve = el("div");
    this.drops = el("div", { className: "soft" });
    this.element = el("article", { className: "pipeline" }, this.view, el("div", { className: "inside" },
      el("div", { className: "top" }, this.title, this.state), this.model, this.why, this.answer, this.figures, this.stack, this.legend,
      this.curve, this.drops));
    this.element.dataset.pipeline = name;
    this.isLooking = false;
  }

  show(told) {
    const isUp = told.state === "running" && told.source_state === "live";
    this.element.classList.toggle("is-down", !isUp);
    this.state.textContent = told.state === "running" ? told.source_state : told.state;
    this.state.className = `badge ${isUp ? "good" : told.state === "paused" ? "poor" : "bad"}`;
    const ref = told.model;
    this.model.textContent = ref ? `${ref.name} ${ref.version} · ${ref.variant} on ${ref.accelerator} (${ref.runtime}) · ${told.source}` : told.source;
    this.why.textContent = told.reason;
    this.answer.textContent = told.answer || "no answer yet";
    this.measure(told);
    this.bar(told.latency_ms);
    this.scores(told);
    const drops = Object.entries(told.drops).filter(([, count]) => count > 0).map(([cause, count]) => `${count} ${cause}`);
    this.drops.textContent = drops.length ? `dropped: ${drops.join(", ")}` : "nothing dropped";
    this.look(told, isUp);
  }

  measure(told) {
    const now = performance.now() / 1000;
    const rate = this.last && now > this.last.at ? Math.max(0, told.results - this.last.results) / (now - this.last.at) : null;
    this.last = { at: now, results: told.results };
    if (rate !== null) this.history.push([now, rate]);
    this.history = this.history.slice(-HISTORY);
    const recent = this.history.slice(-5).map(([, value]) => value);
    const mean = recent.length ? recent.reduce((sum, value) => sum + value, 0) / recent.length : null;
    const rows = [
      [mean === null ? "–" : `${mean.toFixed(1)}/s`, "results"], [ms(told.p95_ms), "p95 to result"],
      [told.age_s === null ? "–" : `${ago(told.age_s)} ago`, "last result"], [String(told.unknown), "unknown"],
    ];
    this.figures.replaceChildren(...rows.map(([value, name]) => el("div", {}, el("b", { text: value }), el("span", { text: name }))));
  }

  bar(latency) {
    const times = STAGES.map((stage) => latency[stage]?.p50 ?? 0), whole = times.reduce((sum, time) => sum + time, 0) || 1;
    this.stack.replaceChildren(...STAGES.map((stage, index) => {
      const part = el("div", { className: stage, title: `${stage} ${ms(times[index])}` });
      part.style.width = `${100 * times[index] / whole}%`;
      return part;
    }));
    this.legend.replaceChildren(...STAGES.map((stage, index) =>
      el("span", {}, el("i", { className: stage }), `${stage} ${ms(times[index])}`)));
  }

  scores(told) {
    const points = told.scores.map(([age, score]) => [-age, score]);
    const limits = told.scores.filter(([, , limit]) => limit !== null).map(([age, , limit]) => [-age, limit]);
    const isSensor = told.kind === "sensor";
    const curve = isSensor ? chart([points], { limits: limits.length ? [limits] : [], floor: 0, label: `score of ${this.name}` })
      : chart([this.history], { floor: 0, label: `results a second of ${this.name}` });
    this.curve.replaceChildren(el("div", { className: "soft", text: isSensor ? "score and its limit" : "results a second, last two minutes" }), curve);
  }

  // One picture after the other: the next is asked for when the last is here, and only while the page is seen.
  look(told, isUp) {
    this.veil.textContent = isUp ? "" : (told.reason || `${told.source} is ${told.source_state}`);
    this.veil.hidden = isUp;
    if (this.isLooking) return;
    this.isLooking = true;
    if (told.kind === "picture") {
      this.view.replaceChildren(this.image, this.veil);
      this.image.onload = () => {
        this.image.dataset.frames = Number(this.image.dataset.frames || 0) + 1;
        this.image.dataset.width = this.image.naturalWidth;
        this.again(PICTURE_MS);
      };
      this.image.onerror = () => this.again(2000);
      this.next = () => { this.image.src = `api/pipelines/${encodeURIComponent(this.name)}/picture?at=${Date.now()}`; };
    } else {
      this.plot = el("div");
      this.view.replaceChildren(this.plot, this.veil);
      this.next = () => this.window();
    }
    this.next();
  }

  again(afterMs) {
    setTimeout(() => document.hidden ? this.again(1000) : this.next(), afterMs);
  }

  async window() {
    try {
      const answer = await fetch(`api/pipelines/${encodeURIComponent(this.name)}/window`);
      if (answer.ok) {
        const { channels } = await answer.json();
        const curves = channels.slice(0, 4).map((channel) => channel.map((value, index) => [index, value]));
        this.plot.replaceChildren(chart(curves, { high: true, label: `latest window of ${this.name}` }));
      }
    } catch { /* the next look tells what is wrong */ }
    this.again(1000);
  }
}

function showPipelines(pipelines) {
  const names = new Set(pipelines.map((one) => one.name));
  for (const [name, card] of cards) if (!names.has(name)) { card.element.remove(); cards.delete(name); }
  for (const told of pipelines) {
    let card = cards.get(told.name);
    if (!card) {
      cards.set(told.name, card = new Card(told.name));
      by("pipelines").append(card.element);
    }
    card.show(told);
  }
}

function showHead(told) {
  by("device").textContent = told.device;
  document.title = `${told.device} · edged`;
  by("about").textContent = `edged ${told.version} · ${told.at.slice(0, 19).replace("T", " ")} UTC`;
  badge("grade", told.health.state, GRADES[told.health.state]);
  badge("online", told.online ? "broker connected" : "broker away", told.online ? "good" : "poor");
  const { enabled, level, reason } = told.governor;
  by("governor").hidden = !enabled || level === "calm";
  badge("governor", `pressure: ${level}`, level === "critical" ? "bad" : "poor");
  by("governor").title = reason || "";
}

function badge(id, text, className) {
  by(id).textContent = text;
  by(id).className = `badge ${className || ""}`;
}

function showReasons(reasons) {
  by("reasons").hidden = reasons.length === 0;
  by("reasons").replaceChildren(...reasons.map((one) => el("div", { className: "reason" },
    el("b", { text: one.component }), one.message, ...(one.remedy ? [el("p", { text: `What to do: ${one.remedy}` })] : []))));
}

function showEvents(pipelines) {
  const events = pipelines.flatMap((one) => one.events.map((event) => ({ ...event, pipeline: one.name })));
  events.sort((one, other) => one.ago_s - other.ago_s);
  const rows = events.slice(0, 40).map((event) => el("li", {},
    el("span", { className: "soft", text: `${ago(event.ago_s)} ago` }), el("span", { text: `${event.pipeline}: ${event.rule} ${event.phase}` }),
    el("p", { text: event.saw })));
  by("events").replaceChildren(...(rows.length ? rows : [el("li", {}, el("span"), el("span", { className: "soft", text: "none yet" }))]));
}

function showBox(told) {
  const { hardware = {}, profile = "" } = told.inventory;
  const { absent = {}, evidence = {} } = hardware;
  const int8 = (hardware.cpu?.int8 || []).join(" ") || (absent["cpu.int8"] ? "int8 unknown" : "no int8 instructions");
  const none = absent.accelerators && !evidence.accelerators ? `unknown: ${absent.accelerators}` : "none found";
  const rows = [
    ["board", hardware.board ?? "unknown"], ["profile", profile],
    ["processors", hardware.cpu ? `${hardware.cpu.online ?? "unknown"} (${int8})` : "–"],
    ["memory", hardware.memory_mb ? mebibytes(hardware.memory_mb.total) : "–"],
    ["accelerators", (hardware.accelerators || []).map((one) => `${one.name || one.kind}: ${one.state}`).join("; ") || none],
    ["to the fleet", `${told.outbox.pending} waiting, ${told.outbox.acknowledged} delivered`],
  ];
  const list = el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]));
  by("box").replaceChildren(list);
}

function showModels(told) {
  const open = new Set([...by("models").querySelectorAll("details[open]")].map((one) => one.dataset.model));
  const rows = told.models.map((one) => el("tr", {}, ...[one.name, one.active?.version ?? "–", one.previous?.version ?? "–", one.desired?.version ?? "–",
    one.state, one.reason || ""].map((text) => el("td", { text }))));
  const table = el("div", { className: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...["model", "runs", "before", "ordered", "state", ""].map((text) => el("th", { text })))), el("tbody", {}, ...rows)));
  const ladders = (told.inventory.models || []).map((ladder) => {
    const key = `${ladder.model} ${ladder.pipelines}`;
    const made = el("details", {}, el("summary", { text: `${ladder.model} ${ladder.version}: the ladder (${(ladder.pipelines || []).join(", ")})` }),
      el("div", { className: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...["variant", "on", "p50", "memory", "why"].map((text) => el("th", { text })))),
        el("tbody", {}, ...ladder.variants.map(rung)))));
    made.dataset.model = key;
    made.open = open.has(key);
    return made;
  });
  by("models").replaceChildren(table, ...ladders);
}

function showUpdates(updates) {
  by("updates").hidden = updates.length === 0;
  by("updates").replaceChildren(...updates.map(update));
}

// How far an update is: a download by its bytes, a probation by its time and its results, whichever has farther to go.
function update(one) {
  const parts = [], megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1);
  let share = null;
  if (one.of_s !== undefined) {
    share = Math.min(one.of_s ? one.done_s / one.of_s : 1, one.of_results ? one.results / one.of_results : 1, 1);
    parts.push(`${ago(one.done_s)} of ${ago(one.of_s)}`, `${one.results} of at least ${one.of_results} results`);
  } else if (one.of) {
    share = one.done / one.of;
    parts.push(one.state === "downloading" ? `${megabytes(one.done)} of ${megabytes(one.of)} MB` : `${one.done} of ${one.of} frames`);
  } else if (one.reason) parts.push(one.reason);
  const percent = share === null ? "" : ` ${Math.floor(100 * share)} %`;
  const bar = el("progress", share === null ? {} : { max: 1, value: share });
  bar.setAttribute("aria-label", `${one.model}: ${one.state}`);
  const row = el("div", { className: "update" }, el("b", { text: `${one.model} ${one.version ?? ""}` }),
    el("span", { text: `${one.state}${percent}` }), bar, el("span", { className: "soft", text: parts.join(", ") }));
  row.dataset.update = one.model;
  return row;
}

function rung(one) {
  const figures = one.figures, threads = one.threads ? ` × ${one.threads}` : "";
  const cells = [one.id, `${one.accelerator}${threads}`, figures ? ms(figures.p50_ms) : "–", figures ? `${figures.peak_memory_mb.toFixed(0)} MiB` : "–", one.reason];
  return el("tr", { className: one.verdict === "chosen" ? "runs" : one.verdict }, ...cells.map((text) => el("td", { text })));
}

async function refresh() {
  try {
    const answer = await fetch("api/overview");
    if (!answer.ok) throw new Error(`the box answers ${answer.status}`);
    const told = await answer.json();
    showHead(told);
    showReasons(told.health.reasons);
    showUpdates(told.updates);
    showPipelines(told.pipelines);
    showEvents(told.pipelines);
    showBox(told);
    showModels(told);
  } catch (error) {
    badge("grade", "no answer", "bad");
    by("about").textContent = `the box does not answer: ${error.message}`;
  }
  setTimeout(refresh, document.hidden ? 5000 : EVERY_MS);
}

refresh();
