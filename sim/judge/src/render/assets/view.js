"use strict";
// What is looked at: scrolling, choosing, searching, and the strip on the right.

const page = JSON.parse(document.getElementById("data").textContent);
const scroller = document.getElementById("scroll");
const canvas = document.getElementById("canvas");
const map = document.getElementById("map");
const view = {
  page, ctx: canvas.getContext("2d"), ratio: 1, width: 0, height: 0, top: 0,
  placed: null, cols: null, colors: null,
  messages: new Map(), epochs: new Map(), callouts: new Map(),
  against: new Map(), links: [], begins: new Set(),
  focus: null,
  finding: page.findings.length > 0 ? 0 : -1, faded: page.findings.length > 0,
  selected: -1, journey: new Set(), matches: new Set(), scale: 14, fits: new Map(),
  waiting: false, pinned: false,
};

function start() {
  view.colors = readColors();
  const begun = new Set(page.bars.filter((bar) => bar.kind === "epoch").map((bar) => bar.epoch));
  for (const bar of page.bars) if (bar.kind === "epoch") view.begins.add(bar.from);
  [...begun].sort((a, b) => a - b).forEach((epoch, place) => view.epochs.set(epoch, place));
  for (const finding of page.findings) {
    if (finding.lines.length === 0) continue;
    const last = finding.lines[finding.lines.length - 1];
    for (const against of finding.against) {
      view.against.set(against, "◄ contradicted below");
      view.links.push([last, against]);
    }
    const found = finding.expected
      ? `expected ${finding.expected}, found ${finding.found}` : finding.found;
    view.callouts.set(last, `✗ ${finding.invariant}: ${found}`);
  }
  indexMessages();
  const replicas = page.lanes.filter((lane) => lane.role === "replica").length;
  const end = page.events.length > 0 ? page.events[page.events.length - 1].line.t_ns : 0;
  const events = page.events.length.toLocaleString("en");
  document.getElementById("size").textContent =
    `${events} events, ${span(end)}, ${plural(replicas, "replica")}`;
  showVerdict(view, turn);
  showChips(page);
  showLegend(view);
  listen();
  resize();
  goToFinding();
}

// Which events belong to the same message, so that all of it lights up.
function indexMessages() {
  page.events.forEach(({ line }, index) => {
    // A watch goes on for long: one change that it shows, or should have, is none of its answers.
    if (typeof line.message !== "number" || line.event === "watched" || line.change) return;
    if (!view.messages.has(line.message)) view.messages.set(line.message, []);
    view.messages.get(line.message).push(index);
  });
}

function place() {
  const finding = page.findings[view.finding];
  view.focus = view.faded && finding ? new Set(finding.past) : null;
  const marked = new Set([...view.callouts.keys(), ...view.against.keys()]);
  const placed = layout(page, view.focus, marked, view.callouts, view.scale);
  placed.bars = page.bars.map((bar) => {
    const y0 = bar.from === 0 ? 0 : placed.y[bar.from];
    let y1 = bar.to === null ? placed.height : placed.y[bar.to];
    if (bar.until_ns !== null) y1 = Math.min(y1, yOfTime(page, placed, bar.until_ns));
    return { ...bar, y0, y1 };
  });
  const arrows = page.arrows.map((arrow) => {
    const [y0, y1] = [placed.y[arrow.from], placed.y[arrow.to]];
    const effect = (view.messages.get(page.events[arrow.to].line.message) || [])
      .find((index) => view.callouts.has(index));
    return { ...arrow, y0, y1, effect: effect ?? -1, long: y1 - y0 > 800 };
  });
  placed.arrows = arrows;
  placed.long = arrows.filter((arrow) => arrow.long);
  view.placed = placed;
  document.getElementById("space").style.height = `${Math.max(placed.height, view.height)}px`;
  const button = document.getElementById("fade");
  button.setAttribute("aria-pressed", String(Boolean(view.focus)));
  button.hidden = page.findings.length === 0;
  paintMap();
  repaint();
}

