"use strict";
// Paints the part of the diagram that is in view, layer by layer: what lasts, what flies, what
// happens, what is said about it.

const FONT = '"Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif';
const FADED = 0.16;
const KEY_MAX = 600;

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "panel", "ink", "soft", "line", "stripe", "gap", "red", "red-paper",
    "mark", "hatch", "fault", "life", "flight"];
  const colors = Object.fromEntries(names.map((name) => [name, color(name)]));
  colors.epochs = [0, 1, 2, 3, 4, 5].map((index) => color(`e${index}`));
  return colors;
}

function epochColor(view, epoch, otherwise) {
  const place = epoch === null ? undefined : view.epochs.get(epoch);
  return place === undefined ? otherwise : view.colors.epochs[place % view.colors.epochs.length];
}

function paint(view) {
  const { ctx, width, height, top, placed, cols, colors } = view;
  ctx.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  ctx.fillStyle = colors.paper;
  ctx.fillRect(0, 0, width, height);
  cols.lanes.forEach((lane, index) => {
    if (index % 2 === 1) return;
    ctx.fillStyle = colors.stripe;
    ctx.fillRect(lane.left, 0, lane.width, height);
  });
  ctx.save();
  ctx.translate(0, -top);
  paintRowGrounds(view);
  paintLives(view);
  for (const bar of placed.bars) if (bar.y1 > top && bar.y0 < top + height) paintBar(view, bar);
  for (const gap of placed.gaps) {
    if (gap.y + gap.height > top && gap.y < top + height) paintGap(view, gap);
  }
  paintArrows(view);
  for (const bar of placed.bars) if (bar.y1 > top && bar.y0 < top + height) labelBar(view, bar);
  for (const [finding, against] of view.links) paintLink(view, against, finding);
  paintEvents(view);
  ctx.restore();
  paintHead(view);
}

function visibleRange(view) {
  const { y } = view.placed;
  const from = firstAtLeast(y.length, (index) => y[index] >= view.top - ROW);
  const to = firstAtLeast(y.length, (index) => y[index] > view.top + view.height + ROW);
  return [from, to];
}

function visibleRows(view) {
  const { rows, y } = view.placed;
  const from = firstAtLeast(rows.length, (row) => y[rows[row]] >= view.top - CALLOUT - ROW);
  const to = firstAtLeast(rows.length, (row) => y[rows[row]] > view.top + view.height + ROW);
  return rows.slice(from, to);
}

function paintRowGrounds(view) {
  const { ctx, colors, placed, cols } = view;
  for (const index of visibleRows(view)) {
    const y = placed.y[index];
    const finding = view.callouts.has(index);
    const color = finding || view.against.has(index) ? colors["red-paper"]
      : index === view.selected ? colors.gap : view.matches.has(index) ? colors.mark : null;
    if (!color) continue;
    ctx.fillStyle = color;
    ctx.fillRect(0, y - ROW / 2, cols.right, ROW + (finding ? CALLOUT : 0));
  }
}

function paintLives(view) {
  const { ctx, colors, cols, top, height } = view;
  ctx.lineWidth = 1;
  for (const lane of cols.lanes) {
    ctx.strokeStyle = colors.life;
    ctx.beginPath();
    ctx.moveTo(Math.round(lane.x) + 0.5, top);
    ctx.lineTo(Math.round(lane.x) + 0.5, top + height);
    ctx.stroke();
  }
}

