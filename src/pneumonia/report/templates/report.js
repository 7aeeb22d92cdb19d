"use strict";
// The slider: what its setting does on the holdout, in the table, on the curves, and on the cases.
const data = JSON.parse(document.getElementById("settings").textContent);
const slider = document.getElementById("threshold");
const radios = [...document.querySelectorAll("input[name=model]")];
const cases = [...document.querySelectorAll(".case")];
const points = [...document.querySelectorAll("[data-chart] .point")];
const homes = points.map((point) => ["cx", "cy"].map((name) => point.getAttribute(name)));
const share = (part, whole) => (whole ? Math.floor((part / whole) * 100 + 0.5) + "%" : "-");
let current = "";

function measures(model, row) {
  const [, , tp, fp, fn, tn, found, normal] = row;
  return {
    sensitivity: share(tp, tp + fn), specificity: share(tn, tn + fp), precision: share(tp, tp + fp), npv: share(tn, tn + fn),
    box_sensitivity: model.boxes ? share(found, data.truths) : "-",
    boxes_per_normal: model.boxes && fp + tn ? (Math.floor((normal / (fp + tn)) * 100 + 0.5) / 100).toFixed(2) : "-",
    true_positives: tp, false_positives: fp, false_negatives: fn, true_negatives: tn,
  };
}

function outcome(ill, called, placed, boxes) {
  if (!ill) return called ? "false alarm" : "left alone";
  if (!called) return "missed";
  return boxes ? (placed ? "found" : "box elsewhere") : "called";
}

function showCases(name, model, threshold, boxThreshold) {
  for (const study of cases) {
    let placed = false;
    for (const box of study.querySelectorAll(".found")) {
      const visible = box.dataset.model === name && Number(box.dataset.score) >= boxThreshold;
      box.style.display = visible ? "" : "none";
      placed = placed || (visible && box.classList.contains("hit"));
    }
    const called = Number(study.dataset[name]) >= threshold;
    const badge = study.querySelector(".badge");
    badge.dataset.outcome = badge.textContent = outcome(study.dataset.ill === "1", called, placed, model.boxes);
  }
}

function movePoints(name, row) {
  const [, , tp, fp, fn, tn] = row;
  const places = { roc: [fp / (fp + tn), tp / (tp + fn)], pr: [tp / (tp + fn), tp / (tp + fp)] };
  points.forEach((point, i) => {
    const chart = point.closest("[data-chart]");
    const [left, top, width, height] = chart.dataset.frame.split(" ").map(Number);
    const [x0, x1, y0, y1] = chart.dataset.limits.split(" ").map(Number);
    const [x, y] = places[chart.dataset.chart];
    const own = point.dataset.model === name;
    point.classList.toggle("moving", own);
    if (!own) {
      point.setAttribute("cx", homes[i][0]);
      point.setAttribute("cy", homes[i][1]);
      return;
    }
    point.style.display = Number.isFinite(x) && Number.isFinite(y) ? "" : "none";
    if (point.style.display === "none") return;
    point.setAttribute("cx", left + ((x - x0) / (x1 - x0)) * width);
    point.setAttribute("cy", top + height - ((y - y0) / (y1 - y0)) * height);
  });
}

function show() {
  const name = radios.find((radio) => radio.checked).value;
  const model = data.models[name];
  if (name !== current) {
    current = name;
    slider.max = model.rows.length - 1;
    slider.value = model.start;
    document.querySelectorAll("[data-chosen]").forEach((cell) => { cell.textContent = model.chosen[cell.dataset.chosen]; });
    document.querySelectorAll("[data-model-name]").forEach((place) => { place.textContent = model.name; });
  }
  const row = model.rows[Number(slider.value)];
  const words = measures(model, row);
  document.querySelectorAll("[data-live]").forEach((place) => { place.textContent = words[place.dataset.live]; });
  const text = "called from a score of " + row[0].toFixed(2) + (model.boxes ? ", boxes from " + row[1].toFixed(2) : "");
  document.getElementById("value").textContent = text;
  const said = model.name + " " + text + ": sensitivity " + words.sensitivity + ", specificity " + words.specificity;
  slider.setAttribute("aria-valuetext", said);
  document.getElementById("reset").disabled = Number(slider.value) === model.start;
  showCases(name, model, row[0], row[1]);
  movePoints(name, row);
  return said;
}

const say = () => { document.getElementById("said").textContent = show(); };
slider.addEventListener("input", show); // a screen reader reads aria-valuetext itself
radios.forEach((radio) => radio.addEventListener("change", say));
document.getElementById("reset").addEventListener("click", () => {
  slider.value = data.models[current].start;
  say();
  slider.focus();
});
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("main > section details, .steered details").forEach((part) => { part.open = true; });
});
// The browser may have kept the form of an earlier visit: begin at the ensemble's chosen point.
radios.forEach((radio) => { radio.checked = radio.value === "ensemble"; });
show();
