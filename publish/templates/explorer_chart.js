/* The chart: points with intervals, rows down, small multiples side by side, as SVG that also stands alone as a picture. */

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';
const pen = document.createElement("canvas").getContext("2d");

const widths = new Map();

function widthOf(text, size, bold) {
  const font = `${bold ? "bold " : ""}${size}px ${FONT}`, known = `${font} ${text}`;
  if (!widths.has(known)) {
    pen.font = font;
    widths.set(known, pen.measureText(text).width);
  }
  return widths.get(known);
}

function wrapped(text, width, size, bold) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && widthOf(longer, size, bold) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function element(name, attributes = {}, ...inside) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

const writing = (x, y, text, more = {}) => element("text", { x, y, fill: "var(--ink)", "font-size": 13, ...more }, text);
const HALO = { stroke: "var(--paper)", "stroke-width": 4, "stroke-linejoin": "round", "paint-order": "stroke" }; // text over lines of the grid

/** A scale that holds all ends of intervals, and zero, with round ticks in it. */
function scaleOf(reading, cells, most) {
  const ends = cells.filter((cell) => cell.drawn).flatMap((cell) => [cell.low, cell.high, cell.value]);
  if (isRatio(reading)) {
    // Half and double lie equally far from no change.
    const above = ends.filter((end) => end > 0), [low, high] = [Math.min(0.5, ...above), Math.max(2, ...above)];
    const doublings = Math.max(1, Math.ceil(Math.log2(high / low) / most)), ticks = [];
    for (let n = Math.ceil(Math.log2(low) / doublings) * doublings; 2 ** n <= high; n += doublings) ticks.push(2 ** n);
    return { ticks, label: (value) => String(Number(value.toPrecision(3))), low, high, still: 1, part: (value) => Math.log(Math.max(value, low) / low) / Math.log(high / low) };
  }
  const low = ends.reduce((a, b) => Math.min(a, b), 0), high = ends.reduce((a, b) => Math.max(a, b), reading.share ? 0.01 : 1);
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const from = Math.ceil(low / step - 1e-9), to = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: to - from + 1 }, (_, n) => (from + n) * step);
  const percent = (value) => `${Number((100 * value).toPrecision(6))}${reading.still === 0 ? "" : " %"}`;
  const label = (value) => (reading.share ? percent(value) : Number(value.toPrecision(6)).toLocaleString("en")).replace("-", "−");
  return { ticks, label, low, high, still: 0, part: (value) => (value - low) / (high - low) };
}

/** How the parts of a chart share a width. Labels stand beside the points, on a narrow screen above them. */
function layoutOf(model, width) {
  const { reading, rows, panels, cells } = model, stacked = width < 520;
  const longest = rows.reduce((most, row) => Math.max(most, widthOf(row.label, 13)), 0);
  const labels = stacked ? 0 : Math.min(longest + 14, width * 0.36);
  const single = panels.length === 1;
  const numbers = single ? cells.reduce((most, cell) => Math.max(most, cell.drawn ? widthOf(shown(reading, cell), 12) : 0), 0) + 14 : 0;
  const across = stacked ? 1 : Math.max(1, Math.min(panels.length, Math.floor((width - labels) / 170)));
  const gap = 22;
  const plot = (width - labels - (stacked ? 0 : numbers) - gap * (across - 1)) / across;
  const room = stacked ? width - numbers : labels - 14;
  const texts = rows.map((row) => wrapped(row.label, room, 13));
  const heights = texts.map((lines) => (stacked ? 17 * lines.length + 20 : Math.max(26, 16 * lines.length + 8)));
  let body = 0;
  const tops = heights.map((height) => (body += height) - height);
  const titles = panels.map((panel) => (panel.label ? wrapped(panel.label, plot, 13, true) : []));
  const tall = rows.length > 14;
  return { stacked, labels, numbers, across, gap, plot, texts, heights, tops, titles, tall, body };
}