function paintBar(view, bar) {
  const { ctx, colors, cols, top, height } = view;
  const lane = cols.lanes[bar.lane];
  const y0 = Math.max(bar.y0, top - 10);
  const y1 = Math.min(bar.y1, top + height + 10);
  const tall = Math.max(y1 - y0, 3);
  if (bar.kind === "belief") {
    ctx.fillStyle = epochColor(view, bar.epoch, colors.flight);
    ctx.fillRect(lane.x - 13, y0, 7, tall);
  } else if (bar.kind === "lease") {
    ctx.strokeStyle = colors.ink;
    ctx.lineWidth = 1.5;
    ctx.fillStyle = colors.paper;
    ctx.fillRect(lane.x + 6.5, y0, 6, tall);
    ctx.strokeRect(lane.x + 6.5, y0, 6, tall);
  } else if (bar.kind === "epoch") {
    ctx.fillStyle = epochColor(view, bar.epoch, colors.flight);
    ctx.fillRect(lane.x - 3.5, y0, 7, tall);
  } else if (bar.kind === "stake") {
    ctx.fillStyle = colors.fault;
    ctx.fillRect(lane.x - 13, y0, 5, tall);
  } else if (bar.kind === "key") {
    paintKey(view, bar, lane.x);
  } else if (bar.kind === "fault") {
    ctx.fillStyle = colors.fault;
    ctx.globalAlpha = 0.75;
    ctx.fillRect(lane.x - 4 + bar.slot * 9, y0, 8, tall);
    ctx.globalAlpha = 1;
  } else {
    hatch(view, lane.left + 5, y0, lane.width - 10, tall, bar.kind === "down");
  }
}

// A bracket from the write that took a key to the one that came too late.
function paintKey(view, bar, x) {
  const { ctx, colors } = view;
  ctx.strokeStyle = epochColor(view, bar.epoch, colors.soft);
  ctx.globalAlpha = !view.focus || view.focus.has(bar.to) ? 1 : FADED;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo(x - 5, bar.y0);
  ctx.lineTo(x - 12, bar.y0 + 4);
  // Of a long one only the ends: what is between has nothing to do with it.
  if (bar.y1 - bar.y0 > KEY_MAX) {
    ctx.lineTo(x - 12, bar.y0 + 20);
    ctx.moveTo(x - 12, bar.y1 - 20);
  }
  ctx.lineTo(x - 12, bar.y1 - 4);
  ctx.lineTo(x - 6, bar.y1);
  ctx.stroke();
  ctx.globalAlpha = 1;
}

// Stands still: stripes one way; does not run: crossed.
function hatch(view, x, y, wide, tall, crossed) {
  const { ctx, colors } = view;
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, wide, tall);
  ctx.clip();
  ctx.fillStyle = colors.gap;
  ctx.fillRect(x, y, wide, tall);
  ctx.strokeStyle = colors.hatch;
  ctx.globalAlpha = 0.55;
  ctx.lineWidth = 1;
  ctx.beginPath();
  // Stripes stand still while the page scrolls.
  const first = Math.floor((y - wide) / 8) * 8;
  for (let line = first; line < y + tall + wide; line += 8) {
    ctx.moveTo(x, line + wide);
    ctx.lineTo(x + wide, line);
    if (!crossed) continue;
    ctx.moveTo(x, line);
    ctx.lineTo(x + wide, line + wide);
  }
  ctx.stroke();
  ctx.restore();
}

function labelBar(view, bar) {
  const { ctx, colors, cols } = view;
  const lane = cols.lanes[bar.lane];
  ctx.font = `600 11px ${FONT}`;
  if (bar.kind === "epoch" && bar.y0 >= view.top) {
    ctx.fillStyle = epochColor(view, bar.epoch, colors.soft);
    ctx.textAlign = "left";
    const begins = view.page.events[bar.from];
    const key = begins.label ? `${begins.label} ` : "";
    const words = [`${key}epoch ${bar.epoch}`, `${key}e${bar.epoch}`];
    const room = lane.left + lane.width - lane.x - 10;
    const fits = ctx.measureText(words[0]).width <= room;
    ctx.fillText(fit(view, words[fits ? 0 : 1], room), lane.x + 9, bar.y0 + 4);
  }
  if (bar.kind !== "down" && bar.kind !== "frozen") return;
  const text = bar.kind === "down" ? "down" : "frozen";
  const x = lane.x;
  // Stays in view as long as its bar does.
  const y = Math.max(bar.y0, view.top + TOP) + 40;
  if (bar.y1 - bar.y0 < 60 || y > bar.y1 - 10) return;
  ctx.textAlign = "center";
  const wide = ctx.measureText(text).width + 8;
  ctx.fillStyle = colors.gap;
  ctx.fillRect(x - wide / 2, y - 10, wide, 14);
  ctx.fillStyle = colors.soft;
  ctx.fillText(text, x, y + 1);
}

