"use strict";
// The page: what is chosen, drawn again when the choice changes.

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== "") node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function hidden(text) {
  return element("span", { class: "hidden" }, text);
}

const byId = (id) => document.getElementById(id);
const FIRST_MOVES = 10;
const sorting = { column: null, descending: true };

// ---- the choice

function fillChoices() {
  byId("rollup").append(...review.rollups.map((rollup) => element("option", { value: rollup }, rollupTitle(rollup))));
  for (let week = review.weeks.length - 1; isOpen(week) && week >= 0; week -= 1) {
    const note = review.over[week] ? "" : ", still running";
    byId("week").append(element("option", { value: week }, `${dayText(review.weeks[week], { dateStyle: "medium" })}${note}`));
  }
  byId("week").value = state.week;
  byId("choices").addEventListener("change", () => choose({ rollup: byId("rollup").value, week: Number(byId("week").value), span: Number(byId("span").value) }));
}

function choose(choice) {
  Object.assign(state, choice);
  byId("rollup").value = state.rollup;
  draw();
}

function draw() {
  const monday = review.weeks[state.week];
  const running = review.over[state.week] ? "" : " (still running)";
  byId("period").textContent = `${rollupTitle(state.rollup)}, ${dayText(monday, { weekday: "short", month: "short", day: "numeric" })} to ${dayText(daysAfter(monday, 6), { weekday: "short", month: "short", day: "numeric", year: "numeric" })}${running}`;
  byId("cards").replaceChildren(...review.kpis.map(card));
  drawTable();
}

// ---- the state of the data

