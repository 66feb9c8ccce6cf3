"use strict";
// What opens: the rows behind a number with their sum, and the definition of a KPI.

const FIRST_ROWS = 300;
const unpacked = new Map();

// The rows of a week, decompressed when first asked for.
function weekBehind(week) {
  const monday = review.weeks[week];
  if (!unpacked.has(monday)) {
    const packed = document.querySelector(`script[data-week="${monday}"]`).textContent;
    const stream = new Blob([bytesOf(packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(monday, new Response(stream).json().then(({ rows, ...rest }) => ({ rows: { ...rows, jobs: summed(rows.job[0]), ids: summed(rows.id[0]) }, ...rest })));
  }
  return unpacked.get(monday);
}

// Ids out of their distances from one another.
function summed(steps) {
  let id = 0;
  return steps.map((step) => (id += step));
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

// The rows of one number; what belongs to no rollup is in the total of none.
async function rowsBehind(kpi, rollup, week) {
  const { rows } = await weekBehind(week);
  const named = (column, place) => rows[column][0][rows[column][1][place]];
  const found = [];
  for (let place = 0; place < rows.amount.length; place += 1) {
    const of = named("rollup_name", place);
    const belongs = rollup === review.all ? of !== review.unassigned : of === rollup;
    if (!belongs || named("kpi", place) !== kpi.name) continue;
    found.push({
      day: daysAfter(review.weeks[week], rows.day[place]), rollup: of, part: named("part", place),
      job: rows.jobs[rows.job[1][place]] ?? null, number: rows.number[rows.job[1][place]] ?? null, unit: named("business_unit", place), amount: rows.amount[place],
      reason: named("reason", place), source: named("source_entity", place), id: rows.ids[rows.id[1][place]] ?? null,
    });
  }
  return found;
}

function sumsOf(kpi, rows) {
  const of = (part) => sumOf(rows.filter((row) => (row.part === "denominator") === (part === "denominator")).map((row) => row.amount));
  return kpi.kind === "ratio" ? [of("numerator"), of("denominator")] : [of("value")];
}

function partsText(kpi, parts) {
  if (kpi.kind !== "ratio") return amountText(parts[0]);
  return `${amountText(parts[0])} / ${amountText(parts[1])} = ${shown(kpi, ratio(parts[0], parts[1]))}`;
}

function openDialog(title, ...content) {
  document.getElementById("opened-title").textContent = title;
  const body = document.getElementById("opened-body");
  body.replaceChildren(...content);
  const dialog = document.getElementById("opened");
  if (!dialog.open) dialog.showModal();
  body.scrollTop = 0;
}

async function openCell(kpi, rollup, week) {
  const behind = await weekBehind(week);
  const rows = await rowsBehind(kpi, rollup, week);
  const cell = partsNow(kpi, rollup, week);
  const day = review.measured[kpi.name]?.[review.weeks[week]];
  const content = [element("p", { class: "sum" }, `${partsText(kpi, cell)}, from ${WHOLE.format(rows.length)} ${rows.length === 1 ? "row" : "rows"}${day ? `, measured on ${day}` : ""}.`)];
  const sums = sumsOf(kpi, rows);
  if (sums.join() !== cell.map((part) => asText(billionths(part))).join()) content.push(element("p", { class: "alarm" }, `The rows add up to ${partsText(kpi, sums)}, which is not the number shown.`));
  content.push(...whyChanged(kpi, rollup, week, behind.changes));
  content.push(rowsTable(kpi, rollup, rows, sums), ...leftOut(kpi, rollup, behind.leftOut));
  openDialog(`${kpi.title} of ${rollupTitle(rollup)}, week of ${dayText(review.weeks[week], { dateStyle: "medium" })}`, ...content);
}

function rowsTable(kpi, rollup, rows, sums) {
  if (!rows.length) return element("p", { class: "quiet" }, "There are no rows.");
  const columns = [
    ["Day", (row) => row.day], ["Job", jobLink], ...(kpi.kind === "ratio" ? [["Part", (row) => row.part]] : []),
    ["Amount", (row) => amountText(row.amount), "number"], ["Business unit", (row) => row.unit || "–"],
    ...(rollup === review.all ? [["Rollup", (row) => row.rollup]] : []), ["Why it counts", (row) => row.reason, "long"],
    ["Record", (row) => (row.id === null ? row.source : `${row.source} ${row.id}`)],
  ];
  const body = element("tbody", {});
  const add = (listed) => body.append(...listed.map((row) => element("tr", {}, ...columns.map(([, read, look = ""]) => element("td", { class: look }, read(row))))));
  add(rows.slice(0, FIRST_ROWS));
  const place = columns.findIndex(([name]) => name === "Amount");
  const foot = element("tfoot", {}, ...sums.map((sum, index) => element("tr", {},
    element("th", { scope: "row", colspan: place }, kpi.kind === "ratio" ? `Sum of ${index ? "denominator" : "numerator"}` : "Sum"),
    element("td", { class: "number" }, amountText(sum)), element("td", { colspan: columns.length - place - 1 }))));
  const head = element("thead", {}, element("tr", {}, ...columns.map(([name, , look = ""]) => element("th", { scope: "col", class: look }, name))));
  const table = element("div", { class: "scroll", role: "region", "aria-label": "Rows", tabindex: 0 }, element("table", { class: "rows" }, head, body, foot));
  const rest = rows.slice(FIRST_ROWS);
  if (!rest.length) return table;
  const more = element("button", { type: "button" }, `Show the other ${WHOLE.format(rest.length)} rows too`);
  more.addEventListener("click", () => { add(rest); more.remove(); });
  return element("div", {}, more, table);
}

function jobLink(row) {
  if (row.job === null) return "–";
  return element("a", { href: review.jobScreen + row.job, target: "_blank", rel: "noreferrer" }, row.number ?? String(row.job));
}

function ofRollup(entries, kpi, rollup) {
  return entries.filter(([name, of]) => name === kpi.name && (rollup === review.all ? of !== review.unassigned : of === rollup));
}

// Both parts of a ratio, one of all else; nothing where all rows of a reported number are gone.
function partsNow(kpi, rollup, week) {
  return cellOf(kpi, rollup, week) ?? (kpi.kind === "ratio" ? ["0", "0"] : ["0"]);
}

function whyChanged(kpi, rollup, week, changes) {
  const was = reportedOf(kpi, rollup, week);
  if (!was) return [];
  const now = partsNow(kpi, rollup, week);
  const causes = byReason(ofRollup(changes, kpi, rollup));
  for (const [index, part] of (kpi.kind === "ratio" ? ["numerator", "denominator"] : ["value"]).entries()) {
    const told = sumOf(causes.filter((cause) => cause.part === part).map((cause) => cause.amount));
    const rest = difference(difference(now[index], was[index]), told);
    if (rest !== "0") causes.push({ part, reason: "in builds that are not kept any more", amount: rest, rows: null });
  }
  return [element("h3", {}, "Changed since it was reported"), element("p", {}, `Reported: ${partsText(kpi, was)}. Now: ${partsText(kpi, now)}.`), reasonTable("Cause", causes, kpi, signed)];
}

function leftOut(kpi, rollup, entries) {
  const rules = byReason(entries.filter(([name, of]) => name === kpi.name && (rollup === review.all || of === rollup)));
  if (!rules.length) return [];
  return [element("h3", {}, "Left out of it"), reasonTable("Rule", rules, kpi, amountText)];
}

// Entries of several rollups added up, by part and reason.
function byReason(entries) {
  const sums = new Map();
  for (const [, , part, reason, amount, rows] of entries) {
    const known = sums.get(`${part}\n${reason}`) ?? { part, reason, amount: "0", rows: 0 };
    sums.set(`${part}\n${reason}`, { ...known, amount: sumOf([known.amount, amount]), rows: known.rows + rows });
  }
  return [...sums.values()].filter((each) => each.amount !== "0");
}

function reasonTable(title, reasons, kpi, write) {
  const ratioParts = kpi.kind === "ratio";
  const head = [title, ...(ratioParts ? ["Part"] : []), "Amount", "Rows"];
  return element("table", { class: "rows" },
    element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col", class: /Amount|Rows/.test(name) ? "number" : "" }, name)))),
    element("tbody", {}, ...reasons.map((each) => element("tr", {}, element("td", { class: "long" }, each.reason),
      ...(ratioParts ? [element("td", {}, each.part)] : []),
      element("td", { class: "number" }, write(each.amount)), element("td", { class: "number" }, each.rows === null ? "–" : WHOLE.format(each.rows))))));
}

function openDefinition(kpi) {
  const title = `${kpi.title}, version ${kpi.version}`;
  if (!kpi.card) { openDialog(title, element("p", {}, "Its card is not there any more.")); return; }
  const said = element("dl", { class: "said" }, ...kpi.card.said.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]));
  const content = [said];
  if (kpi.card.alternatives.length) content.push(element("h3", {}, "Other readings"), element("ul", {}, ...kpi.card.alternatives.map(([name, text]) => element("li", {}, `${name}: ${text}`))));
  if (kpi.card.history.length) content.push(element("h3", {}, "History"), element("ul", {}, ...kpi.card.history.map(([version, date, what, why]) => element("li", {}, `Version ${version}, ${date}: ${what} ${why}`))));
  openDialog(title, ...content);
}
