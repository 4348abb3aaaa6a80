// Figures that a reader can ask. seo_core/figures/interactive.py writes the markup, as the text of a script of no known
// kind; here it takes the place of the drawn figure that it names. Without this script that figure stays.
(() => {
  "use strict";

  const unpack = (island) => {
    const holder = document.createElement("div");
    holder.innerHTML = island.textContent; // names in it are escaped where it is written
    const graphic = holder.firstElementChild;
    const figure = document.getElementById(island.dataset.instead);
    const drawn = figure && (figure.querySelector(".frame.figure") || figure.querySelector("img"));
    if (graphic.dataset.kind === "boxes") {
      const image = figure && figure.querySelector("img");
      if (image) {
        image.before(graphic);
        graphic.prepend(image);
        graphic.style.minWidth = image.style.getPropertyValue("--least"); // as wide as the image in a frame that scrolls
      }
    } else if (drawn) {
      drawn.hidden = true;
      drawn.before(graphic);
    } else {
      island.before(graphic);
    }
    return graphic;
  };

  const part = (graphic, name) => graphic.querySelector(`[data-part="${name}"]`);

  // -- points to filter ----------------------------------------------------------------------

  const explore = (graphic) => {
    const points = [...graphic.querySelectorAll(".point")];
    const sliders = [...graphic.querySelectorAll("[data-limits]")];
    const method = part(graphic, "method");
    const tip = part(graphic, "tip");

    const ask = (point) => {
      tip.textContent = point.getAttribute("aria-label");
      for (const other of points) other.classList.toggle("asked", other.dataset.name === point.dataset.name);
    };

    // What a slider lets through: a number of its list, or anything at its end.
    const limit = (slider) => {
      const values = JSON.parse(slider.dataset.values);
      return values[Number(slider.value)] ?? Infinity;
    };

    const inside = (point) => (!method.value || point.dataset.method === method.value) && sliders.every((slider) => {
      const most = limit(slider);
      const value = point.dataset[slider.dataset.limits];
      return most === Infinity || (value !== undefined && Number(value) <= most + 1e-9);
    });

    const first = (left, key, word, unit, better) => {
      const known = left.filter((point) => point.dataset[key] !== undefined);
      if (!known.length) return "";
      const best = known.reduce((a, b) => (better(Number(b.dataset[key]), Number(a.dataset[key])) ? b : a));
      return ` ${word}: ${best.dataset.name}, ${Number(best.dataset[key]).toFixed(1)}${unit}.`;
    };
    const more = (a, b) => a > b;
    const less = (a, b) => a < b;

    const filter = () => {
      for (const slider of sliders) {
        const most = limit(slider);
        const words = most === Infinity ? "any" : `at most ${most} ${slider.dataset.unit}`;
        slider.previousElementSibling.textContent = words.replace("-", "−");
        slider.setAttribute("aria-valuetext", words);
      }
      for (const point of points) point.classList.toggle("outside", !inside(point));
      const networks = new Map(points.map((point) => [point.dataset.name, point]));
      const left = [...networks.values()].filter(inside);
      part(graphic, "left").textContent = left.length
        ? `${left.length} of ${networks.size} networks remain${left.length === 1 ? "s" : ""}.`
          + first(left, "accuracy", "Most accurate", "%", more)
          + first(left, "megabytes", "Smallest", " MB", less) + first(left, "ms", "Fastest", " ms a batch", less)
        : `None of ${networks.size} networks remains.`;
    };

    for (const panel of graphic.querySelectorAll("svg")) {
      const mine = [...panel.querySelectorAll(".point")];
      const reach = (point) => { // one stop of the Tab key for each panel
        for (const other of mine) other.setAttribute("tabindex", other === point ? "0" : "-1");
      };
      reach(mine.find((point) => point.classList.contains("best")) || mine[0]);
      panel.addEventListener("pointerover", ({ target }) => target.closest(".point") && ask(target.closest(".point")));
      panel.addEventListener("click", ({ target }) => target.closest(".point") && ask(target.closest(".point")));
      panel.addEventListener("focusin", ({ target }) => (reach(target), ask(target)));
      panel.addEventListener("keydown", (event) => {
        const open = mine.filter((point) => point === event.target || !point.classList.contains("outside"));
        const to = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!to) return;
        event.preventDefault();
        (open[open.indexOf(event.target) + to] || event.target).focus();
      });
    }
    graphic.addEventListener("input", filter);
    filter();
  };

  // -- rounds to step through -----------------------------------------------------------------

  const steps = (graphic) => {
    const said = JSON.parse(graphic.dataset.says);
    const slider = graphic.querySelector("input");
    const parts = [...graphic.querySelectorAll("[data-from]")];

    const show = (number) => {
      const at = Math.min(Math.max(number, 1), said.length);
      slider.value = at;
      slider.setAttribute("aria-valuetext", `round ${at} of ${said.length}`);
      for (const each of parts) {
        const { from, to } = each.dataset;
        each.classList.toggle("away", at < Number(from) || (to !== undefined && at > Number(to)));
      }
      part(graphic, "previous").disabled = at === 1;
      part(graphic, "next").disabled = at === said.length;
      part(graphic, "says").textContent = said[at - 1];
    };

    slider.addEventListener("input", () => show(Number(slider.value)));
    part(graphic, "previous").addEventListener("click", () => show(Number(slider.value) - 1));
    part(graphic, "next").addEventListener("click", () => show(Number(slider.value) + 1));
    show(said.length); // all of it, as in the drawn figure
  };

  const start = () => {
    for (const island of document.querySelectorAll("script.interactive")) {
      const graphic = unpack(island);
      ({ explore, steps, boxes: () => {} })[graphic.dataset.kind](graphic); // links need no more than their place
    }
  };
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
