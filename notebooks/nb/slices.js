// The slice viewer of a notebook page: three planes of a CT with contours and a coloured
// overlay, from the pictures embedded beside this script. Nothing is fetched and no kernel
// is asked.
(function () {
  "use strict";
  // x runs to the patient's left, y to the back, z to the head. A plane shows axis `right`
  // to the right and axis `down` downwards, turned where `up` says so.
  const PLANES = [
    { name: "Axial", normal: 2, right: 0, down: 1, up: false, letters: ["R", "L", "A", "P"] },
    { name: "Coronal", normal: 1, right: 0, down: 2, up: true, letters: ["R", "L", "H", "F"] },
    { name: "Sagittal", normal: 0, right: 1, down: 2, up: true, letters: ["A", "P", "H", "F"] },
  ];
  const AXES = ["x", "y", "z"];
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

  function el(name, attributes, ...children) {
    const e = document.createElement(name);
    for (const k in attributes || {}) e.setAttribute(k, attributes[k]);
    e.append(...children);
    return e;
  }
  const minus = (text) => String(text).replace("-", "\u2212");

  // voxels reads a sheet of axial slices, row by row, into one array stored z, y, x.
  async function voxels(png, n, columns) {
    const picture = new Image();
    await new Promise((read, failed) => {
      picture.onload = read;
      picture.onerror = () => failed(new Error("a picture is damaged"));
      picture.src = "data:image/png;base64," + png;
    });
    const canvas = el("canvas");
    canvas.width = picture.naturalWidth;
    canvas.height = picture.naturalHeight;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(picture, 0, 0);
    const out = new Uint8Array(n * n * n);
    for (let z = 0; z < n; z++) {
      const tile = pen.getImageData((z % columns) * n, Math.floor(z / columns) * n, n, n).data;
      for (let i = 0; i < n * n; i++) out[z * n * n + i] = tile[4 * i];
    }
    return out;
  }

  // ramp is a colour scale in 256 steps between anchors that are equally far apart.
  function ramp(anchors) {
    const out = [];
    for (let i = 0; i < 256; i++) {
      const t = (i / 255) * (anchors.length - 1), k = Math.min(Math.floor(t), anchors.length - 2);
      out.push(anchors[k].map((c, j) => Math.round(c + (anchors[k + 1][j] - c) * (t - k))));
    }
    return out;
  }

  async function start(root) {
    const data = JSON.parse(root.querySelector(".hnb-data").textContent);
    const body = root.querySelector(".hnb-body"), n = data.size;
    let ct, inside;
    const overlays = [];
    try {
      ct = await voxels(data.ct, n, data.columns);
      inside = data.contours.length ? await voxels(data.masks, n, data.columns) : null;
      for (const o of data.overlays) overlays.push(await voxels(o.png, n, data.columns));
    } catch (e) {
      body.append(el("p", { class: "hnb-note" }, "This browser cannot read the embedded slices (" + e.message + "); the picture above stays as it is."));
      return;
    }
    const state = { at: data.start.slice(), level: data.windows[0].level, width: data.windows[0].width, overlay: overlays.length ? 0 : -1, opacity: 50, seen: data.contours.map(() => true) };
    const place = (axis, k) => data.origin[axis] + k * data.mm;
    const index = (x, y, z) => (z * n + y) * n + x;

    body.textContent = "";
    if (data.title) body.append(el("h4", {}, data.title));
    body.append(controls());
    const said = el("p", { class: "hnb-note", role: "status" });
    const panels = PLANES.map(panel);
    body.append(el("div", { class: "hnb-planes" }, ...panels.map((p) => p.box)), said);

    function control(label, ...parts) { return el("label", { class: "hnb-one" }, el("span", { class: "hnb-label" }, label), el("span", {}, ...parts)); }
    function controls() {
      const row = el("div", { class: "hnb-controls" });
      const choice = el("select");
      data.windows.forEach((w, i) => choice.append(el("option", { value: i }, w.name)));
      choice.append(el("option", { value: "own", disabled: "" }, "own"));
      const level = el("input", { type: "number", step: 10, min: -1500, max: 3500 }), width = el("input", { type: "number", step: 10, min: 1, max: 6000 });
      const show = () => { level.value = state.level; width.value = state.width; };
      choice.addEventListener("change", () => { const w = data.windows[Number(choice.value)]; state.level = w.level; state.width = w.width; show(); update(); });
      for (const box of [level, width]) box.addEventListener("input", () => {
        if (box.value === "" || !(Number(width.value) > 0)) return;
        state.level = Number(level.value); state.width = Number(width.value); choice.value = "own"; update();
      });
      show();
      row.append(control("Window", choice), control("Level (HU)", level), control("Width (HU)", width));
      if (data.overlays.length) {
        const which = el("select");
        data.overlays.forEach((o, i) => which.append(el("option", { value: i }, o.name)));
        which.append(el("option", { value: -1 }, "none"));
        const value = el("output", {}, state.opacity + "%"), opacity = el("input", { type: "range", min: 0, max: 100, step: 1 });
        opacity.value = state.opacity;
        const key = el("span", { class: "hnb-key" });
        which.addEventListener("change", () => { state.overlay = Number(which.value); scale(key); update(); });
        opacity.addEventListener("input", () => { state.opacity = Number(opacity.value); value.textContent = state.opacity + "%"; update(); });
        scale(key);
        row.append(control("Overlay", which), control("Opacity of the overlay", opacity, " ", value), key);
      }
      if (data.contours.length) {
        const set = el("fieldset", {}, el("legend", {}, "Contours"));
        data.contours.forEach((c, i) => {
          const box = el("input", { type: "checkbox" });
          box.checked = true;
          box.addEventListener("change", () => { state.seen[i] = box.checked; update(); });
          const sample = el("canvas", { class: "hnb-sample", width: 28, height: 10, "aria-hidden": "true" }), pen = sample.getContext("2d");
          pen.fillStyle = "#18181c"; pen.fillRect(0, 0, 28, 10);
          line(pen, i, 2); pen.beginPath(); pen.moveTo(2, 5); pen.lineTo(26, 5); pen.stroke();
          set.append(el("label", {}, box, sample, c.name));
        });
        row.append(set);
      }
      return row;
    }
    function scale(key) {
      key.textContent = "";
      if (state.overlay < 0) return;
      const o = data.overlays[state.overlay], colours = ramp(o.ramp);
      const bar = el("canvas", { width: 128, height: 12, role: "img", "aria-label": `colours from ${o.low} to ${o.high}` }), pen = bar.getContext("2d");
      for (let i = 0; i < 128; i++) { pen.fillStyle = `rgb(${colours[2 * i]})`; pen.fillRect(i, 0, 1, 12); }
      key.append(minus(o.low) + " ", bar, " " + minus(o.high) + (o.unit ? " " + o.unit : ""));
    }
    function line(pen, i, width) {
      pen.strokeStyle = data.contours[i].colour;
      pen.lineWidth = width;
      pen.setLineDash(DASHES[Math.floor(i / 4) % DASHES.length]);
    }
    function panel(plane) {
      const canvas = el("canvas", { role: "img", tabindex: "0" });
      const slider = el("input", { type: "range", min: 0, max: n - 1, step: 1 }), where = el("output");
      const move = (axis, k) => { state.at[axis] = Math.min(Math.max(k, 0), n - 1); update(); };
      slider.addEventListener("input", () => move(plane.normal, Number(slider.value)));
      canvas.addEventListener("click", (e) => {
        const r = canvas.getBoundingClientRect();
        const column = Math.floor(((e.clientX - r.left) / r.width) * n), row = Math.floor(((e.clientY - r.top) / r.height) * n);
        state.at[plane.right] = Math.min(Math.max(column, 0), n - 1);
        move(plane.down, plane.up ? n - 1 - row : row);
      });
      canvas.addEventListener("keydown", (e) => {
        const down = plane.up ? -1 : 1;
        const steps = { ArrowLeft: [plane.right, -1], ArrowRight: [plane.right, 1], ArrowUp: [plane.down, -down], ArrowDown: [plane.down, down], PageUp: [plane.normal, 1], PageDown: [plane.normal, -1] }[e.key];
        if (!steps) return;
        e.preventDefault();
        move(steps[0], state.at[steps[0]] + steps[1]);
      });
      const small = el("canvas");
      small.width = small.height = n;
      const box = el("section", { "aria-label": plane.name + " plane" }, canvas, el("label", { class: "hnb-one" }, el("span", { class: "hnb-label" }, plane.name + " slice"), el("span", { class: "hnb-slide" }, slider, " ", where)));
      return { plane, canvas, slider, where, box, small };
    }

    function shades() { // by code: the grey of a value in the window; code 0 is outside the scan
      return data.hu.map((hu, code) => (code === 0 ? 24 : Math.round(255 * Math.min(Math.max((hu - state.level) / state.width + 0.5, 0), 1))));
    }
    function draw(p, grey) {
      const { plane, canvas, small } = p, side = Math.max(canvas.clientWidth, 160), dense = Math.max(window.devicePixelRatio || 1, 1);
      const pen = small.getContext("2d", { willReadFrequently: true }), picture = pen.createImageData(n, n), pixels = picture.data;
      const map = state.overlay < 0 ? null : overlays[state.overlay], o = map && data.overlays[state.overlay], colours = o && ramp(o.ramp);
      const at = state.at.slice(), bits = new Uint8Array(inside ? n * n : 0);
      for (let row = 0; row < n; row++) {
        at[plane.down] = plane.up ? n - 1 - row : row;
        for (let column = 0; column < n; column++) {
          at[plane.right] = column;
          const from = index(...at), to = 4 * (row * n + column), shade = grey[ct[from]];
          let alpha = 0, colour = null;
          if (map && ct[from] !== 0) {
            colour = colours[map[from]];
            alpha = (state.opacity / 100) * Math.abs(map[from] - o.zero) / Math.max(o.zero, 255 - o.zero);
          }
          for (let c = 0; c < 3; c++) pixels[to + c] = colour ? shade + (colour[c] - shade) * alpha : shade;
          pixels[to + 3] = 255;
          if (inside) bits[row * n + column] = inside[from];
        }
      }
      pen.putImageData(picture, 0, 0);
      canvas.width = canvas.height = Math.round(side * dense);
      const large = canvas.getContext("2d"), unit = canvas.width / n;
      large.imageSmoothingEnabled = true;
      large.drawImage(small, 0, 0, canvas.width, canvas.height);
      outline(large, bits, unit, dense);
      // Where the other two planes cut this one.
      const x = (state.at[plane.right] + 0.5) * unit, y = ((plane.up ? n - 1 - state.at[plane.down] : state.at[plane.down]) + 0.5) * unit, gap = 8 * dense;
      large.setLineDash([3 * dense, 3 * dense]);
      large.lineWidth = dense;
      large.strokeStyle = "rgba(255,255,255,0.55)";
      large.beginPath();
      for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, canvas.height]]) { large.moveTo(x0, y0); large.lineTo(x1, y1); }
      large.stroke();
      letters(large, plane.letters, canvas.width, dense);
    }
    // outline draws the edges of voxels between inside and outside.
    function outline(pen, bits, unit, dense) {
      data.contours.forEach((c, i) => {
        if (!state.seen[i]) return;
        const on = (row, column) => row >= 0 && column >= 0 && row < n && column < n && ((bits[row * n + column] >> i) & 1) === 1;
        line(pen, i, 1.6 * dense);
        pen.beginPath();
        for (let row = 0; row <= n; row++) {
          for (let column = 0; column <= n; column++) {
            if (on(row, column) !== on(row, column - 1)) { pen.moveTo(column * unit, row * unit); pen.lineTo(column * unit, (row + 1) * unit); }
            if (on(row, column) !== on(row - 1, column)) { pen.moveTo(column * unit, row * unit); pen.lineTo((column + 1) * unit, row * unit); }
          }
        }
        pen.stroke();
      });
    }
    function letters(pen, [left, right, top, bottom], side, dense) {
      pen.setLineDash([]);
      pen.font = `600 ${13 * dense}px Arial, Helvetica, sans-serif`;
      pen.lineWidth = 3 * dense;
      pen.strokeStyle = "#000";
      pen.fillStyle = "#f0f0f0";
      pen.textBaseline = "middle";
      pen.textAlign = "center";
      const edge = 10 * dense;
      for (const [text, x, y] of [[left, edge, side / 2], [right, side - edge, side / 2], [top, side / 2, edge], [bottom, side / 2, side - edge]]) { pen.strokeText(text, x, y); pen.fillText(text, x, y); }
    }

    function update() {
      const grey = shades(), from = index(...state.at), code = ct[from];
      for (const p of panels) {
        const axis = p.plane.normal, mm = place(axis, state.at[axis]).toFixed(1);
        p.slider.value = state.at[axis];
        p.where.textContent = `${AXES[axis]} ${minus(mm)} mm`;
        p.slider.setAttribute("aria-valuetext", `${AXES[axis]} ${mm} millimetres, slice ${state.at[axis] + 1} of ${n}`);
        p.canvas.setAttribute("aria-label", `${p.plane.name} slice at ${AXES[axis]} ${mm} mm; arrow keys move the cross, page up and down the slice`);
        draw(p, grey);
      }
      const parts = ["x, y, z " + state.at.map((k, axis) => minus(place(axis, k).toFixed(1))).join(", ") + " mm", code === 0 ? "outside the scan" : `about ${minus(data.hu[code])} HU`];
      if (state.overlay >= 0) {
        const o = data.overlays[state.overlay];
        parts.push(`${o.name} ${minus(((overlays[state.overlay][from] - o.zero) * o.step).toPrecision(3))}${o.unit ? " " + o.unit : ""}`);
      }
      const within = data.contours.filter((c, i) => (inside[from] >> i) & 1).map((c) => c.name);
      if (data.contours.length) parts.push(within.length ? "inside " + within.join(", ") : "outside the contours");
      said.textContent = "At the cross: " + parts.join("; ");
    }

    // JupyterLab acts on keys that bubble out of a cell, such as the arrows of a slider.
    root.addEventListener("keydown", (e) => e.stopPropagation());
    update();
    let width = root.clientWidth;
    if (window.ResizeObserver) new ResizeObserver(() => { if (Math.abs(root.clientWidth - width) > 8) { width = root.clientWidth; update(); } }).observe(root);
    root.setAttribute("data-shown", "");
  }

  for (const root of document.querySelectorAll('.hnb[data-hnb="HNB_ID"]:not([data-ready])')) {
    root.setAttribute("data-ready", "");
    start(root);
  }
})();
