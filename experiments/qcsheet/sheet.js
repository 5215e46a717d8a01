"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const main = one("#cards"), cards = all(".card");
  const inputs = Object.fromEntries(["text", "reason", "level", "marked", "order", "size"].map((id) => [id, one("#" + id)]));
  const stages = all("details.stage").map((d) => ({ fold: d, open: d.open, rows: all("tbody tr", d) }));
  const columns = ["patient_id", "scan", "reader", "verdict", "note"];
  const keyOf = (patient, scan, reader) => JSON.stringify([patient, String(scan), reader]);
  const own = (card) => keyOf(card.dataset.patient, card.dataset.scan, card.dataset.reader);
  const byKey = new Map(cards.map((c) => [own(c), c]));
  // Pages of one folder share their marks; another folder's, though it holds the same patients, has its own.
  const shelf = "hounsfield qc " + location.pathname;
  let marks = {}, current = null;

  const say = (text) => { one("#said").textContent = text; };
  const words = new Map(cards.map((c) => [c, (one("h2", c).textContent + " " + one(".facts", c).textContent).toLowerCase()]));

  // The mark of a card, unless it was given for another cube.
  const markOf = (card) => {
    const m = marks[own(card)];
    return m && m.cube === card.dataset.cube ? m : { verdict: "", note: "" };
  };

  const load = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(shelf) || "{}");
      marks = kept && typeof kept === "object" && !Array.isArray(kept) ? kept : {};
    } catch (e) {
      marks = {};
      say("This browser keeps no marks of this page: save them as CSV before you close it.");
    }
  };
  const keep = () => {
    try {
      localStorage.setItem(shelf, JSON.stringify(marks));
    } catch (e) {
      say("This browser cannot keep the marks (" + e.name + "): save them as CSV before you close the page.");
    }
  };

  const paint = (card) => {
    const m = markOf(card), label = one(".verdict", card), note = one(".remark", card);
    for (const b of all("[data-verdict]", card)) b.setAttribute("aria-pressed", String(b.dataset.verdict === m.verdict));
    if (note.value !== m.note) note.value = m.note;
    label.hidden = !m.verdict && !m.note;
    label.className = "verdict " + m.verdict;
    label.textContent = m.verdict + (m.note ? (m.verdict ? ": " : "note: ") + m.note : "");
  };
  const counted = () => {
    const done = cards.filter((c) => markOf(c).verdict).length;
    one("#reviewed").textContent = done + " of " + cards.length;
  };
  const mark = (card, change) => {
    const m = { ...markOf(card), ...change, cube: card.dataset.cube };
    load(); // another tab may have marked since
    if (m.verdict || m.note) marks[own(card)] = m; else delete marks[own(card)];
    keep();
    paint(card);
    counted();
  };

  const fits = (card) => {
    const level = card.dataset.level, m = markOf(card), wanted = inputs.level.value;
    const text = words.get(card) + " " + m.note.toLowerCase();
    return inputs.text.value.toLowerCase().split(/\s+/).every((w) => text.includes(w)) &&
      (!inputs.reason.value || card.dataset.rules.split("|").includes(inputs.reason.value)) &&
      (!wanted || (wanted === "any" ? level !== "" : wanted === "none" ? level === "" : level === wanted)) &&
      (!inputs.marked.value || (inputs.marked.value === "open" ? !m.verdict : inputs.marked.value === "note" ? m.note !== "" : m.verdict === inputs.marked.value));
  };
  const filter = () => {
    let shown = 0;
    for (const c of cards) if ((c.hidden = !fits(c)) === false) shown++;
    one("#shown").textContent = shown === cards.length ? "All contours are shown" : shown + " of " + cards.length + " contours";
    one("#nothing").hidden = shown > 0 || cards.length === 0;
    const wanted = inputs.text.value.toLowerCase().split(/\s+/);
    const asked = wanted.some((w) => w);
    for (const s of stages) {
      for (const row of s.rows) row.hidden = !wanted.every((w) => row.textContent.toLowerCase().includes(w));
      s.fold.hidden = s.rows.every((row) => row.hidden);
      if (asked !== s.asked) { s.fold.open = asked || s.open; s.asked = asked; }
    }
  };
  const place = new Map(cards.map((c, i) => [c, i])); // the page's own order: by suspicion
  const names = new Intl.Collator("en", { numeric: true });
  const sort = () => {
    const by = { score: () => 0, patient: (a, b) => names.compare(a.dataset.patient, b.dataset.patient), volume: (a, b) => b.dataset.volume - a.dataset.volume }[inputs.order.value];
    const focused = document.activeElement;
    main.append(...[...cards].sort((a, b) => by(a, b) || place.get(a) - place.get(b)));
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  };
  const inOrder = () => all(".card", main);

  const go = (card) => {
    if (current) current.classList.remove("current");
    current = card;
    if (!card) return;
    card.classList.add("current");
    const bar = one("#bar"), under = getComputedStyle(bar).position === "sticky" ? bar.offsetHeight + 8 : 8;
    document.documentElement.style.setProperty("--under-bar", under + "px");
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "start" });
  };
  // step goes to the next card that is shown, or the one before; cards that no longer fit leave then.
  const step = (by) => {
    const order = inOrder();
    let i = current ? order.indexOf(current) : by > 0 ? -1 : order.length;
    filter();
    do i += by; while (i >= 0 && i < order.length && order[i].hidden);
    if (i >= 0 && i < order.length) go(order[i]);
    else if (current && current.hidden) go(order.find((c) => !c.hidden) || null);
  };

  const quoted = (v) => (/[",\r\n]/.test(v) ? '"' + v.replaceAll('"', '""') + '"' : v);
  const written = () => {
    const rows = [...cards].sort((a, b) => place.get(a) - place.get(b)).filter((c) => markOf(c).verdict || markOf(c).note)
      .map((c) => [c.dataset.patient, c.dataset.scan, c.dataset.reader, markOf(c).verdict, markOf(c).note]);
    return [columns, ...rows].map((r) => r.map(quoted).join(",") + "\n").join("");
  };
  // parsed is a CSV text as rows of cells (RFC 4180: quotes doubled inside quotes).
  const parsed = (text) => {
    const rows = [];
    let row = [], cell = "", inside = false, i = 0;
    const endCell = () => { row.push(cell); cell = ""; };
    const endRow = () => { endCell(); if (row.length > 1 || row[0] !== "") rows.push(row); row = []; };
    text = text.replace(/^\uFEFF/, "");
    for (; i < text.length; i++) {
      const ch = text[i];
      if (inside) {
        if (ch === '"' && text[i + 1] === '"') { cell += '"'; i++; }
        else if (ch === '"') inside = false;
        else cell += ch;
      } else if (ch === '"' && cell === "") inside = true;
      else if (ch === ",") endCell();
      else if (ch === "\n") endRow();
      else if (ch !== "\r") cell += ch;
    }
    if (inside) throw new Error("a quoted cell never ends");
    if (cell !== "" || row.length) endRow();
    return rows;
  };
  const readBack = (text) => {
    const [head, ...rows] = parsed(text);
    const at = columns.map((c) => (head || []).indexOf(c));
    const missing = columns.filter((_, i) => at[i] < 0);
    if (missing.length) throw new Error("it has no column " + missing.join(", ") + "; a file of marks has " + columns.join(", "));
    const given = {};
    let unknown = 0, taken = 0;
    rows.forEach((r, n) => {
      const [patient, scan, reader, verdict, note] = at.map((i) => r[i] ?? "");
      if (!["ok", "bad", ""].includes(verdict)) throw new Error("row " + (n + 1) + " (patient " + patient + ") has the verdict “" + verdict + "”; allowed are ok, bad and nothing");
      const card = byKey.get(keyOf(patient, scan, reader));
      if (!card) unknown++;
      else if (verdict || note) { given[own(card)] = { verdict, note, cube: card.dataset.cube }; taken++; }
    });
    load();
    Object.assign(marks, given);
    keep();
    refresh();
    say("Read the marks of " + taken + " contours." + (unknown ? " " + unknown + " rows are of contours that this sheet does not have." : ""));
  };

  const refresh = () => { cards.forEach(paint); counted(); filter(); };

  for (const [id, input] of Object.entries(inputs)) {
    if (id === "order") input.addEventListener("change", sort);
    else if (id === "size") input.addEventListener("change", () => main.classList.toggle("small", input.value === "small"));
    else input.addEventListener(id === "text" ? "input" : "change", filter);
  }
  one("#bar").addEventListener("submit", (e) => e.preventDefault());
  one("#save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([written()], { type: "text/csv;charset=utf-8" }));
    link.download = "qc-marks.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
  one("#open").addEventListener("change", async (e) => {
    const file = e.target.files[0];
    if (!file) return;
    try { readBack(await file.text()); } catch (problem) { say(file.name + " cannot be used: " + problem.message + ". Nothing was changed."); }
    e.target.value = "";
  });
  one("#forget").addEventListener("click", () => {
    const n = cards.filter((c) => markOf(c).verdict || markOf(c).note).length;
    if (n > 0 && confirm("Forget the marks of " + n + " contours in this browser? Save them first if you may need them.")) {
      marks = {};
      keep();
      refresh();
    }
  });
  main.addEventListener("click", (e) => {
    const card = e.target.closest(".card"), button = e.target.closest("[data-verdict]");
    if (!card) return;
    if (card !== current) { if (current) current.classList.remove("current"); current = card; card.classList.add("current"); }
    if (button) mark(card, { verdict: markOf(card).verdict === button.dataset.verdict ? "" : button.dataset.verdict });
  });
  main.addEventListener("focusin", (e) => {
    const card = e.target.closest(".card");
    if (card && card !== current) { if (current) current.classList.remove("current"); current = card; card.classList.add("current"); }
  });
  main.addEventListener("input", (e) => {
    if (e.target.matches(".remark")) mark(e.target.closest(".card"), { note: e.target.value });
  });
  addEventListener("storage", (e) => { if (e.key === shelf || e.key === null) { load(); refresh(); } });
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    const field = e.target.closest && e.target.closest("input, select, textarea");
    if (field) {
      if (e.key === "Escape") { if (current && current.contains(field)) go(current); else field.blur(); }
      else if (e.key === "Enter" && field.matches(".remark")) { e.preventDefault(); step(1); }
      else if (e.key === "Enter" && field === inputs.text) { e.preventDefault(); current = null; step(1); }
      return;
    }
    const onCard = current && !current.hidden;
    const act = {
      j: () => step(1), k: () => step(-1), "/": () => inputs.text.focus(),
      o: () => { if (onCard) { mark(current, { verdict: "ok" }); step(1); } },
      b: () => { if (onCard) { mark(current, { verdict: "bad" }); one(".remark", current).focus(); } },
      n: () => { if (onCard) one(".remark", current).focus(); },
      u: () => { if (onCard) mark(current, { verdict: "", note: "" }); },
      p: () => { const picture = onCard && one(".picture a", current); if (picture) picture.click(); },
    }[e.key];
    if (act) { e.preventDefault(); act(); }
  });

  document.documentElement.classList.add("js");
  load();
  refresh();
})();