function paintGap(view, gap) {
  const { ctx, colors, cols } = view;
  const y = gap.y + ROW / 2 + 1;
  const tall = Math.max(gap.height - ROW, GAP_HEIGHT - ROW) + 6;
  ctx.fillStyle = colors.paper;
  ctx.globalAlpha = 0.5;
  ctx.fillRect(cols.time, y, cols.text - cols.time - 14, tall);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = colors.line;
  ctx.lineWidth = 1;
  ctx.setLineDash([2, 3]);
  ctx.beginPath();
  ctx.moveTo(8, y + tall / 2);
  ctx.lineTo(cols.text - 4, y + tall / 2);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.fillStyle = colors.soft;
  ctx.font = `italic 12px ${FONT}`;
  ctx.textAlign = "left";
  ctx.fillText(`… ${gap.text} …`, cols.text, y + tall / 2 + 4);
}

function paintArrows(view) {
  const { placed, top, height } = view;
  const first = firstAtLeast(placed.arrows.length, (i) => placed.arrows[i].y0 >= top - 800);
  for (let index = first; index < placed.arrows.length; index += 1) {
    const arrow = placed.arrows[index];
    if (arrow.y0 > top + height) break;
    if (!arrow.long && arrow.y1 >= top) paintArrow(view, arrow);
  }
  for (const arrow of placed.long) {
    if (arrow.y0 <= top + height && arrow.y1 >= top) paintArrow(view, arrow);
  }
}

function paintArrow(view, arrow) {
  const { ctx, colors, cols } = view;
  const inFocus = !view.focus || (view.focus.has(arrow.from) && view.focus.has(arrow.to));
  const near = view.journey.has(arrow.from) && view.journey.has(arrow.to);
  if (arrow.noise && !near && !(view.focus && inFocus)) return;
  const watch = arrow.kind === "watch";
  const strength = { watch: 0.35, answer: 0.5 }[arrow.kind] || 0.9;
  ctx.globalAlpha = near ? 1 : inFocus ? strength : FADED / 2;
  const violated = view.callouts.has(arrow.effect) && inFocus;
  const color = violated ? colors.red : epochColor(view, arrow.epoch, colors.flight);
  ctx.strokeStyle = color;
  ctx.fillStyle = color;
  ctx.lineWidth = arrow.late ? 3 : near ? 2 : 1.2;
  ctx.setLineDash(arrow.lost ? [5, 4] : watch ? [1, 3] : []);
  const [x0, x1] = [cols.lanes[arrow.from_lane].x, cols.lanes[arrow.lane].x];
  const side = Math.sign(x1 - x0) || 1;
  const end = arrow.lost ? x0 + (x1 - x0) * 0.6 : x1 - side * 6;
  ctx.beginPath();
  ctx.moveTo(x0 + side * 3, arrow.y0);
  ctx.lineTo(end, arrow.y1);
  ctx.stroke();
  ctx.setLineDash([]);
  if (arrow.lost) cross(ctx, end, arrow.y1, 5);
  else head(ctx, x0, arrow.y0, end, arrow.y1, arrow.late ? 10 : 6);
  ctx.globalAlpha = 1;
}

// From what a finding stands against to the finding itself.
function paintLink(view, against, finding) {
  const { ctx, colors, cols, placed, page } = view;
  const x = cols.lanes[page.events[finding].lane].x;
  const from = cols.lanes[page.events[against].lane].x;
  ctx.strokeStyle = colors.red;
  ctx.lineWidth = 2;
  ctx.setLineDash([2, 3]);
  ctx.beginPath();
  ctx.moveTo(from, placed.y[against]);
  ctx.quadraticCurveTo(Math.min(x, from) - 26, (placed.y[against] + placed.y[finding]) / 2,
    x, placed.y[finding]);
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.beginPath();
  ctx.arc(from, placed.y[against], 8.5, 0, 7);
  ctx.stroke();
}

