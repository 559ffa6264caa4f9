"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("data").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = "12px system-ui, sans-serif";
  const sync = uPlot.sync("examples");
  const plots = [];

  const count = (v) => {
    for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
      if (Math.abs(v) >= size) return +(v / size).toPrecision(4) + unit;
    }
    return String(v);
  };
  const short = (v) => (v == null ? "–" : Math.abs(v) >= 1e4 ? count(v) : String(+v.toPrecision(4)));
  const axis = (values, size) => ({
    stroke: () => css("--soft"), font, size, gap: 6, values: (u, ticks) => ticks.map((v) => (v == null ? "" : values(v))),
    grid: { stroke: () => css("--grid"), width: 1 }, ticks: { show: false },
  });
  // a curve that does not move still deserves an axis around it
  const range = (u, low, high) => {
    if (low == null) return [0, 1];
    if (high - low > 1e-9 * Math.max(1, Math.abs(high))) return uPlot.rangeNum(low, high, 0.1, true);
    const room = Math.max(Math.abs(low) * 0.2, 0.1);
    return [low - room, high + room];
  };

  document.getElementById("no-script")?.remove();
  for (const chart of charts) {
    const box = document.getElementById("chart-" + chart.id);
    const thin = chart.series.some((s) => s.thin);
    const options = {
      width: Math.max(200, box.clientWidth), height: 230, legend: { live: !thin },
      class: !thin ? "live" : chart.series.length > 8 ? "many" : "few", padding: [8, 14, 0, 0],
      cursor: { sync: { key: sync.key }, points: { size: 6 }, focus: { prox: thin ? 24 : -1 } },
      focus: { alpha: 0.25 },
      scales: { x: { time: false }, y: { range } },
      axes: [Object.assign(axis(count, 34), { space: 56 }), axis(short, 58)],
      series: [{ label: "examples", value: (u, v) => (v == null ? "–" : v.toLocaleString("en")) }].concat(
        chart.series.map((s) => ({
          label: s.label, stroke: () => css("--c" + s.colour), width: s.thin ? 0.9 : 1.6, dash: s.dash ? [5, 4] : undefined,
          points: { show: chart.x.length < 3 ? true : undefined }, value: (u, v) => short(v), spanGaps: false,
        }))),
    };
    box.textContent = ""; // the words that stand there without JavaScript
    const plot = new uPlot(options, [chart.x].concat(chart.series.map((s) => s.values)), box);
    plots.push([box, plot]);
  }
  // away from the charts, legends show the last values
  const last = () => {
    for (const [, plot] of plots) if (plot.legend.live) plot.setLegend({ idx: plot.data[0].length - 1 }, false);
  };
  for (const [, plot] of plots) plot.over.addEventListener("mouseleave", () => requestAnimationFrame(last));
  requestAnimationFrame(last);
  const fit = new ResizeObserver(() => {
    for (const [box, plot] of plots) {
      if (Math.abs(plot.width - box.clientWidth) > 1) plot.setSize({ width: Math.max(200, box.clientWidth), height: 230 });
    }
  });
  for (const [box] of plots) fit.observe(box);
  const recolour = () => {
    for (const [, plot] of plots) {
      plot.redraw(false, true);
      // legend markers are elements of the page, coloured once when they are made; x, the first series, may have none
      const markers = [...plot.root.querySelectorAll(".u-legend .u-marker")];
      markers.forEach((marker, i) => {
        const series = plot.series[i + plot.series.length - markers.length];
        if (series.stroke) marker.style.borderColor = marker.style.background = series.stroke(plot);
      });
    }
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  recolour();
})();
