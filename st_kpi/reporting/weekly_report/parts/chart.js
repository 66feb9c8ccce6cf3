"use strict";
// The line of a KPI with the band of the usual, as SVG; paths by d3-shape.

const SIZE = { width: 260, height: 64, edge: 5 };

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function chart(kpi, rollup, week, span) {
  const points = series(kpi, rollup, week, span);
  const known = points.filter((point) => point.value !== null);
  const band = usual(points);
  const levels = [...known.map((point) => point.value), ...(band ? [band.low, band.high] : [])];
  const figure = element("figure", { class: "chart" });
  if (known.length < 2) {
    figure.append(element("p", { class: "quiet" }, "No line: fewer than two weeks have a value."));
    return figure;
  }
  const [low, high] = [Math.min(...levels), Math.max(...levels)];
  const x = (place) => SIZE.edge + (place / (points.length - 1)) * (SIZE.width - 2 * SIZE.edge);
  const y = (value) => SIZE.height - SIZE.edge - ((value - low) / (high - low || 1)) * (SIZE.height - 2 * SIZE.edge);
  const drawing = svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": chartText(kpi, points, band) });
  if (band) {
    const area = d3.area().x((place) => x(place)).y0(() => y(band.low)).y1(() => y(band.high));
    drawing.append(svg("path", { class: "band", d: area([0, points.length - 1]) }));
  }
  const line = d3.line().defined((point) => point.value !== null).x((_, place) => x(place)).y((point) => y(point.value));
  const ran = points.map((point) => (point.runs ? { ...point, value: null } : point));
  drawing.append(svg("path", { class: "line", d: line(ran) ?? "" }));
  points.forEach((point, place) => drawPoint(drawing, kpi, rollup, point, place, points, x, y));
  const [from, to] = [points[0], points[points.length - 1]].map((point) => dayText(review.weeks[point.index], { month: "short", day: "numeric", year: "numeric" }));
  const caption = element("figcaption", { "aria-hidden": "true" }, element("span", {}, from), element("span", {}, `${short(kpi, low)} to ${short(kpi, high)}`), element("span", {}, to));
  figure.append(drawing, caption);
  return figure;
}

// Where there is no room for every digit.
function short(kpi, value) {
  return kpi.unit === "percent" || Math.abs(value) < 100000 ? shown(kpi, String(value)) : FORMATS.compact.format(value);
}

function drawPoint(drawing, kpi, rollup, point, place, points, x, y) {
  if (point.value === null) return;
  const day = dayText(review.weeks[point.index], { month: "short", day: "numeric", year: "numeric" });
  const title = svg("title", {}, `Week of ${day}: ${shown(kpi, valueOf(kpi, rollup, point.index))}`);
  const [left, top] = [x(place), y(point.value)];
  if (point.runs) {
    const before = points[place - 1];
    if (before && before.value !== null) drawing.append(svg("path", { class: "running", d: `M${x(place - 1)},${y(before.value)}L${left},${top}` }));
  }
  if (reportedOf(kpi, rollup, point.index)) drawing.append(svg("path", { class: "restated", d: `M${left},${top - 4}l4,4l-4,4l-4,-4z` }));
  else if (place === points.length - 1) drawing.append(svg("circle", { class: point.runs ? "now runs" : "now", cx: left, cy: top, r: 3 }));
  drawing.append(svg("rect", { class: "touch", x: left - 3, y: 0, width: 6, height: SIZE.height }, title));
}

function chartText(kpi, points, band) {
  const values = points.filter((point) => point.value !== null).map((point) => point.value);
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => shown(kpi, String(value)));
  const often = band ? `, usually ${shown(kpi, String(band.low))} to ${shown(kpi, String(band.high))}` : "";
  return `${kpi.title} of ${values.length} weeks, from ${low} to ${high}${often}`;
}