function drawState() {
  const late = review.inputs.filter(([, until, optional]) => until === null && !optional).length;
  const oldest = review.inputs.find(([, until]) => until !== null);
  const inputs = element("details", {},
    element("summary", {}, late ? `${late} of ${review.inputs.length} inputs never read` : `${review.inputs.length} inputs, the oldest known until ${oldest ? oldest[1] : "–"}`),
    element("ul", {}, ...review.inputs.map(([entity, until, optional]) => element("li", {}, `${entity}: ${until ?? (optional ? "not available, and declared optional" : "never read")}`))));
  const differing = review.reconciled.filter((each) => each.differing).length;
  const compared = review.reconciled.length ? `${review.reconciled.length} numbers compared, ${differing ? `${differing} ${differing === 1 ? "differs" : "differ"}` : "none differs"}` : "not compared yet";
  const [holding, asked] = review.checks ?? [0, 0];
  const checks = review.checks ? `${holding} of ${asked} hold` : "not known";
  const lines = [
    ["As of", `${dayText(review.asOf, { dateStyle: "medium" })}`],
    ["All data until", review.knownUntil ? `${review.knownUntil} (${review.zone})` : "not known"],
    ["Inputs", inputs],
    ["Checks", holding < asked ? element("a", { href: "#h-person" }, checks) : checks],
    ["ServiceTitan’s reports", compared],
  ];
  byId("state").append(...lines.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

// ---- cards

function card(kpi) {
  const [rollup, week] = [state.rollup, state.week];
  const value = valueOf(kpi, rollup, week);
  const over = review.over[week];
  const title = element("button", { type: "button", class: "title", "aria-haspopup": "dialog" }, kpi.title, hidden(": definition"));
  title.addEventListener("click", () => openDefinition(kpi));
  const big = element("p", { class: "value" }, opener(kpi, rollup, week, value));
  const notes = [];
  if (!over) notes.push(element("span", { class: "tag" }, "still running"));
  if (reportedOf(kpi, rollup, week)) notes.push(element("span", { class: "tag" }, `◆ reported ${shown(kpi, valueOfParts(kpi, reportedOf(kpi, rollup, week)))}`));
  const report = reconciledOf(kpi, rollup, week);
  if (report) notes.push(element("span", { class: "tag" }, reportText(kpi, report, value)));
  const day = review.measured[kpi.name]?.[review.weeks[week]];
  if (kpi.kind === "snapshot") notes.push(...measuredNote(kpi, day));
  const comparisons = over || kpi.kind === "snapshot" ? [comparison(kpi, 1, "last week"), comparison(kpi, A_YEAR, "a year ago")] : [element("p", { class: "quiet" }, "Compared once the week is over.")];
  const labelled = `card-${kpi.name}`;
  title.id = labelled;
  return element("article", { class: over ? "card" : "card runs", "aria-labelledby": labelled }, element("h3", {}, title), big, element("p", { class: "notes" }, ...notes), ...comparisons, place(kpi), chart(kpi, rollup, week, state.span));
}

// What a comparison says of the number that is shown now, which may be another than the one compared.
function reportText(kpi, report, value) {
  if (report.here !== value) return `report was compared with ${shown(kpi, report.here)}`;
  return report.differing ? `≠ report, ${shown(kpi, report.there)}` : "✓ as in the report";
}

// The day of a snapshot; where the week was not measured, the newest day that was.
function measuredNote(kpi, day) {
  const say = (text) => element("span", { class: "quiet" }, text);
  const on = (iso) => dayText(iso, { weekday: "short", month: "short", day: "numeric" });
  if (day) return [say(`on ${on(day)}`)];
  const newest = Object.keys(review.measured[kpi.name] ?? {}).sort().pop();
  const value = newest === undefined ? null : valueOf(kpi, state.rollup, weekIndex.get(newest));
  if (value === null) return [say("not measured")];
  return [say(`not measured; on ${on(review.measured[kpi.name][newest])}:`), opener(kpi, state.rollup, weekIndex.get(newest), value)];
}

function comparison(kpi, weeksBefore, name) {
  const found = compared(kpi, state.rollup, state.week, weeksBefore);
  if (!found) return element("p", { class: "quiet" }, `– against ${name}`);
  const arrow = ["▼", "=", "▲"][found.direction + 1];
  const look = found.direction === 0 ? "" : found.better ? "good" : "bad";
  const judged = found.direction === 0 ? "" : found.better ? " (better)" : " (worse)";
  return element("p", { class: "comparison", title: `${name}: ${found.before}` }, element("span", { class: look }, `${arrow} ${found.text}`), hidden(judged), ` against ${name}`);
}

// Whether the value is as usual, in words: a band alone is seen by few.
function place(kpi) {
  const points = series(kpi, state.rollup, state.week, state.span);
  const now = points[points.length - 1];
  const band = usual(points);
  if (!band || now.value === null || now.runs) return element("p", { class: "quiet" }, "\u00a0");
  const word = now.value < band.low ? "Below" : now.value > band.high ? "Above" : "Within";
  return element("p", { class: "quiet" }, `${word} the usual, ${shown(kpi, String(band.low))} to ${shown(kpi, String(band.high))}`);
}

function opener(kpi, rollup, week, value) {
  if (!isOpen(week) || (cellOf(kpi, rollup, week) === null && !reportedOf(kpi, rollup, week))) return element("span", {}, shown(kpi, value));
  const button = element("button", { type: "button", class: "open", "aria-haspopup": "dialog", "data-kpi": kpi.name, "data-rollup": rollup }, shown(kpi, value), hidden(`, ${kpi.title} of ${rollupTitle(rollup)}: rows`));
  button.addEventListener("click", () => openCell(kpi, rollup, week));
  return button;
}

// ---- rollups side by side

function drawTable() {
  const each = review.rollups.filter((rollup) => rollup !== review.all && rollup !== review.unassigned);
  const ranks = new Map(review.kpis.map((kpi) => [kpi.name, extremes(kpi, each)]));
  const head = element("thead", {}, element("tr", {}, headCell(null, "Rollup"), ...review.kpis.map((kpi) => headCell(kpi, kpi.title))));
  const body = element("tbody", {}, ...sorted(each).map((rollup) => tableRow(rollup, ranks)));
  const foot = element("tfoot", {}, ...[review.unassigned, review.all].filter((rollup) => review.rollups.includes(rollup)).map((rollup) => tableRow(rollup, ranks)));
  byId("table").replaceChildren(element("caption", {}, `Week of ${dayText(review.weeks[state.week], { dateStyle: "medium" })}`), head, body, foot);
}

function headCell(kpi, text) {
  const name = kpi ? kpi.name : null;
  const active = sorting.column === name && (name !== null || sorting.used);
  const order = active ? (sorting.descending ? "descending" : "ascending") : "none";
  const button = element("button", { type: "button", class: "sort" }, text, element("span", { "aria-hidden": "true" }, active ? (sorting.descending ? " ↓" : " ↑") : ""));
  button.addEventListener("click", () => {
    const descending = active ? !sorting.descending : name !== null;
    Object.assign(sorting, { column: name, descending, used: true });
    drawTable();
    byId("table").querySelector(`th[data-sort="${name}"] button`).focus();
  });
  return element("th", { scope: "col", "aria-sort": order, "data-sort": String(name) }, button);
}

// What has no value is last in either order.
function sorted(rollups) {
  if (!sorting.used) return rollups;
  const sign = sorting.descending ? -1 : 1;
  if (sorting.column === null) return [...rollups].sort((a, b) => sign * a.localeCompare(b));
  const kpi = review.kpis.find((each) => each.name === sorting.column);
  const level = new Map(rollups.map((rollup) => [rollup, valueOf(kpi, rollup, state.week)]));
  return [...rollups].sort((a, b) => {
    const [left, right] = [level.get(a), level.get(b)];
    if (left === null || right === null) return (left === null) - (right === null);
    return sign * (Number(left) - Number(right));
  });
}

// The best and the worst value of three rollups or more, where fewer than half of them have it.
function extremes(kpi, rollups) {
  const values = rollups.map((rollup) => valueOf(kpi, rollup, state.week)).filter((value) => value !== null).map(Number);
  if (values.length < 3) return {};
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) return {};
  const telling = (level) => (2 * values.filter((value) => value === level).length < values.length ? level : null);
  const [best, worst] = kpi.better === "more" ? [high, low] : [low, high];
  return { best: telling(best), worst: telling(worst) };
}

function tableRow(rollup, ranks) {
  const apart = rollup === review.all || rollup === review.unassigned;
  const name = element("button", { type: "button", class: "pick" }, rollupTitle(rollup), hidden(": show its cards"));
  name.addEventListener("click", () => { choose({ rollup }); byId("h-cards").scrollIntoView(); });
  const cells = review.kpis.map((kpi) => {
    const value = valueOf(kpi, rollup, state.week);
    const rank = ranks.get(kpi.name);
    const marks = [];
    if (reportedOf(kpi, rollup, state.week)) marks.push(element("span", { class: "mark", title: "restated" }, "◆", hidden("restated")));
    if (!apart && value !== null && Number(value) === rank.best) marks.push(element("span", { class: "best" }, "▲", hidden("best")));
    if (!apart && value !== null && Number(value) === rank.worst) marks.push(element("span", { class: "worst" }, "▼", hidden("worst")));
    return element("td", { class: "number" }, ...marks, opener(kpi, rollup, state.week, value));
  });
  return element("tr", { class: rollup === state.rollup ? "chosen" : "" }, element("th", { scope: "row" }, name), ...cells);
}

// ---- what moved, and what needs a person

function drawMatters() {
  drawAccepted();
  if (!review.matters.length) { byId("matters").prepend(element("p", { class: "quiet" }, "Nothing: every check holds, and no record was refused.")); return; }
  byId("matters").prepend(element("ul", { class: "matters" }, ...review.matters.map((matter) => element("li", {},
    element("p", {}, element("strong", {}, matter.severe ? "Stops numbers: " : ""), matter.what), element("p", { class: "quiet" }, ...withCommands(matter.detail)),
    ...(matter.command ? [element("p", {}, element("code", {}, matter.command))] : [])))));
}

function drawAccepted() {
  if (!review.accepted.length) return;
  byId("matters").append(element("details", {}, element("summary", {}, `${review.accepted.length} accepted as right`),
    element("ul", {}, ...review.accepted.map((line) => element("li", {}, line)))));
}

// What a sentence puts between backticks is to be typed.
function withCommands(text) {
  return text.split("`").map((piece, place) => (place % 2 ? element("code", {}, piece) : piece));
}

function simpleTable(label, columns, rows) {
  return element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, element("table", { class: "rows" },
    element("thead", {}, element("tr", {}, ...columns.map(([name, look = ""]) => element("th", { scope: "col", class: look }, name)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((text, place) => element("td", { class: columns[place][1] ?? "" }, text)))))));
}