function resize() {
  const box = scroller.getBoundingClientRect();
  view.ratio = window.devicePixelRatio || 1;
  [view.width, view.height] = [box.width, box.height];
  canvas.width = Math.round(box.width * view.ratio);
  canvas.height = Math.round(box.height * view.ratio);
  canvas.style.width = `${box.width}px`;
  canvas.style.height = `${box.height}px`;
  map.style.top = `${box.top}px`;
  map.style.height = `${box.height}px`;
  map.width = Math.round(18 * view.ratio);
  map.height = Math.round(box.height * view.ratio);
  view.fits.clear();
  view.cols = columns(page, box.width);
  place();
}

function repaint() {
  if (view.waiting) return;
  view.waiting = true;
  requestAnimationFrame(() => {
    view.waiting = false;
    view.top = scroller.scrollTop;
    paint(view);
    paintMap();
  });
}

// The whole run on a strip: faults, absences, findings, matches, and the part in view.
function paintMap() {
  const ctx = map.getContext("2d");
  const { placed, colors } = view;
  const share = view.height / Math.max(placed.height, view.height);
  ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  ctx.fillStyle = colors.panel;
  ctx.fillRect(0, 0, 18, view.height);
  const kinds = { epoch: [1, 4], fault: [6, 4], frozen: [11, 3], down: [11, 3] };
  for (const bar of placed.bars) {
    const kind = kinds[bar.kind];
    if (!kind) continue;
    ctx.fillStyle = bar.kind === "epoch" ? epochColor(view, bar.epoch, colors.life)
      : bar.kind === "fault" ? colors.fault : colors.hatch;
    ctx.fillRect(kind[0], bar.y0 * share, kind[1], Math.max(1, (bar.y1 - bar.y0) * share));
  }
  ctx.fillStyle = colors.ink;
  for (const index of view.matches) ctx.fillRect(13, placed.y[index] * share - 1, 5, 2);
  ctx.fillStyle = colors.red;
  for (const index of view.callouts.keys()) ctx.fillRect(0, placed.y[index] * share - 2, 18, 4);
  ctx.strokeStyle = colors.ink;
  ctx.strokeRect(0.5, scroller.scrollTop * share + 0.5, 17, view.height * share - 1);
}

function goToFinding() {
  const finding = page.findings[view.finding];
  if (!finding || finding.lines.length === 0) return;
  const y = view.placed.y[finding.lines[finding.lines.length - 1]];
  scroller.scrollTop = y - view.height * 0.84;
  repaint();
}

function turn(step) {
  if (page.findings.length === 0) return;
  view.finding = (view.finding + step + page.findings.length) % page.findings.length;
  showVerdict(view, turn);
  resize();
  goToFinding();
}

// Keeps what stands at the middle of the view where it is, whatever the new scale.
function replace(change) {
  const middle = view.selected >= 0 ? view.selected : eventNear(view.top + view.height / 2);
  const offset = middle >= 0 ? view.placed.y[middle] - scroller.scrollTop : 0;
  change();
  place();
  if (middle >= 0) scroller.scrollTop = view.placed.y[middle] - offset;
}

function eventNear(y) {
  const { rows } = view.placed;
  const row = firstAtLeast(rows.length, (at) => view.placed.y[rows[at]] >= y);
  return rows.length === 0 ? -1 : rows[Math.min(row, rows.length - 1)];
}

function choose(index) {
  view.selected = index;
  const message = index >= 0 ? page.events[index].line.message : undefined;
  view.journey = new Set(view.messages.get(message) || []);
}

// Shows an event; a pinned one stays when the pointer goes on.
function point(index, x, y, pinned = false) {
  choose(index);
  view.pinned = pinned;
  document.getElementById("tip").classList.toggle("pinned", pinned);
  showTip(view, index, x, y);
  repaint();
}

function step(by) {
  const { rows, y } = view.placed;
  if (rows.length === 0) return;
  let row = by > 0 ? firstAtLeast(rows.length, (at) => y[rows[at]] >= scroller.scrollTop + TOP) : 0;
  if (view.selected >= 0) {
    const here = firstAtLeast(rows.length, (at) => rows[at] >= view.selected);
    row = by > 0 ? here + (rows[here] === view.selected ? 1 : 0) : here - 1;
  }
  reveal(rows[Math.max(0, Math.min(rows.length - 1, row))]);
}

