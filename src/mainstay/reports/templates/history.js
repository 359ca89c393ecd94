"use strict";
(() => {
  document.documentElement.classList.add("scripted");

  const metrics = [...document.querySelectorAll("article.metric")];
  const searchMetrics = document.getElementById("search-metrics");
  const showMetrics = () => {
    const wanted = searchMetrics.value.trim().toLowerCase();
    let count = 0;
    for (const metric of metrics) {
      metric.hidden = !metric.dataset.name.includes(wanted);
      count += metric.hidden ? 0 : 1;
    }
    document.getElementById("shown-metrics").textContent = `${count} of ${metrics.length} metrics`;
  };
  searchMetrics.addEventListener("input", showMetrics);

  const months = [...document.querySelectorAll("details.month")].map((month, number) => ({
    month,
    wasOpen: number === 0,
    rows: [...month.querySelectorAll("tbody tr")],
  }));
  const total = months.reduce((sum, { rows }) => sum + rows.length, 0);
  const searchRuns = document.getElementById("search-runs");
  const verdict = document.getElementById("verdict");
  const showRuns = () => {
    const wanted = searchRuns.value.trim().toLowerCase();
    const isFiltered = wanted !== "" || verdict.value !== "";
    let count = 0;
    let opened = 0;
    for (const { month, rows, wasOpen } of months) {
      let inMonth = 0;
      for (const row of rows) {
        row.hidden = !(row.dataset.s.includes(wanted) && (verdict.value === "" || row.dataset.v === verdict.value));
        inMonth += row.hidden ? 0 : 1;
      }
      month.hidden = inMonth === 0;
      month.open = isFiltered ? inMonth > 0 && opened < 500 : wasOpen;
      opened += inMonth;
      count += inMonth;
    }
    document.getElementById("shown-runs").textContent = `${count} of ${total} runs`;
  };
  searchRuns.addEventListener("input", showRuns);
  verdict.addEventListener("change", showRuns);
})();
