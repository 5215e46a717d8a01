// The explorer of a notebook page: controls, plots and tables over the data embedded
// beside this script. Nothing is fetched and no kernel is asked.
(function () {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";
  // Dark enough on white for 3:1, told apart also by marker and dash.
  const COLOURS = ["#0072B2", "#C1440E", "#00795B", "#9C4A86", "#222222", "#8A6100", "#4B5FC0", "#A3244B"];
  const DASHES = ["", "7 3", "2 3", "8 3 2 3"];

  function el(name, attributes, ...children) {
    const e = document.createElement(name);
    for (const k in attributes || {}) e.setAttribute(k, attributes[k]);
    e.append(...children);
    return e;
  }
  function draw(name, attributes, ...children) {
    const e = document.createElementNS(NS, name);
    for (const k in attributes || {}) e.setAttribute(k, attributes[k]);
    e.append(...children);
    return e;
  }
  function marker(kind, x, y, colour) {
    const r = 4, common = { fill: colour, stroke: "#fff", "stroke-width": 1 };
    switch (kind % 4) {
      case 1: return draw("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, ...common });
      case 2: return draw("path", { d: `M${x} ${y - r - 1}L${x + r + 1} ${y + r}L${x - r - 1} ${y + r}Z`, ...common });
      case 3: return draw("path", { d: `M${x} ${y - r - 2}L${x + r + 2} ${y}L${x} ${y + r + 2}L${x - r - 2} ${y}Z`, ...common });
      default: return draw("circle", { cx: x, cy: y, r: r, ...common });
    }
  }
  // Round values, 1, 2 or 5 times a power of ten apart, about n of them.
  function ticks(low, high, n) {
    if (!(high > low)) return { values: [low], text: (v) => String(+v.toPrecision(4)) };
    const raw = (high - low) / n, power = Math.pow(10, Math.floor(Math.log10(raw)));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const values = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) values.push(k * step);
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return { values, text: (v) => v.toFixed(decimals).replace("-", "\u2212") };
  }
  function span(values) {
    let low = Infinity, high = -Infinity;
    for (const v of values) if (v !== null && isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
    if (low > high) return [0, 1];
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    return [low - room, high + room];
  }

  function start(root) {
    const data = JSON.parse(root.querySelector(".hnb-data").textContent);
    const body = root.querySelector(".hnb-body");
    body.textContent = "";
    if (data.title) body.append(el("h4", {}, data.title));
    const state = data.controls.map((c) =>
      c.kind === "slider" ? Number((c.initial || [c.max])[0]) : new Set(c.initial || (c.kind === "select" ? c.options.slice(0, 1) : c.options)));
    const controls = el("div", { class: "hnb-controls" });
    data.controls.forEach((c, i) => controls.append(control(c, i)));
    if (data.controls.length) body.append(controls);
    const panels = data.panels.map((panel) => {
      const p = { panel, y: 0, sort: null, place: el("section", { "aria-label": panel.title || "panel" }), shown: el("div"), drawn: el("div"), count: el("p", { class: "hnb-note", "aria-live": "polite" }) };
      if (panel.title) p.place.append(el("h4", {}, panel.title));
      if (panel.plot && panel.plot.y.length > 1) p.place.append(axis(p));
      p.place.append(p.drawn, p.count, p.shown);
      body.append(p.place);
      return p;
    });

    function control(c, i) {
      if (c.kind === "checks") {
        const set = el("fieldset", {}, el("legend", {}, c.label));
        for (const option of c.options) {
          const box = el("input", { type: "checkbox" });
          box.checked = state[i].has(option);
          box.addEventListener("change", () => { box.checked ? state[i].add(option) : state[i].delete(option); update(); });
          set.append(el("label", {}, box, option));
        }
        return set;
      }
      if (c.kind === "slider") {
        const value = el("output", {}, String(+state[i].toPrecision(4)));
        const range = el("input", { type: "range", min: c.min, max: c.max, step: c.step || "any" });
        range.value = state[i];
        range.addEventListener("input", () => { state[i] = Number(range.value); value.textContent = String(+state[i].toPrecision(4)); update(); });
        return el("label", { class: "hnb-one" }, el("span", { class: "hnb-label" }, c.label), el("span", {}, range, " ", value));
      }
      const select = el("select");
      for (const option of c.options) select.append(el("option", { value: option }, option));
      select.value = [...state[i]][0];
      select.addEventListener("change", () => { state[i] = new Set([select.value]); update(); });
      return el("label", { class: "hnb-one" }, el("span", { class: "hnb-label" }, c.label), select);
    }
    function axis(p) {
      const select = el("select");
      p.panel.plot.y.forEach((k, i) => select.append(el("option", { value: i }, p.panel.columns[k].head)));
      select.addEventListener("change", () => { p.y = Number(select.value); update(); });
      return el("div", { class: "hnb-controls" }, el("label", { class: "hnb-one" }, el("span", { class: "hnb-label" }, "Drawn"), select));
    }
    function picked(panel) {
      const rows = [];
      panel.rows.forEach((row, r) => {
        const inside = data.controls.every((c, i) => c.columns.every((name) => {
          const k = panel.columns.findIndex((column) => column.name === name);
          if (k < 0) return true;
          return c.kind === "slider" ? row[k] === null || row[k] <= state[i] : state[i].has(panel.texts[r][k]);
        }));
        if (inside) rows.push(r);
      });
      return rows;
    }
    function update() {
      for (const p of panels) {
        const rows = picked(p.panel);
        p.count.textContent = `${rows.length} of ${p.panel.rows.length} rows`;
        p.drawn.textContent = "";
        if (p.panel.plot && rows.length) p.drawn.append(p.panel.plot.kind === "intervals" ? intervals(p.panel, rows) : curves(p, rows));
        p.shown.textContent = "";
        p.shown.append(grid(p, rows));
      }
    }

    function grid(p, rows) {
      const { panel } = p;
      const order = rows.slice();
      if (p.sort) {
        const { k, down } = p.sort;
        order.sort((a, b) => {
          const x = panel.rows[a][k], y = panel.rows[b][k];
          if (x === null || y === null) return (x === null) - (y === null);
          return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
        });
      }
      const header = el("tr");
      for (const k of panel.show) {
        const c = panel.columns[k], on = p.sort && p.sort.k === k;
        const button = el("button", { type: "button", title: c.about || "sort" }, c.head + (on ? (p.sort.down ? " \u2193" : " \u2191") : ""));
        button.addEventListener("click", () => { p.sort = { k, down: on && !p.sort.down }; update(); p.shown.querySelectorAll("th button")[panel.show.indexOf(k)].focus(); });
        header.append(el("th", { scope: "col", class: c.number ? "hnb-number" : "", "aria-sort": on ? (p.sort.down ? "descending" : "ascending") : "none" }, button));
      }
      const lines = order.map((r) => el("tr", {}, ...panel.show.map((k) => el("td", { class: panel.columns[k].number ? "hnb-number" : "" }, panel.texts[r][k]))));
      return el("div", { class: "hnb-scroll", tabindex: "0", role: "region", "aria-label": (panel.title || "") + " table" },
        el("table", {}, el("thead", {}, header), el("tbody", {}, ...lines)));
    }

    // A frame with axes; x and y map values to places.
    function frame(width, height, margin, xs, ys, xName, yName) {
      const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${yName ? yName + " over " : ""}${xName}` });
      const x = (v) => margin.left + ((v - xs[0]) / (xs[1] - xs[0])) * (width - margin.left - margin.right);
      const y = ys && ((v) => height - margin.bottom - ((v - ys[0]) / (ys[1] - ys[0])) * (height - margin.top - margin.bottom));
      const across = ticks(xs[0], xs[1], 7);
      for (const v of across.values) {
        svg.append(draw("line", { x1: x(v), x2: x(v), y1: margin.top, y2: height - margin.bottom + 4, stroke: "#e0e0e0" }),
          draw("text", { x: x(v), y: height - margin.bottom + 18, "text-anchor": "middle" }, across.text(v)));
      }
      if (y) {
        const up = ticks(ys[0], ys[1], 5);
        for (const v of up.values) {
          svg.append(draw("line", { x1: margin.left - 4, x2: width - margin.right, y1: y(v), y2: y(v), stroke: "#e0e0e0" }),
            draw("text", { x: margin.left - 8, y: y(v) + 4, "text-anchor": "end" }, up.text(v)));
        }
        svg.append(draw("text", { x: 0, y: 0, transform: `translate(13 ${(height - margin.bottom + margin.top) / 2}) rotate(-90)`, "text-anchor": "middle" }, yName));
      }
      svg.append(draw("rect", { x: margin.left, y: margin.top, width: width - margin.left - margin.right, height: height - margin.top - margin.bottom, fill: "none", stroke: "#767676" }),
        draw("text", { x: (margin.left + width - margin.right) / 2, y: height - 6, "text-anchor": "middle" }, xName));
      return { svg, x, y };
    }
    function names(panel, series, r) { return series.map((k) => panel.texts[r][k]).join(", "); }
    function told(panel, r) { return panel.show.map((k) => `${panel.columns[k].head}: ${panel.texts[r][k]}`).join("\n"); }
    function spot(shape, text) {
      const g = draw("g", { tabindex: "0", role: "img", "aria-label": text.replace(/\n/g, ", ") }, draw("title", {}, text), shape);
      return g;
    }

    function intervals(panel, rows) {
      const plot = panel.plot, width = Math.max(420, Math.min(root.clientWidth - 22 || 720, 960)), line = 26;
      const labels = rows.map((r) => names(panel, plot.series, r));
      const margin = { left: Math.min(width * 0.45, 20 + 6.4 * Math.max(...labels.map((s) => s.length))), right: 16, top: 18, bottom: 40 };
      const height = margin.top + margin.bottom + line * rows.length;
      const xs = span(rows.flatMap((r) => [plot.low, plot.high, plot.x].map((k) => panel.rows[r][k])).concat(plot.at.map((m) => m.value)));
      const { svg, x } = frame(width, height, margin, xs, null, panel.columns[plot.x].head, "");
      for (const m of plot.at) {
        svg.append(draw("line", { x1: x(m.value), x2: x(m.value), y1: margin.top, y2: height - margin.bottom, stroke: "#555", "stroke-dasharray": "4 3" }),
          draw("text", { x: x(m.value), y: 12, "text-anchor": "middle" }, m.name));
      }
      rows.forEach((r, i) => {
        const row = panel.rows[r], mid = margin.top + line * (i + 0.5);
        svg.append(draw("text", { x: margin.left - 8, y: mid + 4, "text-anchor": "end" }, labels[i]));
        if (row[plot.low] !== null && row[plot.high] !== null) svg.append(draw("line", { x1: x(row[plot.low]), x2: x(row[plot.high]), y1: mid, y2: mid, stroke: COLOURS[0], "stroke-width": 2 }));
        if (row[plot.x] !== null) svg.append(spot(marker(1, x(row[plot.x]), mid, COLOURS[0]), told(panel, r)));
      });
      return svg;
    }

    function curves(p, rows) {
      const { panel } = p, plot = panel.plot, ky = plot.y[p.y];
      const width = Math.max(420, Math.min(root.clientWidth - 22 || 720, 960)), height = 340, margin = { left: 64, right: 16, top: 14, bottom: 44 };
      const groups = new Map();
      const all = []; // a series keeps its colour whatever is picked
      panel.rows.forEach((_, r) => { const name = names(panel, plot.series, r); if (!all.includes(name)) all.push(name); });
      for (const r of rows) {
        const row = panel.rows[r];
        if (row[plot.x] === null || row[ky] === null) continue;
        const name = names(panel, plot.series, r);
        if (!groups.has(name)) groups.set(name, []);
        groups.get(name).push(r);
      }
      const xs = span(rows.map((r) => panel.rows[r][plot.x])), ys = span(rows.map((r) => panel.rows[r][ky]));
      const { svg, x, y } = frame(width, height, margin, xs, ys, panel.columns[plot.x].head, panel.columns[ky].head);
      for (const m of plot.at) {
        if (m.value < ys[0] || m.value > ys[1]) continue;
        svg.append(draw("line", { x1: margin.left, x2: width - margin.right, y1: y(m.value), y2: y(m.value), stroke: "#555", "stroke-dasharray": "4 3" }),
          draw("text", { x: width - margin.right - 4, y: y(m.value) - 4, "text-anchor": "end" }, m.name));
      }
      for (const [name, members] of groups) {
        const i = all.indexOf(name), colour = COLOURS[i % COLOURS.length];
        const place = (r) => [x(panel.rows[r][plot.x]), y(panel.rows[r][ky])];
        if (plot.kind === "lines") {
          const sorted = members.slice().sort((a, b) => panel.rows[a][plot.x] - panel.rows[b][plot.x]);
          svg.append(draw("polyline", { points: sorted.map((r) => place(r).map((v) => v.toFixed(1)).join(",")).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": DASHES[i % DASHES.length] }));
        }
        for (const r of members) svg.append(spot(marker(i, ...place(r), colour), (name ? name + "\n" : "") + told(panel, r)));
      }
      const box = el("div", {}, svg);
      if (plot.series.length) {
        const key = el("div", { class: "hnb-controls" });
        for (const name of groups.keys()) {
          const i = all.indexOf(name), colour = COLOURS[i % COLOURS.length];
          const sample = draw("svg", { viewBox: "0 0 34 14", style: "width:34px;height:14px;display:inline-block", "aria-hidden": "true" },
            draw("line", { x1: 1, x2: 33, y1: 7, y2: 7, stroke: plot.kind === "lines" ? colour : "none", "stroke-width": 2, "stroke-dasharray": DASHES[i % DASHES.length] }), marker(i, 17, 7, colour));
          key.append(el("span", { class: "hnb-note" }, sample, " " + name));
        }
        box.append(key);
      }
      return box;
    }

    // JupyterLab acts on keys that bubble out of a cell, such as the arrows of a slider.
    root.addEventListener("keydown", (e) => e.stopPropagation());
    update();
    let width = root.clientWidth;
    if (window.ResizeObserver) new ResizeObserver(() => { if (Math.abs(root.clientWidth - width) > 8) { width = root.clientWidth; update(); } }).observe(root);
  }

  for (const root of document.querySelectorAll('.hnb[data-hnb="HNB_ID"]:not([data-ready])')) {
    root.setAttribute("data-ready", "");
    start(root);
  }
})();
