"use strict";

/* What is shown: which cells of which table, what they are called, and the same as SQL and as CSV. Nothing here draws.

   A table has views (its marginals). A view's keys are each the rows, or the small multiples, or pinned to one code:
   state = { view: number, value: name of a number, rows: key, panels: key or "", pins: { key: place }, kept: { key: [places] } }. */

const meta = JSON.parse(document.getElementById("meta").textContent);
const parsed = {};

/** A table by its name, parsed when it is first looked at. */
const tableOf = (name) => (parsed[name] ??= JSON.parse(document.getElementById(`data-${name}`).textContent));

const isDrawn = (view, reading, i) => [reading.value, reading.low, reading.high].every((name) => view.values[name][i] !== null);

const countDrawn = (view, reading, wanted = () => true) =>
  view.status.reduce((sum, why, i) => sum + (why === 0 && wanted(i) && isDrawn(view, reading, i)), 0);

/** The number of a view that is best looked at first: a share where there is one. */
const bestReading = (table, view) =>
  table.readings.find((r) => r.share && countDrawn(view, r)) ?? table.readings.find((r) => countDrawn(view, r)) ?? table.readings[0];

/** The first view with shares enough for a picture, else with numbers enough, else the one that tells most. */
function bestView(table) {
  const count = (view, name) => Math.max(0, ...table.readings.filter((r) => r[name]).map((r) => countDrawn(view, r)));
  const enough = ["share", "value"].map((name) => table.views.findIndex((view) => count(view, name) >= 5)).find((n) => n >= 0);
  const counts = table.views.map((view) => count(view, "value"));
  return enough ?? counts.indexOf(Math.max(...counts));
}

const placesOf = (table, view, key) => {
  const found = new Set(view.codes[key]);
  return table.keys[key].codes.map((_, place) => place).filter((place) => found.has(place));
};

/** The first code that is worth a look, in the contract's order. */
function bestPin(table, view, reading, key) {
  const places = placesOf(table, view, key), counts = places.map((place) => countDrawn(view, reading, (i) => view.codes[key][i] === place));
  return places[counts.findIndex((count) => 2 * count >= Math.max(...counts))];
}

/** A state that the table allows, as near to the wanted one as it can be. */
function allowed(table, wanted) {
  const number = table.views[wanted.view] ? Number(wanted.view) : bestView(table);
  const view = table.views[number];
  const reading = table.readings.find((r) => r.value === wanted.value) ?? bestReading(table, view);
  const rows = view.keys.includes(wanted.rows) ? wanted.rows : view.keys[0];
  const others = view.keys.filter((key) => key !== rows);
  const first = others[0] ?? "";
  const usual = reading.share && others.length < 2 ? "" : first;
  const panels = wanted.panels === "" || others.includes(wanted.panels) ? wanted.panels : usual;
  const pins = {}, kept = {};
  for (const key of view.keys) {
    const places = placesOf(table, view, key);
    if (key === rows || key === panels) {
      const few = (wanted.kept?.[key] ?? []).filter((place) => places.includes(place));
      kept[key] = wanted.kept?.[key] ? few : places;
    } else {
      pins[key] = places.includes(wanted.pins?.[key]) ? wanted.pins[key] : bestPin(table, view, reading, key);
    }
  }
  return { view: number, value: reading.value, rows, panels, pins, kept };
}

/** The cells of a state, in the contract's order: by panel, then by row. */
function cellsOf(table, state) {
  const view = table.views[state.view], reading = readingOf(table, state);
  const kept = Object.fromEntries(Object.entries(state.kept).map(([key, places]) => [key, new Set(places)]));
  const found = [];
  view.status.forEach((status, i) => {
    const here = view.keys.every((key) => kept[key]?.has(view.codes[key][i]) ?? state.pins[key] === view.codes[key][i]);
    if (here) {
      const [value, low, high] = [reading.value, reading.low, reading.high].map((name) => view.values[name][i]);
      const panel = state.panels ? view.codes[state.panels][i] : -1;
      const cell = { i, status, value, low, high, panel, row: view.codes[state.rows][i], drawn: isDrawn(view, reading, i) };
      found.push({ ...cell, why: reason(table, state, cell) });
    }
  });
  return found.sort((a, b) => a.panel - b.panel || a.row - b.row);
}

const readingOf = (table, state) => table.readings.find((reading) => reading.value === state.value);
const labelOf = (table, key, place) => table.keys[key].labels[place];
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const uncapital = (text) => text.charAt(0).toLowerCase() + text.slice(1);
const plain = (name) => name.replaceAll("_", " ");
const nameOf = (reading) => capital(reading.share ? plain(reading.value) : reading.unit || plain(reading.value));
const isRatio = (reading) => reading.still === 1; // a change that stands on an axis of ratios
const unitOf = (reading) => (reading.share ? (reading.still === 0 ? "points" : "%") : "");

const [WHOLE, TENTH, HUNDREDTH] = [0, 1, 2].map((n) => new Intl.NumberFormat("en", { minimumFractionDigits: n, maximumFractionDigits: n }));

function amount(reading, value) {
  const size = reading.share ? 100 * value : value;
  const text = (isRatio(reading) ? HUNDREDTH : !reading.share && Math.abs(size) >= 100 ? WHOLE : TENTH).format(Math.abs(size));
  return (size < 0 && Number(text.replaceAll(",", "")) ? "−" : "") + text;
}