function head(ctx, x0, y0, x1, y1, size) {
  const angle = Math.atan2(y1 - y0, x1 - x0);
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x1 - size * Math.cos(angle - 0.45), y1 - size * Math.sin(angle - 0.45));
  ctx.lineTo(x1 - size * Math.cos(angle + 0.45), y1 - size * Math.sin(angle + 0.45));
  ctx.closePath();
  ctx.fill();
}

function cross(ctx, x, y, size) {
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(x - size, y - size);
  ctx.lineTo(x + size, y + size);
  ctx.moveTo(x - size, y + size);
  ctx.lineTo(x + size, y - size);
  ctx.stroke();
}

function paintEvents(view) {
  const { ctx, placed, cols, page } = view;
  const [from, to] = visibleRange(view);
  const signs = [];
  ctx.fillStyle = view.colors.life;
  for (let index = from; index < to; index += 1) {
    const event = page.events[index];
    const inFocus = !view.focus || view.focus.has(index);
    const near = index === view.selected || view.journey.has(index);
    const alpha = inFocus || near ? 1 : FADED;
    if (event.level > 0 || near || (view.focus && inFocus)) {
      signs.push([index, event, alpha]);
    } else {
      ctx.globalAlpha = alpha;
      ctx.fillRect(cols.lanes[event.lane].x - 3, placed.y[index], 7, 1);
    }
  }
  for (const [index, event, alpha] of signs) {
    ctx.globalAlpha = alpha;
    const lane = cols.lanes[event.lane];
    paintSign(view, index, event, lane.x, placed.y[index]);
    // Squeezed together, the labels of what is out of focus would cover the others.
    const near = index === view.selected || view.journey.has(index);
    const tells = event.level > 1 || view.callouts.has(index);
    if (event.label && (near || (tells && (!view.focus || view.focus.has(index))))) {
      paintLabel(view, index, event, lane);
    }
  }
  ctx.globalAlpha = 1;
  let lastTime = "";
  for (const index of visibleRows(view)) lastTime = paintRow(view, index, lastTime);
}

// What a store's event is about; where an epoch begins, its bar says so, too.
function paintLabel(view, index, event, lane) {
  const { ctx, colors, placed } = view;
  if (view.begins.has(index)) return;
  ctx.font = `11px ${FONT}`;
  ctx.textAlign = "left";
  ctx.fillStyle = event.tone === "refused" ? colors.soft : colors.ink;
  const room = lane.left + lane.width - lane.x - 10;
  ctx.fillText(fit(view, event.label, room), lane.x + 9, placed.y[index] + 4);
}

function paintSign(view, index, event, x, y) {
  const { ctx, colors } = view;
  const small = event.level < 2;
  const size = small ? 2.5 : 5;
  const tone = event.tone === "fault" ? colors.fault : event.tone === "lease" ? colors.ink
    : event.level < 2 ? colors.flight : colors.soft;
  ctx.fillStyle = epochColor(view, event.epoch, tone);
  ctx.strokeStyle = ctx.fillStyle;
  ctx.lineWidth = 2;
  if (view.callouts.has(index)) {
    ctx.fillStyle = colors.red;
    disc(ctx, x, y, 8);
    ctx.strokeStyle = colors.panel;
    cross(ctx, x, y, 3.5);
  } else if (event.tone === "refused" && !small) {
    disc(ctx, x, y, size + 1);
    ctx.fillStyle = colors.paper;
    disc(ctx, x, y, size - 1);
    ctx.beginPath();
    ctx.moveTo(x - 3.5, y + 3.5);
    ctx.lineTo(x + 3.5, y - 3.5);
    ctx.stroke();
  } else if (event.tone === "lease" && !small) {
    shape(ctx, [[x, y - 6], [x + 6, y], [x, y + 6], [x - 6, y]]);
  } else if (small && event.line.operation?.startsWith("sync")) {
    ctx.fillRect(x - 7, y - 1, 14, 2);
  } else if (event.tone === "fault") {
    shape(ctx, [[x, y - 6], [x + 6, y + 5], [x - 6, y + 5]]);
  } else {
    if (event.label && !small) ring(view, x, y, size + 2);
    disc(ctx, x, y, size);
  }
  if (index === view.selected) {
    ctx.strokeStyle = colors.ink;
    ctx.beginPath();
    ctx.arc(x, y, 10, 0, 7);
    ctx.stroke();
  }
}