function reveal(index) {
  const y = view.placed.y[index];
  if (y < scroller.scrollTop + 60 || y > scroller.scrollTop + view.height - 60) {
    scroller.scrollTop = y - view.height / 2;
  }
  const box = scroller.getBoundingClientRect();
  point(index, view.cols.text + 40, box.top + y - scroller.scrollTop, true);
}

// The event under the pointer: a row's text, or the nearest sign.
function eventAt(x, y) {
  const { placed, cols } = view;
  if (y < TOP - 18) return -1;
  const down = y + scroller.scrollTop;
  if (x >= cols.text - 10) {
    const index = eventNear(down - ROW / 2);
    return index >= 0 && Math.abs(placed.y[index] - down) <= ROW / 2 ? index : -1;
  }
  const from = firstAtLeast(placed.y.length, (index) => placed.y[index] >= down - 9);
  let [best, distance] = [-1, 12];
  for (let index = from; index < placed.y.length && placed.y[index] <= down + 9; index += 1) {
    const event = page.events[index];
    const off = Math.hypot(cols.lanes[event.lane].x - x, placed.y[index] - down)
      - event.level;
    if (off < distance) [best, distance] = [index, off];
  }
  return best;
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  view.texts = view.texts || page.events.map((event) =>
    `${event.actor} ${event.text} ${JSON.stringify(event.line)}`.toLowerCase());
  view.matches = new Set();
  if (wanted) view.texts.forEach((one, index) => one.includes(wanted) && view.matches.add(index));
  document.getElementById("matches").textContent = wanted ? `${view.matches.size} found` : "";
  repaint();
}

function nextMatch(by) {
  const all = [...view.matches];
  if (all.length === 0) return;
  const after = all.findIndex((index) => index > view.selected);
  let next = by > 0 ? Math.max(after, 0) : all.findLastIndex((index) => index < view.selected);
  if (next < 0) next = all.length - 1;
  reveal(all[next]);
}

const zoom = (factor) => replace(() => {
  view.scale = Math.max(1, Math.min(20000, view.scale * factor));
});
const fade = () => replace(() => {
  view.faded = !view.faded;
});

function press(event) {
  const typing = event.target.tagName === "INPUT";
  if (event.key === "Escape") {
    point(-1, 0, 0);
    if (typing) event.target.blur();
  }
  if (typing && event.key === "Enter") nextMatch(event.shiftKey ? -1 : 1);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    j: () => step(1), k: () => step(-1), n: () => turn(1), p: () => turn(-1), f: fade,
    "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(0.5), "?": showKeys,
    "/": () => document.getElementById("search").focus(),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

function listen() {
  const on = (id, name, act) => document.getElementById(id).addEventListener(name, act);
  scroller.addEventListener("scroll", repaint, { passive: true });
  addEventListener("resize", resize);
  addEventListener("keydown", press);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    view.colors = readColors();
    place();
  });
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const index = eventAt(event.clientX - box.left, event.clientY - box.top);
    if (index === view.selected || view.pinned) return;
    point(index, event.clientX, event.clientY);
  });
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const index = eventAt(event.clientX - box.left, event.clientY - box.top);
    point(index, event.clientX, event.clientY, index >= 0);
  });
  const pull = (event) => {
    if (event.buttons === 0 && event.type !== "click") return;
    const box = map.getBoundingClientRect();
    const share = (event.clientY - box.top) / box.height;
    scroller.scrollTop = share * view.placed.height - view.height / 2;
  };
  map.addEventListener("pointermove", pull);
  map.addEventListener("click", pull);
  on("search", "input", (event) => search(event.target.value));
  on("fade", "click", fade);
  on("in", "click", () => zoom(2));
  on("out", "click", () => zoom(0.5));
  on("help", "click", showKeys);
  scroller.focus({ preventScroll: true });
}

start();
