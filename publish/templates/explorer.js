/* The page: controls, and what follows from them. Text from data is only ever set as text. */

const byId = (id) => document.getElementById(id);
const SOME_CELLS = 800, SOME_ROWS = 200; // drawn at first; the rest at a button
let name = "", state = null, model = null, at = -1;

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, String(value) === String(chosen))));
}

function made(tag, properties = {}, ...inside) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...inside);
  return node;
}

const questionsOf = (table) => [...new Set(table.views.map((view) => questionOf(table, view)))];
const keysText = (table, keys) => capital(keys.map((key) => table.keys[key].name).join(" × "));

function fillControls() {
  const table = tableOf(name), view = table.views[state.view], questions = questionsOf(table);
  byId("table").value = name;
  byId("question-field").hidden = questions.length < 2;
  options(byId("question"), questions.map((text, n) => [n, capital(text)]), questions.indexOf(questionOf(table, view)));
  const beside = table.views.map((other, n) => [n, other]).filter(([, other]) => questionOf(table, other) === questionOf(table, view));
  options(byId("view"), beside.map(([n, other]) => [n, keysText(table, other.keys)]), state.view);
  options(byId("value"), table.readings.map((reading) => [reading.value, nameOf(reading)]), state.value);
  byId("roles").hidden = view.keys.length < 2;
  options(byId("rows"), view.keys.map((key) => [key, capital(table.keys[key].name)]), state.rows);
  const others = view.keys.filter((key) => key !== state.rows);
  options(byId("panels"), [["", "none"], ...others.map((key) => [key, capital(table.keys[key].name)])], state.panels);
  byId("filters").replaceChildren(...view.keys.map((key) => (key in state.pins ? pinControl(table, view, key) : filterControl(table, view, key))));
}

function pinControl(table, view, key) {
  const select = made("select", { id: `pin-${key}` });
  options(select, placesOf(table, view, key).map((place) => [place, labelOf(table, key, place)]), state.pins[key]);
  select.addEventListener("change", () => {
    state.pins[key] = Number(select.value);
    show();
  });
  return made("div", {}, made("label", { htmlFor: select.id, textContent: capital(table.keys[key].name) }), select);
}

function filterControl(table, view, key) {
  const places = placesOf(table, view, key), summary = made("summary"), title = capital(table.keys[key].name);
  const told = () => (summary.textContent = `${title}: ${state.kept[key].length} of ${places.length}`);
  const boxes = places.map((place) => {
    const box = made("input", { type: "checkbox", checked: state.kept[key].includes(place), value: place });
    box.addEventListener("change", () => keep(places.filter((_, n) => boxes[n].checked)));
    return box;
  });
  function keep(kept) {
    state.kept[key] = kept;
    boxes.forEach((box, n) => (box.checked = kept.includes(places[n])));
    told();
    show();
  }
  const both = [["All", places], ["None", []]].map(([textContent, kept]) => {
    const button = made("button", { type: "button", textContent, ariaLabel: `${textContent} of ${title}` });
    button.addEventListener("click", () => keep(kept));
    return button;
  });
  const ticks = boxes.map((box, n) => made("label", {}, box, made("span", { textContent: labelOf(table, key, places[n]) })));
  told();
  const legend = made("legend", { className: "hidden", textContent: `${title}: which are shown` });
  return made("details", {}, summary, made("fieldset", {}, legend, made("div", { className: "both" }, ...both), made("div", { className: "ticks" }, ...ticks)));
}

/** What the chart draws: the cells of the state by panel. */
function modelOf(table, cells) {
  const rows = [...new Set(cells.map((cell) => cell.row))].sort((a, b) => a - b).map((place) => ({ place, label: labelOf(table, state.rows, place) }));
  const panels = new Map();
  for (const cell of cells) panels.set(cell.panel, [...(panels.get(cell.panel) ?? []), cell]);
  const labelled = [...panels].map(([place, own]) => ({ label: state.panels ? labelOf(table, state.panels, place) : "", cells: own }));
  const names = [state.rows, state.panels].map((key) => key && capital(table.keys[key].name));
  return { reading: readingOf(table, state), rows, panels: labelled, names, cells };
}