/** One cell: its interval and its point, or why there is none. Never a point without its interval. */
function drawCell(reading, cell, { layout, left, x }, y, base) {
  const [short] = cell.why, { code } = meta.statuses[cell.status], sure = code === "ok";
  const group = element("g", { class: "cell", "data-status": code });
  if (!cell.drawn) {
    const room = layout.plot - 8, text = [short, short.split(":")[0]].find((told) => widthOf(told, 12) <= room) ?? "—";
    group.append(writing(left + 4, y + 4, text, { class: "absent", ...HALO, fill: "var(--soft)", "font-size": 12, "font-style": "italic" }));
    return group;
  }
  const from = x(cell.low), to = x(cell.high), line = { stroke: "var(--mark)", "stroke-width": 2 };
  group.append(element("line", { class: "interval", x1: from, x2: to, y1: y, y2: y, ...line, ...(sure ? {} : { "stroke-dasharray": "4 3" }) }));
  for (const end of [from, to]) group.append(element("line", { x1: end, x2: end, y1: y - 4, y2: y + 4, ...line, "stroke-width": 1.5 }));
  group.append(element("circle", { class: "point", cx: x(cell.value), cy: y, r: 4.5, ...line, fill: sure ? "var(--mark)" : "var(--paper)" }));
  if (layout.numbers) {
    const end = left + layout.plot + (layout.stacked ? 0 : layout.numbers);
    group.append(writing(end, base, shown(reading, cell), { ...HALO, "font-size": 12, "text-anchor": "end", fill: "var(--soft)" }));
  }
  return group;
}

function drawAxis(group, scale, { layout, left, x, start }) {
  const end = start + layout.body, right = left + layout.plot;
  for (const tick of scale.ticks) {
    const stroke = tick === scale.still && scale.low < scale.still ? "var(--soft)" : "var(--line)";
    group.append(element("line", { x1: x(tick), x2: x(tick), y1: start, y2: end, stroke, "stroke-width": 1 }));
    const [at, anchor] = x(tick) - left < 16 ? [left, "start"] : right - x(tick) < 16 ? [right, "end"] : [x(tick), "middle"];
    for (const y of layout.tall ? [start - 7, end + 16] : [end + 16]) {
      group.append(writing(at, y, scale.label(tick), { "font-size": 11, fill: "var(--soft)", "text-anchor": anchor }));
    }
  }
}

/** One panel: its title, axis, lines of the rows, labels where it is the first of its line, and its cells. */
function drawPanel(model, panel, title, scale, frame) {
  const { layout, left, right, top, start, first } = frame, { stacked } = layout, group = element("g", { class: "panel" });
  title.forEach((text, n) => group.append(writing(left, top + 13 + 17 * n, text, { "font-weight": "bold" })));
  drawAxis(group, scale, frame);
  model.rows.forEach((_, row) => {
    const y = start + layout.tops[row], bottom = y + layout.heights[row], lines = first ? layout.texts[row] : [];
    group.append(element("line", { x1: first ? 0 : left, x2: right, y1: bottom, y2: bottom, stroke: "var(--line)", "stroke-opacity": 0.6 }));
    const base = stacked ? y + 14 : (y + bottom) / 2 + 4.5 - 8 * (lines.length - 1);
    lines.forEach((text, n) => group.append(writing(0, base + (stacked ? 17 : 16) * n, text, stacked ? HALO : {})));
  });
  const order = new Map(model.rows.map((row, n) => [row.place, n]));
  panel.cells.forEach((cell, n) => {
    const row = order.get(cell.row), y = start + layout.tops[row], height = layout.heights[row];
    const from = first ? 0 : left - layout.gap / 2, at = { "data-at": frame.at + n };
    group.prepend(element("rect", { class: "hit", ...at, x: from, y, width: right - from, height, fill: "none", "pointer-events": "all" }));
    group.append(drawCell(model.reading, cell, frame, stacked ? y + height - 12 : y + height / 2, y + (stacked ? 14 : height / 2 + 4)));
  });
  return group;
}

