"use strict";
// Draws what the records say; every figure is in the tables too.
(() => {
  const records = JSON.parse(document.getElementById("records").textContent);
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3]];
  const span = ns => ns < 1e3 ? ns + " ns" : ns < 1e6 ? +(ns / 1e3).toPrecision(3) + " us"
    : ns < 1e9 ? +(ns / 1e6).toPrecision(3) + " ms" : +(ns / 1e9).toPrecision(3) + " s";
  const number = n => n == null ? "-" : Math.abs(n) >= 100 ? Math.round(n).toLocaleString("en") : +n.toPrecision(3) + "";
  const axis = more => ({ stroke: style("--ink"), grid: { stroke: style("--line"), width: 1 },
    ticks: { stroke: style("--line") }, ...more });
  const plots = [];

  function plot(id, options, data) {
    const place = document.getElementById(id);
    if (!place || data[0].length === 0) return;
    const draw = () => {
      place.replaceChildren();
      const made = new uPlot({ width: Math.max(place.clientWidth, 260), height: 280, ...options() }, data, place);
      const canvas = made.root.querySelector("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", place.dataset.label);
    };
    draw();
    plots.push(draw);
  }

  // The HdrHistogram axis: each nine of a percentile as wide as the one before.
  const nines = quantile => quantile >= 1 ? null : 1 / (1 - quantile);
  function percentiles() {
    const curves = [];
    records.forEach((record, n) => {
      for (const [name, colour] of [["response", "--one"], ["service", "--two"], ["one_way", "--one"]]) {
        const latency = record.latency[name];
        if (latency) curves.push({ label: (records.length > 1 ? record.name + " " : "") + name, colour, n,
          points: latency.ladder.map(step => [nines(step[1]), Math.max(step[0], 1)]).filter(point => point[0]) });
      }
    });
    const places = [...new Set(curves.flatMap(curve => curve.points.map(point => point[0])))].sort((a, b) => a - b);
    const column = curve => {
      const at = new Map(curve.points);
      return places.map(place => at.has(place) ? at.get(place) : null);
    };
    plot("percentiles", () => ({
      scales: { x: { time: false, distr: 3 }, y: { distr: 3 } },
      axes: [axis({ label: "percentile", values: (_, all) => all.map(at => at == null ? "" :
        +(100 * (1 - 1 / at)).toFixed(5) + " %") }),
        axis({ label: "latency", size: 70, values: (_, all) => all.map(ns => ns == null ? "" : span(ns)) })],
      series: [{ label: "percentile", value: (_, at) => at == null ? "-" : +(100 * (1 - 1 / at)).toFixed(4) + " %" },
        ...curves.map(curve => ({ label: curve.label, stroke: style(curve.colour), width: 2, spanGaps: true,
          dash: DASHES[curve.n % 4], value: (_, ns) => ns == null ? "-" : span(ns) }))],
    }), [places, ...curves.map(column)]);
  }

  function heat(record, columns) {
    return chart => {
      const context = chart.ctx;
      const most = Math.max(1, ...columns.flatMap(row => row.bands.map(band => band[1])));
      context.save();
      context.beginPath();
      context.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height);
      context.clip();
      for (const row of columns) {
        const left = chart.valToPos(row.at_s - row.span_s, "x", true);
        const right = chart.valToPos(row.at_s, "x", true);
        row.bands.forEach(([bound, count], n) => {
          if (!count) return;
          const below = n > 0 ? row.bands[n - 1][0] : bound / 2;
          const top = chart.valToPos(bound, "y", true);
          const bottom = chart.valToPos(below, "y", true);
          context.fillStyle = `rgba(${style("--heat")}, ${0.12 + 0.6 * Math.log1p(count) / Math.log1p(most)})`;
          context.fillRect(left, top, Math.max(right - left, 1), Math.max(bottom - top, 1));
        });
      }
      context.restore();
    };
  }

  function overTime(record, n) {
    const rows = record.series;
    const times = rows.map(row => row.at_s);
    const per = key => rows.map(row => row.span_s > 0 ? row[key] / row.span_s : null);
    const x = { label: "seconds since the run began" };
    plot(`rates-${n}`, () => ({
      scales: { x: { time: false } },
      axes: [axis(x), axis({ label: "a second", size: 80, values: (_, all) => all.map(number) }),
        axis({ label: "connections", side: 1, scale: "up", size: 70, grid: { show: false },
          values: (_, all) => all.map(number) })],
      series: [{ label: "at", value: (_, at) => at == null ? "-" : at.toFixed(1) + " s" },
        { label: "sent/s", stroke: style("--two"), width: 2, dash: [8, 4], value: (_, v) => number(v) },
        { label: "received/s", stroke: style("--one"), width: 2, value: (_, v) => number(v) },
        { label: "connections up", stroke: style("--soft"), scale: "up", width: 1, dash: [2, 3],
          value: (_, v) => number(v) }],
    }), [times, per("sent"), per("received"), rows.map(row => row.up)]);
    const heard = rows.filter(row => row.samples > 0);
    const bounds = heard.flatMap(row => row.bands.map(band => band[0]));
    // Whole decades: that is where a logarithmic axis has its lines.
    const decade = (round, ns) => 10 ** round(Math.log10(ns));
    const range = [decade(Math.floor, Math.min(...bounds) / 2), decade(Math.ceil, Math.max(...bounds))];
    plot(`heat-${n}`, () => ({
      scales: { x: { time: false, range: [0, Math.max(...times, 1)] }, y: { distr: 3, range } },
      hooks: { drawAxes: [heat(record, heard)] },
      axes: [axis(x), axis({ label: "latency", size: 70, values: (_, all) => all.map(ns => ns == null ? "" : span(ns)) })],
      series: [{ label: "at", value: (_, at) => at == null ? "-" : at.toFixed(1) + " s" },
        { label: "p50", stroke: style("--ink"), width: 2, value: (_, ns) => ns == null ? "-" : span(ns) },
        { label: "p99", stroke: style("--two"), width: 2, dash: [8, 4], value: (_, ns) => ns == null ? "-" : span(ns) }],
    }), [heard.map(row => row.at_s), heard.map(row => row.p50_ns), heard.map(row => row.p99_ns)]);
    const cores = Math.max(0, ...rows.map(row => row.busy.length));
    plot(`busy-${n}`, () => ({
      scales: { x: { time: false }, y: { range: [0, 1] } },
      axes: [axis(x), axis({ label: "busy", values: (_, all) => all.map(part => Math.round(part * 100) + " %") })],
      series: [{ label: "at", value: (_, at) => at == null ? "-" : at.toFixed(1) + " s" },
        ...Array.from({ length: cores }, (_, core) => ({ label: "core " + core, width: 2,
          stroke: style(core % 2 ? "--two" : "--one"), dash: DASHES[Math.floor(core / 2) % 4],
          value: (_, part) => part == null ? "-" : Math.round(part * 100) + " %" }))],
    }), [times, ...Array.from({ length: cores }, (_, core) => rows.map(row => row.busy[core] ?? null))]);
  }

  percentiles();
  records.forEach(overTime);
  let last = innerWidth;
  const again = () => plots.forEach(draw => draw());
  addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; again(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
})();
