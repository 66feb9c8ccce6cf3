"use strict";
// The numbers of the page: what a cell is, how it compares, and what is usual.

const review = JSON.parse(document.getElementById("overview").textContent);
const weekIndex = new Map(review.weeks.map((week, index) => [week, index]));
const state = { rollup: review.rollups[0], week: review.chosen, span: 52 };
const A_YEAR = 52;

function cellOf(kpi, rollup, week) {
  if (week < 0) return null;
  return review.cells[kpi.name][review.rollups.indexOf(rollup)][week];
}

function valueOf(kpi, rollup, week) {
  const cell = cellOf(kpi, rollup, week);
  return cell === null ? null : valueOfParts(kpi, cell);
}

function valueOfParts(kpi, parts) {
  return kpi.kind === "ratio" ? ratio(parts[0], parts[1]) : parts[0];
}

// What was reported of a cell, where that is not what it is now; else nothing.
function reportedOf(kpi, rollup, week) {
  return review.reported[kpi.name]?.[review.rollups.indexOf(rollup)]?.[week];
}

// The last comparison of a number with ServiceTitan's report, if there was one.
function reconciledOf(kpi, rollup, week) {
  return review.reconciled.find((each) => each.kpi === kpi.name && each.rollup === rollup && each.week === review.weeks[week]);
}

function isOpen(week) {
  return week >= review.weeks.length - review.opened;
}

// The line: a number per week up to the chosen one, null where there is none.
function series(kpi, rollup, week, span) {
  const first = Math.max(0, week - span);
  const points = [];
  for (let index = first; index <= week; index += 1) {
    const value = valueOf(kpi, rollup, index);
    points.push({ index, value: value === null ? null : Number(value), runs: !review.over[index] });
  }
  return points;
}

// Eight of ten of the weeks before that are over; nothing where there are fewer than eight.
function usual(points) {
  const past = points.slice(0, -1).filter((point) => point.value !== null && !point.runs).map((point) => point.value);
  if (past.length < 8) return null;
  past.sort((a, b) => a - b);
  const at = (share) => {
    const place = share * (past.length - 1);
    const below = Math.floor(place);
    return past[below] + (place - below) * ((past[below + 1] ?? past[below]) - past[below]);
  };
  return { low: at(0.1), high: at(0.9) };
}

// A comparison in words: text, direction (1 up, -1 down, 0) and whether that is the better way.
function compared(kpi, rollup, week, weeksBefore) {
  const [now, before] = [valueOf(kpi, rollup, week), valueOf(kpi, rollup, week - weeksBefore)];
  if (now === null || before === null) return null;
  const change = billionths(now) - billionths(before);
  const direction = change > 0n ? 1 : change < 0n ? -1 : 0;
  let text;
  if (direction === 0) text = "as before";
  else if (kpi.unit === "percent") text = `${FORMATS.points.format(100 * Number(asText(change)))} points`;
  else if (billionths(before) > 0n) text = FORMATS.share.format(Number(asText(change)) / Number(before));
  else text = `from ${shown(kpi, before)}`;
  const better = direction === (kpi.better === "more" ? 1 : -1);
  return { text, direction, better, before: shown(kpi, before) };
}

function dayText(iso, options = { month: "short", day: "numeric" }) {
  return new Intl.DateTimeFormat(LOCALE, { ...options, timeZone: "UTC" }).format(new Date(`${iso}T00:00:00Z`));
}

function daysAfter(iso, days) {
  return new Date(Date.parse(`${iso}T00:00:00Z`) + days * 86400000).toISOString().slice(0, 10);
}

function rollupTitle(rollup) {
  return rollup === review.all ? "All rollups" : rollup;
}