/** The chart of a model in a width: an `<svg>` whose colours are the page's variables. */
function drawChart(model, width) {
  const { reading, panels, names } = model, layout = layoutOf(model, width), { labels, across, gap, plot } = layout;
  const scale = scaleOf(reading, model.cells, Math.max(2, Math.min(5, Math.floor(plot / 50))));
  const drawing = element("svg", { xmlns: "http://www.w3.org/2000/svg", "font-family": FONT, "aria-hidden": "true" });
  let top = 0, at = 0;
  if (names[1]) {
    // With two keys a code alone may not say of which of them it is, as with bands of turns.
    const told = wrapped(`Panels: ${uncapital(names[1])}. Rows: ${uncapital(names[0])}.`, width, 12);
    told.forEach((text, n) => drawing.append(writing(0, 12 + 16 * n, text, { fill: "var(--soft)", "font-size": 12 })));
    top = 8 + 16 * told.length;
  }
  for (let first = 0; first < panels.length; first += across) {
    const line = panels.slice(first, first + across), titles = layout.titles.slice(first, first + across);
    const start = top + 17 * Math.max(...titles.map((title) => title.length)) + (layout.tall ? 22 : 6);
    line.forEach((panel, n) => {
      const left = labels + n * (plot + gap), right = n === line.length - 1 ? width : left + plot + gap / 2;
      const x = (value) => left + 7 + scale.part(value) * (plot - 14);
      drawing.append(drawPanel(model, panel, titles[n], scale, { layout, left, right, top, start, x, at, first: n === 0 }));
      at += panel.cells.length;
    });
    top = start + layout.body + 30;
  }
  drawing.setAttribute("viewBox", `0 0 ${width} ${top}`);
  drawing.setAttribute("width", width);
  drawing.setAttribute("height", top);
  return drawing;
}

const SIGNS = [
  ["published", { fill: "var(--mark)" }, {}],
  ["too noisy to stand alone", { fill: "var(--paper)" }, { "stroke-dasharray": "4 3" }],
];

/** The signs of the chart, each as a small picture with its words. */
function drawSign([words, point, line]) {
  const stroke = { stroke: "var(--mark)", "stroke-width": 2 };
  const picture = element("svg", { viewBox: "0 0 34 12", width: 34, height: 12 });
  picture.append(element("line", { x1: 1, x2: 33, y1: 6, y2: 6, ...stroke, ...line }), element("circle", { cx: 17, cy: 6, r: 4.5, ...stroke, ...point }));
  return [picture, words];
}

/** The chart as a picture that says by itself what it shows. */
function drawPicture(model, told) {
  const width = 1000, edge = 28, inner = width - 2 * edge, whole = element("svg", { xmlns: "http://www.w3.org/2000/svg", "font-family": FONT });
  let y = edge;
  const paragraph = (text, size, more = {}) => {
    for (const line of wrapped(text, inner, size, "font-weight" in more)) {
      y += Math.round(size * 1.4);
      whole.append(writing(edge, y, line, { "font-size": size, ...more }));
    }
  };
  if (meta.notice) paragraph(meta.notice, 13, { fill: "var(--warn)", "font-weight": "bold" });
  paragraph(told.title, 21, { "font-weight": "bold" });
  paragraph(told.about, 13, { fill: "var(--soft)" });
  y += 16;
  const drawing = drawChart(model, inner), height = Number(drawing.getAttribute("height"));
  drawing.setAttribute("x", edge);
  drawing.setAttribute("y", y);
  whole.append(drawing);
  y += height;
  let x = edge;
  for (const sign of SIGNS) {
    const [picture, words] = drawSign(sign);
    picture.setAttribute("x", x);
    picture.setAttribute("y", y + 2);
    whole.append(picture, writing(x + 42, y + 12, words, { "font-size": 12, fill: "var(--soft)" }));
    x += 42 + widthOf(words, 12) + 26;
  }
  y += 16;
  for (const fact of told.facts) paragraph(fact, 12, { fill: "var(--soft)" });
  y += edge;
  whole.prepend(element("rect", { width, height: y, fill: "var(--paper)" }));
  whole.setAttribute("viewBox", `0 0 ${width} ${y}`);
  whole.setAttribute("width", width);
  whole.setAttribute("height", y);
  return whole;
}

/** A picture as PNG, on white paper whatever the screen shows; null where it is too tall for any browser to paint. */
async function pngOf(picture) {
  const width = Number(picture.getAttribute("width")), height = Number(picture.getAttribute("height")), scale = Math.min(2, 16000 / height);
  if (scale < 1) return null;
  const paper = document.getElementById("paper");
  const light = (_, name) => {
    paper.style.color = `var(--${name})`;
    return getComputedStyle(paper).color;
  };
  const text = new XMLSerializer().serializeToString(picture).replaceAll(/var\(--([a-z]+)\)/g, light);
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = address;
  await image.decode();
  URL.revokeObjectURL(address);
  const canvas = document.createElement("canvas");
  canvas.width = width * scale;
  canvas.height = height * scale;
  const brush = canvas.getContext("2d");
  brush.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
