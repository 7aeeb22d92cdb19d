"use strict";
// The slider: hide boxes below its threshold, say what that threshold achieves on the holdout studies.
const points = JSON.parse(document.getElementById("points").textContent);
const slider = document.getElementById("threshold");
const boxes = [...document.querySelectorAll(".found")];
const share = (value) => (value === null ? "-" : Math.round(value * 100) + "%");

function show() {
  const [threshold, sensitivity, specificity, precision, found, normal] = points[Number(slider.value)];
  const model = document.querySelector("input[name=model]:checked").value;
  for (const box of boxes) {
    const visible = box.dataset.model === model && (Number(box.dataset.score) >= threshold - 5e-5);
    box.style.display = visible ? "" : "none";
  }
  const text = threshold.toFixed(2);
  document.getElementById("value").textContent = text;
  slider.setAttribute("aria-valuetext", "boxes scoring at least " + text);
  const words = {
    sensitivity: share(sensitivity), specificity: share(specificity), precision: share(precision),
    found: share(found), normal: normal === null ? "-" : normal.toFixed(2),
  };
  for (const [name, word] of Object.entries(words)) document.getElementById("at-" + name).textContent = word;
}

slider.addEventListener("input", show);
document.querySelectorAll("input[name=model]").forEach((input) => input.addEventListener("change", show));
show();