const interval = (reading, cell) => `${amount(reading, cell.low)} to ${amount(reading, cell.high)}`;
const shown = (reading, cell) => `${amount(reading, cell.value)}${unitOf(reading) && ` ${unitOf(reading)}`} (${interval(reading, cell)})`;

/** Why a cell has no number, or how far its number can be trusted: short, and in full. */
function reason(table, state, cell) {
  const { code, short, meaning } = meta.statuses[cell.status], reading = readingOf(table, state), view = table.views[state.view];
  const said = view.said?.[cell.i];
  if (cell.drawn && said) return [`${short}: ${said}`, code === "ok" ? "" : meaning];
  if (cell.drawn || !["ok", "too_noisy"].includes(code)) return [short, code === "ok" ? "" : meaning];
  const none = `no ${plain(reading.value)}`, unknown = table.keys[view.of]?.open.includes(view.codes[view.of][cell.i]);
  if (reading.value !== "rate") return [none, `there is none here: ${reading.description}`];
  if (unknown) return [`${none}: not known`, "rates are shares of what is known"];
  return [`${none}: too noisy`, "the denominator is too noisy for a share, or would give withheld numbers away"];
}

/** Title of a state: which number, of what, by what, for whom. */
function titleOf(table, state) {
  const view = table.views[state.view], reading = readingOf(table, state);
  const quoted = (key) => `“${labelOf(table, key, state.pins[key])}”`;
  const of = reading.share && view.of in state.pins ? ` of ${quoted(view.of)}` : "";
  const by = [state.rows, state.panels].filter(Boolean).map((key) => table.keys[key].name).join(" and ");
  const whom = Object.keys(state.pins).filter((key) => !of || key !== view.of).map((key) => `, ${table.keys[key].name} ${quoted(key)}`);
  return `${nameOf(reading)}${of} by ${by}${whom.join("")}`;
}

const questionOf = (table, view) =>
  table.fixed.map((name) => table.keys[name].labels[table.keys[name].codes.indexOf(view.fixed[name])]).filter(Boolean).join(", ");

/** What the reasons in a view mean, each once. */
const reasonsOf = (cells) => [...new Map(cells.map((cell) => cell.why)).entries()].filter(([, full]) => full);

/** Counts of cells by why they are as they are. */
function summaryOf(cells) {
  const counts = new Map();
  for (const { why: [short] } of cells) counts.set(short, (counts.get(short) ?? 0) + 1);
  const told = [...counts].map(([short, count]) => `${count.toLocaleString("en")} ${short}`).join(", ");
  return cells.length ? `${cells.length.toLocaleString("en")} ${cells.length > 1 ? "cells" : "cell"}: ${told}.` : "No cell is chosen: tick a code.";
}

/** Columns of the rows that are shown: what the SQL selects and the CSV begins with. */
function columnsOf(table, state) {
  const reading = readingOf(table, state);
  return [...table.fixed, ...table.views[state.view].keys, reading.value, reading.low, reading.high, reading.beside, "status"].filter(Boolean);
}

const identifier = (name) => `"${name.replaceAll('"', '""')}"`;
const literal = (text) => `'${text.replaceAll("'", "''")}'`;

/** The same cells as a query for DuckDB, to be run in the release folder. */
function sqlOf(table, state) {
  const view = table.views[state.view];
  const codes = (key, places) => places.map((place) => literal(table.keys[key].codes[place]));
  const where = table.fixed.map((name) => `${identifier(name)} = ${literal(view.fixed[name])}`);
  for (const key of table.free) {
    const kept = state.kept[key], present = new Set(view.codes[key] ?? []).size;
    if (!view.keys.includes(key)) where.push(`${identifier(key)} = 'all'`);
    else if (!kept) where.push(`${identifier(key)} = ${codes(key, [state.pins[key]])}`);
    else if (kept.length === present) where.push(`${identifier(key)} <> 'all'`);
    else where.push(kept.length ? `${identifier(key)} IN (${codes(key, kept).join(", ")})` : "false");
  }
  const order = [state.panels, state.rows].filter(Boolean).map(identifier);
  return [
    `-- Release ${meta.release}. ${meta.facts.join("; ")}.`,
    ...(meta.notice ? [`-- ${meta.notice}`] : []),
    `SELECT ${columnsOf(table, state).map(identifier).join(", ")}`,
    `FROM read_parquet(${literal(table.path)})`,
    `WHERE ${where.join("\n  AND ")}`,
    `ORDER BY ${order.join(", ")};`,
  ].join("\n");
}

/** The same cells as CSV: exact numbers, codes as in the release, why a number is missing, and what holds of all of them. */
function csvOf(table, state) {
  const view = table.views[state.view], reading = readingOf(table, state), names = columnsOf(table, state);
  const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const field = (cell) => (name) => {
    if (name === "status") return meta.statuses[cell.status].code;
    if (table.fixed.includes(name)) return view.fixed[name];
    return view.keys.includes(name) ? table.keys[name].codes[view.codes[name][cell.i]] : String(view.values[name][cell.i] ?? "");
  };
  const told = [meta.release, [...meta.facts, meta.notice].filter(Boolean).join("; ")];
  const lines = cellsOf(table, state).map((cell) => [...names.map(field(cell)), cell.why[1], ...told]);
  return [[...names, "note", "release", "reading"], ...lines].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
}
