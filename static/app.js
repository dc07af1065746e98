// Progressive enhancement only. Every page works with this file missing.
// No inline script, no eval, no innerHTML: safe under script-src 'self' and Trusted Types.

// 1. Day inspector: a native range input drives the crosshair and the legend column.
for (const fig of document.querySelectorAll("[data-inspect]")) {
  const table = document.getElementById(fig.dataset.inspect);
  const rows = [...table.tBodies[0].rows];
  const scrub = fig.querySelector("input.scrub");
  const lines = fig.querySelectorAll(".crosshair");
  const cells = document.querySelectorAll("[data-day-col]");
  const head = document.querySelector("[data-day-head]");
  const n = rows.length;
  const show = (i) => {
    const c = rows[i].cells;
    const x = ((i + 0.5) / n) * 100 + "%";
    for (const l of lines) { l.setAttribute("x1", x); l.setAttribute("x2", x); l.classList.remove("off"); }
    const status = c[Number(fig.dataset.totalCol) + 1];
    const day = c[0].textContent + (status ? ", " + status.textContent : "");
    head.textContent = day;
    for (const td of cells) td.textContent = c[Number(td.dataset.dayCol)].textContent;
    scrub.setAttribute("aria-valuetext", day + ": total " + c[Number(fig.dataset.totalCol)].textContent);
  };
  scrub.max = String(n - 1);
  scrub.value = fig.dataset.start;
  scrub.addEventListener("input", () => show(Number(scrub.value)));
  for (const plot of fig.querySelectorAll("[data-plot]"))
    plot.addEventListener("pointermove", (e) => {
      const r = plot.getBoundingClientRect();
      const i = Math.min(n - 1, Math.max(0, Math.floor(((e.clientX - r.left) / r.width) * n)));
      scrub.value = String(i); show(i);
    });
  for (const el of fig.querySelectorAll("[data-js]")) el.classList.remove("off");
  scrub.disabled = false;
}

// 2. Filters apply on change; the Apply button stays for keyboard and no-script use.
for (const f of document.querySelectorAll("form[data-auto]"))
  f.addEventListener("change", (e) => { if (e.target instanceof HTMLSelectElement) f.requestSubmit(); });

// 3. Theme: the server renders data-theme from a cookie, so there is no flash and nothing to do here.

// 4. "/" moves to search; can be turned off in preferences (WCAG 2.1.4).
if (document.documentElement.dataset.shortcuts !== "off")
  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target.closest?.("input, select, textarea, [contenteditable]")) return;
    e.preventDefault();
    document.querySelector('input[type="search"]')?.focus();
  });

// 5. Print buttons.
for (const b of document.querySelectorAll("[data-print]")) { b.classList.remove("off"); b.addEventListener("click", () => print()); }
