// Numbers and times in words: units always, thin spaces, three significant digits,
// and null is never 0.

const THIN = "\u2009"; // between groups of digits
const NARROW = "\u202f"; // between a number and its unit

export const MISSING = "–";

export const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

function group(digits) {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
}

/** A count, exact. */
export function count(value) {
  return known(value) ? group(String(Math.round(value))) : MISSING;
}

/** A measured number, three significant digits. */
export function figure(value) {
  if (!known(value)) return MISSING;
  const size = Math.abs(value);
  if (size >= 1000) return group(String(Number(value.toPrecision(3))));
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size === 0) return "0";
  return size >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(2)));
}

export const withUnit = (value, unit) => (known(value) ? `${figure(value)}${NARROW}${unit}` : MISSING);

/** A share of 1 as a percentage. */
export function percent(share) {
  if (!known(share)) return MISSING;
  const value = share * 100;
  if (value === 100 || value === 0) return `${value}${NARROW}%`;
  // 99.96 must not be shown as a full 100.
  const text = value > 99 ? (Math.floor(value * 100) / 100).toFixed(2) : figure(value);
  return `${text}${NARROW}%`;
}

export function interval(low, high) {
  if (!known(low) || !known(high)) return "";
  return `${figure(low * 100)}–${figure(high * 100)}${NARROW}%`;
}

export function milliseconds(value) {
  if (!known(value)) return MISSING;
  return value >= 10_000 ? withUnit(value / 1000, "s") : withUnit(value, "ms");
}

/** Decimal text from the wire, digits grouped; money is never turned into a float here. */
export function money(text, currency) {
  if (text === null || text === undefined) return MISSING;
  const [whole, fraction] = String(text).split(".");
  const amount = fraction === undefined ? group(whole) : `${group(whole)}.${fraction}`;
  return currency ? `${amount}${NARROW}${currency}` : amount;
}

/** Integer cents as a rounded amount for reading; exact amounts come as text, see `money`. */
export function cents(value, currency) {
  if (!known(value)) return MISSING;
  const units = Math.abs(value) / 10 ** minorDigits(currency);
  const text = units >= 1_000_000 ? `${figure(units / 1_000_000)}${NARROW}million` : units >= 100 ? count(units) : figure(units);
  return `${value < 0 ? "−" : ""}${text}${currency ? NARROW + currency : ""}`;
}

/** Digits of a currency after the point: 2 for most, 0 for yen. */
export function minorDigits(currency) {
  if (!currency) return 2;
  return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
}

/** A length of time in words: "2 min 05 s", "6 h 10 min". */
export function span(seconds) {
  if (!known(seconds)) return MISSING;
  if (seconds < 10 && seconds % 1) return `${figure(seconds)}${NARROW}s`;
  const whole = Math.round(seconds);
  const [days, hours, minutes, rest] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
  if (days) return hours ? `${days}${NARROW}d ${hours}${NARROW}h` : `${days}${NARROW}d`;
  if (hours) return minutes ? `${hours}${NARROW}h ${String(minutes).padStart(2, "0")}${NARROW}min` : `${hours}${NARROW}h`;
  if (minutes) return `${minutes}${NARROW}min ${String(rest).padStart(2, "0")}${NARROW}s`;
  return `${rest}${NARROW}s`;
}

/** A stopwatch: "2:05", "1:02:05". */
export function stopwatch(seconds) {
  if (!known(seconds)) return MISSING;
  const whole = Math.floor(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// Simulated moments carry no time zone: customers live on one calendar.  They are read and
// written as UTC so that the viewer's own zone never shifts them.
export function moment(iso) {
  const milliseconds = Date.parse(`${String(iso).slice(0, 19)}Z`);
  return Number.isFinite(milliseconds) ? milliseconds / 1000 : null;
}

export function clockOf(epochS, withSeconds = false) {
  if (!known(epochS)) return MISSING;
  return new Date(epochS * 1000).toISOString().slice(11, withSeconds ? 19 : 16);
}

/** Day of the run, from 1. */
export function dayOf(epochS, startS) {
  return Math.floor(epochS / 86400) - Math.floor(startS / 86400) + 1;
}

export function dayAndClock(epochS, startS) {
  return known(epochS) && known(startS) ? `Day ${dayOf(epochS, startS)}, ${clockOf(epochS)}` : MISSING;
}

const DATE = new Intl.DateTimeFormat("en-GB", {
  weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC",
});

export function dateOf(epochS) {
  return known(epochS) ? DATE.format(new Date(epochS * 1000)) : "";
}

/** A name from the program as words: "card_testing" → "card testing". */
export const words = (name) => String(name ?? "").replaceAll("_", " ");
