// Curves of single runs: zoom by pointer or keys, log axes, the run under the pointer by its name, cells switched on and off; charts move together.
(() => {
  const holder = document.getElementById("charts");
  if (!holder) return;
  const data = JSON.parse(document.getElementById("curve-data").textContent);
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b08900", "#3a9bd6", "#7a5195", "#777777"];
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const HEIGHT = 240;
  const look = (cell) => ({ colour: COLOURS[cell % COLOURS.length], dash: DASHES[(cell + Math.floor(cell / COLOURS.length)) % DASHES.length] });
  const shown = new Set(data.shown);
  const panels = [];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const name = (run) => `${data.cells[run.cell]}, seed ${run.seed}${run.status === "finished" ? "" : `, ${run.status}`}`;
  const short = (value) => {
    if (value == null) return "–";
    const rounded = Number(value.toPrecision(4));
    const plain = rounded === 0 || (Math.abs(rounded) >= 1e-4 && Math.abs(rounded) < 1e6);
    return plain ? rounded.toString() : rounded.toExponential().replace("e+", "e");
  };

  const digit = (value, round) => {
    const unit = 10 ** Math.floor(Math.log10(value));
    return round(value / unit) * unit; // one digit, so that an axis ends at a mark
  };
  const marks = (low, high) => { // of a log axis: few enough to have room, over any number of decades
    const first = Math.floor(Math.log10(low));
    const decades = Math.ceil(Math.log10(high)) - first;
    const digits = decades <= 1 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : decades <= 3 ? [1, 2, 5] : [1];
    const step = Math.ceil(decades / 8);
    const found = [];
    for (let at = first; at <= first + decades; at += step) found.push(...digits.map((of) => Number(`${of}e${at}`)));
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  };

  const readout = element("p", { className: "readout" });
  const nothing = "Point at a line to see which run it is.";
  readout.textContent = nothing;

  // --- The cells to be drawn
  const box = element("fieldset", { className: "cellbox" }, element("legend", { textContent: "Cells drawn" }));
  const choices = element("div", { className: "choices" });
  const inputs = data.cells.map((cell, index) => {
    const input = element("input", { type: "checkbox", checked: shown.has(index) });
    const { colour, dash } = look(index);
    const sample = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    sample.setAttribute("viewBox", "0 0 32 8");
    sample.setAttribute("aria-hidden", "true");
    for (const [key, value] of Object.entries({ x1: 0, x2: 32, y1: 4, y2: 4, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") })) line.setAttribute(key, value);
    sample.append(line);
    input.addEventListener("change", () => {
      shown[input.checked ? "add" : "delete"](index);
      draw();
    });
    choices.append(element("label", {}, input, sample, cell));
    return input;
  });
  const all = (on) => () => {
    inputs.forEach((input, index) => {
      input.checked = on;
      shown[on ? "add" : "delete"](index);
    });
    draw();
  };
  const button = (text, press) => {
    const made = element("button", { type: "button", textContent: text });
    made.addEventListener("click", press);
    return made;
  };
  const zoom = (from, to) => () => { // to this part of the steps shown, for who does not drag; following moves the other charts
    const [{ chart }] = panels;
    const [first, last] = [data.steps[0], data.steps.at(-1)];
    const { min, max } = chart.scales.x;
    const width = Math.min((max - min) * (to - from), last - first);
    const low = Math.min(Math.max(min + (max - min) * from, first), last - width);
    chart.setScale("x", { min: low, max: low + width });
  };
  const whole = () => panels.forEach(({ chart }) => chart.setData(chart.data));
  const zooming = element("div", { className: "tools" }, ...Object.entries({
    "Zoom in": zoom(0.25, 0.75), "Zoom out": zoom(-0.5, 1.5), Earlier: zoom(-0.5, 0.5), Later: zoom(0.5, 1.5), "All steps": whole,
  }).map(([text, press]) => button(text, press)));
  box.append(element("div", { className: "tools" }, button("All", all(true)), button("None", all(false))), choices);
  box.hidden = data.cells.length < 2;

  // --- The charts
  const sync = uPlot.sync("curves");
  let following = false;
  const follow = (u, key) => {
    if (key !== "x" || following) return;
    following = true;
    const { min, max } = u.scales.x;
    for (const { chart } of panels) if (chart && chart !== u) chart.setScale("x", { min, max });
    following = false;
  };
  const say = (u, index) => {
    const run = index ? u.runs[index - 1] : null;
    const at = u.cursor.idx;
    if (!run || at == null) {
      readout.textContent = nothing;
      return;
    }
    const values = Object.entries(data.titles).map(([key, title]) => `${title.toLowerCase()} ${short(run[key][at])}`);
    readout.textContent = `${name(run)}, step ${data.steps[at]}: ${values.join(", ")}`;
  };

  const chart = (panel) => {
    const runs = data.runs.filter((run) => shown.has(run.cell));
    const log = panel.log && runs.some((run) => run[panel.key].some((value) => value > 0));
    const values = runs.map((run) => data.steps.map((_, i) => {
      const value = run[panel.key][i];
      if (value == null || (log && value <= 0)) return null;
      return log ? Math.log10(value) : value; // uPlot's own log axis has no marks beyond 1e17
    }));
    const marked = log ? { splits: (u, index, low, high) => marks(10 ** low, 10 ** high).map(Math.log10) } : {};
    const axis = { stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const options = {
      width: panel.place.clientWidth || 400, height: HEIGHT, legend: { show: false },
      cursor: { sync: { key: sync.key, setSeries: true }, focus: { prox: 24 }, drag: { x: true, y: false } },
      focus: { alpha: 0.15 },
      scales: { x: { time: false }, y: { range: (u, low, high) => (log ? [digit(10 ** (low ?? 0), Math.floor), digit(10 ** (high ?? 1), Math.ceil)].map(Math.log10) : uPlot.rangeNum(low ?? 0, high ?? 1, 0.05, true)) } },
      axes: [axis, { ...axis, ...marked, size: 64, values: (u, splits) => splits.map((value) => (value == null ? "" : short(log ? 10 ** value : value))) }],
      series: [{}, ...runs.map((run) => ({ label: name(run), stroke: look(run.cell).colour, dash: look(run.cell).dash, width: 1.2, spanGaps: true, points: { show: false } }))],
      hooks: { setScale: [follow], setSeries: [say] },
    };
    const made = new uPlot(options, [data.steps, ...values], panel.place);
    made.runs = runs;
    return made;
  };
  const draw = () => {
    for (const panel of panels) {
      panel.chart?.destroy();
      panel.chart = chart(panel);
      panel.place.setAttribute("aria-label", `${data.titles[panel.key]} by step, of ${panel.chart.runs.length} runs`);
    }
    readout.textContent = nothing;
  };

  const grid = element("div", { className: "panels" });
  for (const [key, title] of Object.entries(data.titles)) {
    const panel = { key, log: key !== "clipped", place: element("div"), chart: null };
    panel.place.setAttribute("role", "img");
    const toggle = button("log axis", () => {
      panel.log = !panel.log;
      toggle.setAttribute("aria-pressed", panel.log);
      draw();
    });
    toggle.setAttribute("aria-pressed", panel.log);
    toggle.setAttribute("aria-label", `Logarithmic axis: ${title}`);
    grid.append(element("div", { className: "panel" }, element("h3", {}, element("span", { textContent: title }), toggle), panel.place));
    panels.push(panel);
  }
  holder.append(box, zooming, readout, grid);
  holder.hidden = false;
  document.getElementById("without-script").remove();
  draw();
  let width = holder.clientWidth;
  new ResizeObserver(() => {
    if (holder.clientWidth === width) return;
    width = holder.clientWidth;
    for (const panel of panels) panel.chart.setSize({ width: panel.place.clientWidth, height: HEIGHT });
  }).observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
