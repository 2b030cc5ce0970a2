"use strict";

function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/* Charts. `window.charts` has the view of each, once it is drawn. */
window.charts = {};

function fitLegends(config, width) {
  return width < 480 ? { ...config, legend: { ...config.legend, columns: 2 } } : config;
}

async function draw(figure, spec, config) {
  const result = await vegaEmbed(figure.querySelector(".drawing"), spec, {
    ast: true, // the page forbids itself to run text as code
    bind: figure.querySelector(".inputs"),
    config: fitLegends(config, figure.clientWidth),
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
  });
  window.charts[figure.dataset.chart] = result.view;
}

async function drawAll() {
  const drawings = readJson("drawings");
  const config = readJson("config");
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    await draw(figure, drawings[figure.dataset.chart], config);
  }
  document.documentElement.dataset.ready = "yes";
}

/* Tables. A click on a heading sorts by it, another one the other way; what is empty stays last. */
function compareValues(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}

function sortTable(heading) {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const keyed = [...body.rows].map((row) => [
    JSON.parse(row.cells[heading.cellIndex].dataset.value),
    row,
  ]);
  keyed.sort(([one], [other]) =>
    one === null || other === null
      ? (one === null) - (other === null)
      : direction * compareValues(one, other),
  );
  body.append(...keyed.map(([, row]) => row));
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
}

for (const heading of document.querySelectorAll("th")) {
  heading.firstElementChild.addEventListener("click", () => sortTable(heading));
}

drawAll();