function aboutOf(table) {
  const view = table.views[state.view], asked = questionOf(table, view);
  const left = Object.entries(state.kept).map(([key, places]) => [table.keys[key].name, places.length, placesOf(table, view, key).length]);
  const only = left.filter(([, few, all]) => few < all).map(([title, few, all]) => `${capital(title)}: ${few} of ${all} are shown.`);
  return [asked && `${capital(asked)}.`, table.question, ...only].filter(Boolean).join(" ");
}

function factsOf(table, reading) {
  const of = reading.value === "rate" ? `share of ${table.denominator}` : reading.description;
  return [
    `${nameOf(reading)}: ${of}. Counted: ${table.event}.`,
    `Lines are ${meta.confidence} intervals (noise and sampling). An association is not an effect.`,
    `Incident Commons, release ${meta.release} · ${meta.facts.join(" · ")}`,
  ];
}

function show() {
  const table = tableOf(name), cells = cellsOf(table, state), reading = readingOf(table, state);
  model = modelOf(table, cells);
  at = -1;
  byId("title").textContent = titleOf(table, state);
  byId("about").textContent = aboutOf(table);
  byId("summary").textContent = summaryOf(cells);
  byId("reasons").replaceChildren(...reasonsOf(cells).map(([short, full]) => made("li", {}, made("em", { textContent: short }), `: ${full}.`)));
  byId("readout").textContent = "";
  byId("said").textContent = "";
  byId("facts").replaceChildren(...factsOf(table, reading).map((text) => made("span", { textContent: `${text} ` })));
  byId("sql").textContent = sqlOf(table, state);
  draw(false);
  list(SOME_ROWS);
  remember();
}

function draw(all) {
  const { rows, panels, cells } = model, tall = all ? rows : rows.slice(0, SOME_ROWS), places = new Set(tall.map((row) => row.place));
  const few = (all ? panels : panels.slice(0, Math.max(1, Math.floor(SOME_CELLS / tall.length)))).map((panel) => ({
    ...panel, cells: tall === rows ? panel.cells : panel.cells.filter((cell) => places.has(cell.row)),
  }));
  model.drawn = { ...model, rows: tall, panels: few, cells: few.flatMap((panel) => panel.cells), all };
  const width = Math.max(260, byId("chart").clientWidth);
  byId("chart").replaceChildren(...(cells.length ? [drawChart(model.drawn, width)] : []));
  byId("more").hidden = model.drawn.cells.length === cells.length;
  byId("more").textContent = `Draw all ${cells.length.toLocaleString("en")} cells`;
}

function list(most) {
  const table = tableOf(name), { reading, cells } = model, view = table.views[state.view];
  const keys = [state.panels, state.rows].filter(Boolean), percent = unitOf(reading) && `, ${unitOf(reading)}`;
  const besides = { noise_stddev: "Noise (standard deviation)", unknown_share: "Not known, %", q_value: "q", detectable: "Smallest that would be seen, points" };
  const heads = [...keys.map((key) => capital(table.keys[key].name)), `${nameOf(reading)}${percent}`, `${meta.confidence} interval`, besides[reading.beside], "Status"];
  const number = (text) => made("td", { className: "number", textContent: text });
  const lines = cells.slice(0, most).map((cell) => {
    const [short] = cell.why, beside = reading.beside && view.values[reading.beside][cell.i];
    const own = keys.map((key) => made("th", { scope: "row", textContent: labelOf(table, key, view.codes[key][cell.i]) }));
    const told = [cell.drawn ? amount(reading, cell.value) : short.split(":")[0], cell.drawn ? interval(reading, cell) : "–"].map(number);
    const besideText = reading.beside ? [number(beside === null ? "–" : amount(reading, beside))] : [];
    return made("tr", {}, ...own, ...told, ...besideText, made("td", { textContent: short }));
  });
  const head = made("tr", {}, ...heads.filter(Boolean).map((textContent, n) =>
    made("th", { scope: "col", textContent, className: n >= keys.length && n < heads.filter(Boolean).length - 1 ? "number" : "" })));
  byId("cells").replaceChildren(made("caption", { textContent: byId("title").textContent }), made("thead", {}, head), made("tbody", {}, ...lines));
  byId("all").hidden = lines.length === cells.length;
  byId("all").textContent = `List all ${cells.length.toLocaleString("en")} rows`;
}

