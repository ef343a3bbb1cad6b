"use strict";
// The words around the diagram: the verdict, the legend, an event's details, the keys.

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function showVerdict(view, turn) {
  const { page } = view;
  const box = document.getElementById("verdict");
  box.replaceChildren();
  const finding = page.findings[view.finding];
  const some = (verdict) => page.verdicts.some((chip) => chip.verdict === verdict);
  const good = some("pass") && !some("unknown");
  box.className = finding || some("fail") ? "bad" : good ? "good" : "";
  if (!finding) {
    box.append(element("h2", {}, noFinding(page)));
    if (page.command) box.append(reproduce(page.command));
    return;
  }
  if (page.findings.length > 1) {
    const back = element("button", { title: "p", "aria-label": "previous finding" }, "‹");
    const on = element("button", { title: "n", "aria-label": "next finding" }, "›");
    back.addEventListener("click", () => turn(-1));
    on.addEventListener("click", () => turn(1));
    const text = `finding ${view.finding + 1} of ${page.findings.length}`;
    const label = element("span", { class: "faint" }, text);
    box.append(element("div", { class: "turn" }, label, back, on));
  }
  box.append(element("h2", {},
    element("strong", {}, `✗ ${finding.invariant} is violated. `),
    element("span", {}, finding.meaning)));
  const facts = [["Expected", finding.expected], ["Found", finding.found]];
  facts.push(["Where", finding.place]);
  const last = page.events[finding.lines[finding.lines.length - 1]];
  if (last) facts.push(["At", `${seconds(last.line.t_ns)} s`]);
  const list = element("dl", {});
  if (page.command) facts.push(["Reproduce", page.command]);
  for (const [name, text] of facts) {
    if (!text) continue;
    const value = name === "Reproduce" ? reproduce(text) : text;
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  }
  box.append(list);
}

function reproduce(command) {
  const code = element("code", { title: "reproduces this run; click to copy" }, command);
  code.addEventListener("click", () => navigator.clipboard?.writeText(command));
  return code;
}

function noFinding(page) {
  const unknown = page.verdicts.filter((chip) => chip.verdict === "unknown").length;
  const all = page.verdicts.length;
  if (all === 0) return "No violation is marked in this run; it was not judged here.";
  const violated = page.verdicts.some((chip) => chip.verdict === "fail");
  if (violated) return "An invariant is violated, but no line of this run is marked for it.";
  const excused = page.verdicts.filter((chip) => chip.verdict === "excused").length;
  if (unknown > 0) return `No violation was found, but ${unknown} of ${all} could not be judged.`;
  if (excused === 0) return `✓ All ${all} invariants held.`;
  return `✓ ${all - excused} invariants held; a fault of this run excuses the other ${excused}.`;
}

function showChips(page) {
  const row = document.getElementById("chips");
  const signs = { pass: "✓", fail: "✗", unknown: "?", excused: "~" };
  for (const chip of page.verdicts) {
    const title = `${chip.meaning} ${chip.text}`;
    const text = `${signs[chip.verdict]} ${chip.invariant}`;
    row.append(element("span", { class: chip.verdict, title }, text));
  }
}

function showLegend(view) {
  for (const sign of document.querySelectorAll("#legend [data-kind]")) {
    sign.hidden = !view.page.bars.some((bar) => bar.kind === sign.dataset.kind);
  }
  const epochs = [...view.epochs].slice(-4);
  if (epochs.length === 0) return;
  const some = view.epochs.size > epochs.length;
  const row = element("span", {}, some ? "colour = epoch, newest:" : "colour = epoch:");
  for (const [epoch, place] of epochs) {
    row.append(element("b", { style: `color: var(--e${place % 6})` }, String(epoch)));
  }
  document.getElementById("legend").prepend(row);
}

function showTip(view, index, x, y) {
  const tip = document.getElementById("tip");
  if (index < 0) {
    tip.hidden = true;
    return;
  }
  const event = view.page.events[index];
  const where = `${seconds(event.line.t_ns)} s at ${event.line.node}, event ${index + 1}`;
  tip.replaceChildren(
    element("h3", {}, `${event.actor}: ${event.text}`),
    element("div", { class: "faint" }, where),
    ...event.faults.map((fault) => element("div", { class: "met" }, `met the fault ${fault}`)),
    element("pre", {}, JSON.stringify(event.line, readable, 1)));
  tip.hidden = false;
  const size = tip.getBoundingClientRect();
  const below = y + 18 + size.height < innerHeight ? y + 18 : Math.max(8, y - size.height - 14);
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - size.width - 26))}px`;
  tip.style.top = `${below}px`;
}

// A record inside a text is shown as what it is.
function readable(key, value) {
  if (key !== "text" || typeof value !== "string" || !value.startsWith("{")) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

function showKeys() {
  const keys = [
    ["j k", "next, previous event that has a row"],
    ["n p", "next, previous finding"],
    ["f", "only what led to the finding, or everything"],
    ["/", "search in all events; Enter and Shift+Enter go on"],
    ["+ −", "more, less room for time between events"],
    ["Esc", "let go of the event; a click pins it"],
    ["?", "these keys"],
  ];
  const dialog = document.getElementById("keys");
  const table = element("table", {});
  for (const [key, text] of keys) {
    const row = element("tr", {}, element("td", {}), element("td", {}, text));
    for (const one of key.split(" ")) row.firstChild.append(element("kbd", {}, one), " ");
    table.append(row);
  }
  dialog.replaceChildren(element("h2", {}, "Keys"), table, element("p", {},
    "Time runs downward. Stretches in which only routine happens are squeezed into one line that "
    + "says how long they were. An arrow is a message; point at anything to see all of it."));
  dialog.showModal();
}
