"use strict";
// Where things stand. Time runs downward, but not at one scale: an event that tells something gets
// a row of its own, and a stretch in which nothing but routine happens is squeezed into a marker.

const ROW = 21;
const MINOR = 4;
const GAP_NS = 2e9;
// So many rows may be left out without a marker.
const TELLING_MAX = 2;
const GAP_HEIGHT = 28;
const STRETCH_MAX = 420;
const CALLOUT = 24;
const TOP = 46;

// `focus` is a set of event indices to which the rows are limited, or null; `marked` events always
// have a row, those of `callouts` room for a second line.
function layout(page, focus, marked, callouts, pixelsPerSecond) {
  const events = page.events;
  const count = events.length;
  const y = new Float64Array(count);
  const rows = [];
  const gaps = [];
  let at = TOP;
  let before = -1;
  for (let index = 0; index < count; index += 1) {
    const row = marked.has(index) || hasRow(events[index], index, focus);
    if (!row && !isStop(events[index], index, focus)) continue;
    const least = row ? ROW : MINOR;
    at += stretch(page, y, gaps, before, index, at, least, focus, pixelsPerSecond);
    y[index] = at;
    if (row) rows.push(index);
    if (callouts.has(index)) at += CALLOUT;
    before = index;
  }
  at += stretch(page, y, gaps, before, count, at, 0, focus, pixelsPerSecond);
  return { y, rows, gaps, height: at + 40, focus };
}

// Events between which the scale is fixed; all others stand where their time puts them.
function isStop(event, index, focus) {
  return focus ? focus.has(index) : event.level > 0;
}

function hasRow(event, index, focus) {
  return event.level > 1 && (!focus || focus.has(index));
}

// The room between two stops; places what happened between them and notes a gap.
function stretch(page, y, gaps, before, index, at, least, focus, pixelsPerSecond) {
  const events = page.events;
  const start = before < 0 ? 0 : events[before].line.t_ns;
  const last = index < events.length ? index : events.length - 1;
  const end = last < 0 ? 0 : events[last].line.t_ns;
  const skipped = index - before - 1;
  const telling = focus ? countTelling(events, before, index) : 0;
  let height = least;
  if (end - start > GAP_NS || telling > TELLING_MAX) {
    height += GAP_HEIGHT;
    gaps.push({ y: at, height, text: gapText(events, before, index, end - start) });
  } else {
    const natural = ((end - start) / 1e9) * pixelsPerSecond;
    height = Math.max(height, Math.min(natural, STRETCH_MAX));
  }
  // The last pixels belong to the row of the stop itself.
  const room = Math.max(0, height - ROW / 2);
  for (let between = before + 1; skipped > 0 && between < index; between += 1) {
    const share = end > start ? (events[between].line.t_ns - start) / (end - start) : 0;
    y[between] = at + share * room;
  }
  return height;
}

function countTelling(events, before, index) {
  let telling = 0;
  for (let between = before + 1; between < index; between += 1) {
    if (events[between].level > 1) telling += 1;
  }
  return telling;
}

function gapText(events, before, index, ns) {
  const counts = new Map();
  for (let between = before + 1; between < index; between += 1) {
    const sort = events[between].level > 1 ? "other event" : events[between].sort;
    counts.set(sort, (counts.get(sort) || 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([sort, n]) => plural(n, sort));
  const shown = parts.slice(0, 4).join(", ");
  const quiet = [...counts.keys()].every((sort) => sort !== "other event");
  const what = parts.length === 0 ? "nothing" : (quiet ? "nothing but " : "") + shown;
  return `${span(ns)}   ${what}`;
}

function plural(number, noun) {
  if (number === 1) return `1 ${noun}`;
  return noun.endsWith("y") ? `${number} ${noun.slice(0, -1)}ies` : `${number} ${noun}s`;
}

function span(ns) {
  const ms = ns / 1e6;
  if (ms < 1) return `${Math.round(ns / 1e3)} µs`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.floor((ms / 1000) % 60)} s`;
}

function seconds(ns) {
  return (Math.floor(ns / 1e6) / 1000).toFixed(3);
}

// Where a moment stands that is no event's.
function yOfTime(page, placed, ns) {
  const events = page.events;
  const next = firstAtLeast(events.length, (index) => events[index].line.t_ns >= ns);
  if (next === 0) return TOP;
  if (next === events.length) return placed.height - 40;
  const [a, b] = [events[next - 1].line.t_ns, events[next].line.t_ns];
  const share = b > a ? (ns - a) / (b - a) : 0;
  return placed.y[next - 1] + share * (placed.y[next] - placed.y[next - 1]);
}

// Binary search: the first number below `count` for which `holds` is true, else `count`.
function firstAtLeast(count, holds) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

// Widths of the columns: time, lanes, text.
function columns(page, width) {
  const lanes = page.lanes.map((lane) => ({ ...lane, weight: laneWeight(lane) }));
  const weights = lanes.reduce((sum, lane) => sum + lane.weight, 0);
  const time = 66;
  const text = Math.max(360, Math.min(width * 0.52, width - time - weights * 62));
  const unit = Math.min(110, Math.max(34, (width - time - text) / Math.max(weights, 1)));
  let x = time;
  for (const lane of lanes) {
    lane.width = lane.weight * unit;
    lane.left = x;
    lane.middle = x + lane.width / 2;
    // Stores say beside each sign what it is about.
    lane.x = x + lane.width * (lane.role === "store" || lane.role === "disk" ? 0.3 : 0.5);
    x += lane.width;
  }
  return { time, lanes, text: x + 14, right: width };
}

function laneWeight(lane) {
  return { run: 0.5, nemesis: 0.85, users: 0.7, store: 1.5, disk: 1.5 }[lane.role] || 1;
}