/** Reads one cell aloud and marks it. */
function read(next) {
  const cells = model.drawn.cells, cell = cells[next];
  if (!cell) return;
  at = next;
  for (const hit of byId("chart").querySelectorAll(".hit")) hit.classList.toggle("at", Number(hit.dataset.at) === at);
  const table = tableOf(name), { reading } = model, [short, full] = cell.why;
  const told = (key, place) => key && `${table.keys[key].name} “${labelOf(table, key, place)}”`;
  const who = [told(state.panels, cell.panel), told(state.rows, cell.row)].filter(Boolean).join(", ");
  const unit = reading.unit && !reading.share ? ` ${reading.unit}` : "";
  byId("readout").textContent = cell.drawn ? `${capital(who)}: ${shown(reading, cell)}${unit}, ${short}.` : `${capital(who)}: ${[short, full].filter(Boolean).join("; ")}.`;
}

function walk(event) {
  const cells = model.drawn.cells, panel = (step) => {
    const row = cells[at]?.row, own = cells[at]?.panel;
    const [here, there] = [cells.findIndex((c) => c.panel === own), step > 0 ? cells.findIndex((c) => c.panel > own) : cells.findLastIndex((c) => c.panel < own)];
    return here < 0 || there < 0 ? at : Math.max(0, cells.findIndex((c) => c.panel === cells[there].panel && c.row === row));
  };
  const moves = { ArrowDown: () => at + 1, ArrowUp: () => at - 1, ArrowRight: () => panel(1), ArrowLeft: () => panel(-1), Home: () => 0, End: () => cells.length - 1 };
  if (event.key in moves && cells.length) {
    event.preventDefault();
    read(Math.min(Math.max(at < 0 ? 0 : moves[event.key](), 0), cells.length - 1));
  }
}