function titleOf(name) {
  return review.kpis.find((kpi) => kpi.name === name)?.title ?? name;
}

function drawMoved() {
  const { since, changes, more, weeks } = review.moved;
  const from = `since Monday ${dayText(since)}`;
  if (!changes.length) { byId("moved").append(element("p", { class: "quiet" }, `No closed week was restated ${from}.`)); return; }
  const table = (listed) => simpleTable("What moved", [["Week of"], ["Cause"], ["By how much", "long"]], listed.map(([week, cause, moves]) => [week, cause, movesText(moves)]));
  byId("moved").append(element("p", {}, `${WHOLE.format(weeks)} closed ${weeks === 1 ? "week was" : "weeks were"} restated ${from}, ${review.rollups[0] === review.all ? "all rollups together" : review.rollups[0]}:`), table(changes.slice(0, FIRST_MOVES)));
  const rest = changes.slice(FIRST_MOVES);
  if (rest.length) byId("moved").append(element("details", {}, element("summary", {}, `${WHOLE.format(rest.length + more)} more, of older weeks`), table(rest)));
  if (more) byId("moved").append(element("p", { class: "quiet" }, ...withCommands(`${WHOLE.format(more)} of them are not listed: \`st-kpi diff\` has them all.`)));
}

// Of a ratio both parts, above and below the line.
function movesText(moves) {
  const texts = review.kpis.flatMap((kpi) => {
    const of = new Map(moves.filter(([name]) => name === kpi.name).map(([, part, amount]) => [part, amount]));
    if (!of.size) return [];
    const parts = kpi.kind === "ratio" ? ["numerator", "denominator"].map((part) => signed(of.get(part) ?? "0")) : [signed(of.get("value"))];
    return [`${kpi.title} ${parts.join(" / ")}`];
  });
  return texts.join("; ");
}

