"use strict";
// Amounts are text outside and whole billionths inside: no digit is lost, and a sum is the sum.

const BILLION = 10n ** 9n;

function billionths(text) {
  const [whole, fraction = ""] = text.replace("-", "").split(".");
  const size = BigInt(whole) * BILLION + BigInt(fraction.padEnd(9, "0"));
  return text.startsWith("-") ? -size : size;
}

function asText(amount) {
  const size = amount < 0n ? -amount : amount;
  const fraction = (size % BILLION).toString().padStart(9, "0").replace(/0+$/, "");
  return (amount < 0n ? "-" : "") + (size / BILLION) + (fraction && "." + fraction);
}

function sumOf(texts) {
  let sum = 0n;
  for (const text of texts) sum += billionths(text);
  return asText(sum);
}

function difference(after, before) {
  return asText(billionths(after) - billionths(before));
}

// To nine places, half away from zero, as the warehouse keeps it; null over zero.
function ratio(numerator, denominator) {
  const [above, below] = [billionths(numerator), billionths(denominator)];
  if (below === 0n) return null;
  const doubled = (2n * BILLION * above) / below;
  return asText((doubled + (doubled < 0n ? -1n : 1n)) / 2n);
}

const LOCALE = document.documentElement.lang;
const FORMATS = {
  percent: new Intl.NumberFormat(LOCALE, { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "negative" }),
  money: new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0, signDisplay: "negative" }),
  count: new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0, signDisplay: "negative" }),
  compact: new Intl.NumberFormat(LOCALE, { notation: "compact", maximumSignificantDigits: 3 }),
  share: new Intl.NumberFormat(LOCALE, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" }),
  points: new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" }),
};
const WHOLE = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 9 });
const CENTS = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 9 });

// A value as a person reads it, a dash for none.
function shown(kpi, value) {
  return value === null ? "–" : FORMATS[kpi.unit].format(value);
}

// Every digit there is, and cents where there is a fraction.
function amountText(text) {
  return (text.includes(".") ? CENTS : WHOLE).format(text);
}

function signed(text) {
  return (text.startsWith("-") || text === "0" ? "" : "+") + amountText(text);
}