// Sets a sign off from the bar on which it stands.
function ring(view, x, y, radius) {
  const { ctx, colors } = view;
  const fill = ctx.fillStyle;
  ctx.fillStyle = colors.paper;
  disc(ctx, x, y, radius);
  ctx.fillStyle = fill;
}

function disc(ctx, x, y, radius) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 7);
  ctx.fill();
}

function shape(ctx, points) {
  ctx.beginPath();
  points.forEach(([x, y], index) => (index ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
  ctx.closePath();
  ctx.fill();
}

function paintRow(view, index, lastTime) {
  const { ctx, colors, placed, cols, page } = view;
  const event = page.events[index];
  const y = placed.y[index] + 4.5;
  const time = seconds(event.line.t_ns);
  ctx.globalAlpha = !view.focus || view.focus.has(index) ? 1 : 0.45;
  ctx.font = `12px ${FONT}`;
  ctx.fillStyle = colors.soft;
  ctx.textAlign = "right";
  if (time !== lastTime) ctx.fillText(time, cols.time - 10, y);
  ctx.textAlign = "left";
  const red = view.callouts.get(index);
  const tag = epochColor(view, event.epoch, null);
  if (tag) {
    ctx.fillStyle = tag;
    ctx.fillRect(cols.text - 8, y - 11, 3, 14);
  }
  ctx.font = `600 13px ${FONT}`;
  ctx.fillStyle = red ? colors.red : colors.ink;
  const actor = fit(view, event.actor, 96);
  ctx.fillText(actor, cols.text, y);
  const x = cols.text + Math.max(62, ctx.measureText(actor).width + 10);
  const loud = event.tone === "fault" || event.tone === "odd" || red;
  ctx.font = `${loud ? 600 : 400} 13px ${FONT}`;
  const note = view.against.get(index);
  const room = cols.right - x - 8;
  const text = fit(view, event.text, note ? room - ctx.measureText(note).width - 12 : room);
  ctx.fillText(text, x, y);
  if (note) {
    const after = x + ctx.measureText(text).width + 12;
    ctx.fillStyle = colors.red;
    ctx.fillText(note, after, y);
  }
  if (red) {
    ctx.font = `600 13px ${FONT}`;
    ctx.fillText(fit(view, red, cols.right - cols.text - 8), cols.text, y + CALLOUT - 3);
  }
  ctx.globalAlpha = 1;
  return time;
}

// The longest beginning of a text that fits.
function fit(view, text, wide) {
  const key = `${view.ctx.font}|${Math.round(wide)}|${text}`;
  const known = view.fits.get(key);
  if (known !== undefined) return known;
  let fitted = text;
  if (view.ctx.measureText(text).width > wide) {
    const shown = firstAtLeast(text.length, (n) =>
      view.ctx.measureText(`${text.slice(0, n + 1)}…`).width > wide);
    fitted = `${text.slice(0, shown)}…`;
  }
  view.fits.set(key, fitted);
  return fitted;
}

function paintHead(view) {
  const { ctx, colors, cols, width } = view;
  ctx.fillStyle = colors.panel;
  ctx.fillRect(0, 0, width, 28);
  ctx.fillStyle = colors.line;
  ctx.fillRect(0, 28, width, 1);
  ctx.font = `600 12.5px ${FONT}`;
  ctx.fillStyle = colors.ink;
  ctx.textAlign = "center";
  for (const lane of cols.lanes) {
    ctx.fillText(fit(view, lane.name, lane.width - 2), lane.middle, 18);
  }
  ctx.fillStyle = colors.soft;
  ctx.textAlign = "right";
  ctx.fillText("time, s", cols.time - 10, 18);
  ctx.textAlign = "left";
  ctx.fillText("what happens", cols.text, 18);
}