function drawReconciled() {
  if (!review.reconciled.length) { byId("reconciled").append(element("p", { class: "quiet" }, "These weeks were not compared yet with ServiceTitan’s reports.")); return; }
  byId("reconciled").append(simpleTable("Comparisons", [["Week of"], ["KPI"], ["Rollup"], ["Report"], ["Compared"], ["There", "number"], ["Here", "number"], ["Rows that differ", "number"]],
    review.reconciled.map((each) => [each.week, titleOf(each.kpi), rollupTitle(each.rollup), each.report, each.at, valueText(each, each.there), valueText(each, each.here), WHOLE.format(each.differing)])));
}

function valueText(each, value) {
  const kpi = review.kpis.find(({ name }) => name === each.kpi);
  if (value === null) return "–";
  return kpi.unit === "percent" ? shown(kpi, value) : amountText(value);
}

// ---- files

function csvText() {
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [["Week of", "Rollup", ...review.kpis.map((kpi) => kpi.title)]];
  for (const rollup of review.rollups) lines.push([review.weeks[state.week], rollupTitle(rollup), ...review.kpis.map((kpi) => valueOf(kpi, rollup, state.week) ?? "")]);
  return lines.map((line) => line.map(quoted).join(",") + "\r\n").join("");
}

function download(name, type, content) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

byId("csv").addEventListener("click", () => download(`weekly-review-${review.weeks[state.week]}.csv`, "text/csv", `\ufeff${csvText()}`));
byId("xlsx").addEventListener("click", () => download(`weekly-review-${review.asOf}.xlsx`, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", bytesOf(byId("workbook").textContent)));
byId("close").addEventListener("click", () => byId("opened").close());

fillChoices();
drawState();
draw();
drawMatters();
drawMoved();
drawReconciled();
document.documentElement.classList.add("drawn");