function save(blob, ending) {
  const address = URL.createObjectURL(blob), kind = meta.notice ? "-synthetic" : "";
  made("a", { href: address, download: `${meta.release.replace("/", "-")}-${name}-${state.value}${kind}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  byId("said").textContent = `Saved as ${ending.toUpperCase()}.`;
}

async function savePicture() {
  const table = tableOf(name);
  const all = model.cells.length.toLocaleString("en"), part = model.drawn.cells.length < model.cells.length;
  const facts = [...(part ? [`${model.drawn.cells.length} of ${all} cells are drawn.`] : []), ...factsOf(table, model.reading)];
  const told = { title: byId("title").textContent, about: aboutOf(table), facts };
  const blob = model.drawn.cells.length ? await pngOf(drawPicture(model.drawn, told)) : null;
  if (blob) save(blob, "png");
  else byId("said").textContent = "Too much, or nothing, for one picture: choose other codes.";
}

async function copy() {
  try {
    await navigator.clipboard.writeText(byId("sql").textContent);
    byId("said").textContent = "SQL copied.";
  } catch {
    getSelection().selectAllChildren(byId("sql"));
    byId("said").textContent = "The SQL is selected: copy it with the keyboard.";
  }
}

/** The view as the part of the address after #, so that it can be noted down and opened again. */
function remember() {
  const table = tableOf(name), told = new URLSearchParams({ table: name, view: state.view, value: state.value, rows: state.rows, panels: state.panels });
  for (const [key, place] of Object.entries(state.pins)) told.set(`pin.${key}`, table.keys[key].codes[place]);
  for (const [key, places] of Object.entries(state.kept)) {
    if (places.length < placesOf(table, table.views[state.view], key).length) told.set(`keep.${key}`, places.map((place) => table.keys[key].codes[place]).join("|"));
  }
  history.replaceState(null, "", `#${told}`);
}

function recalled() {
  const told = new URLSearchParams(location.hash.slice(1)), wanted = { pins: {}, kept: {} };
  const known = meta.tables.some((table) => table.name === told.get("table"));
  const table = tableOf(known ? told.get("table") : meta.start);
  for (const part of ["view", "value", "rows", "panels"]) if (known && told.has(part)) wanted[part] = told.get(part);
  for (const key of known ? table.free : []) {
    const places = (codes) => codes.split("|").map((code) => table.keys[key].codes.indexOf(code)).filter((place) => place >= 0);
    if (told.has(`pin.${key}`)) wanted.pins[key] = places(told.get(`pin.${key}`))[0];
    if (told.has(`keep.${key}`)) wanted.kept[key] = places(told.get(`keep.${key}`));
  }
  return [table, wanted];
}

function go(table, wanted) {
  name = table.name;
  state = allowed(table, wanted);
  fillControls();
  show();
}

function start() {
  if (!meta.tables.length) {
    byId("title").textContent = "This release has no table to explore.";
    byId("choose").hidden = true;
    return;
  }
  const changed = (id, wanted) => byId(id).addEventListener("change", (event) => go(tableOf(name), wanted(event.target.value)));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("table").addEventListener("change", (event) => go(tableOf(event.target.value), {}));
  changed("question", (n) => {
    const table = tableOf(name), keys = table.views[state.view].keys.join();
    const views = table.views.map((view, place) => [view, place]).filter(([view]) => questionOf(table, view) === questionsOf(table)[n]);
    return { view: (views.find(([view]) => view.keys.join() === keys) ?? views[0])[1], value: state.value };
  });
  changed("view", (view) => ({ view, value: state.value }));
  changed("value", (value) => ({ ...state, value }));
  changed("rows", (rows) => ({ ...state, rows, panels: state.panels === rows ? state.rows : state.panels }));
  changed("panels", (panels) => ({ ...state, panels }));
  byId("more").addEventListener("click", () => draw(true));
  byId("all").addEventListener("click", () => list(Infinity));
  byId("csv").addEventListener("click", () => save(new Blob([csvOf(tableOf(name), state)], { type: "text/csv" }), "csv"));
  byId("png").addEventListener("click", savePicture);
  byId("copy").addEventListener("click", copy);
  byId("chart").addEventListener("keydown", walk);
  byId("chart").addEventListener("focus", () => at < 0 && read(0));
  byId("chart").addEventListener("pointerover", (event) => {
    const cell = event.target.closest("[data-at]");
    if (cell && Number(cell.dataset.at) !== at) read(Number(cell.dataset.at));
  });
  const dark = matchMedia("(prefers-color-scheme: dark)"), root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const named = () => (byId("theme").textContent = isDark() ? "Light colours" : "Dark colours");
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    named();
  });
  dark.addEventListener("change", named);
  named();
  byId("legend").append(...SIGNS.map((sign) => made("li", {}, ...drawSign(sign))));
  byId("choose").open = byId("numbers").open = !matchMedia("(max-width: 860px)").matches;
  go(...recalled());
  let width = byId("chart").clientWidth;
  new ResizeObserver(() => {
    if (byId("chart").clientWidth !== width) draw(model.drawn.all);
    width = byId("chart").clientWidth;
  }).observe(byId("chart"));
  addEventListener("hashchange", () => location.hash.startsWith("#table=") && go(...recalled()));
}

start();
