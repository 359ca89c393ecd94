"use strict";
(() => {
  const NUMBER = /^[-+]?\d+(\.\d+)?(e[-+]?\d+)?$/i;
  const byText = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const byNumber = (a, b) => Number(a) - Number(b);

  const makeSortable = (head, rows, keyOf, compare) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentElement.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      rows.sort((a, b) => (ascending ? 1 : -1) * compare(keyOf(a), keyOf(b)));
      rows[0].parentElement.append(...rows);
    });
  };

  const findings = document.querySelector("table.findings");
  if (findings) {
    document.documentElement.classList.add("scripted");
    const rows = [...findings.tBodies[0].rows];
    const filter = document.getElementById("filter");
    const verdict = document.getElementById("verdict");
    const shown = document.getElementById("shown");

    const show = () => {
      const wanted = filter.value.trim().toLowerCase();
      let count = 0;
      for (const row of rows) {
        const fits =
          row.dataset.name.toLowerCase().includes(wanted) &&
          (verdict.value === "" || row.dataset.verdict === verdict.value);
        row.hidden = !fits;
        document.getElementById(row.dataset.target).hidden = !fits;
        count += fits ? 1 : 0;
      }
      shown.textContent = `${count} of ${rows.length} findings`;
    };
    /* a page of few findings has no filter */
    filter?.addEventListener("input", show);
    verdict?.addEventListener("change", show);

    for (const head of findings.querySelectorAll("th[data-sort]")) {
      const key = head.dataset.sort;
      makeSortable(head, rows, (row) => row.dataset[key], key === "name" ? byText : byNumber);
    }
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const rows = [...table.tBodies[0].rows];
    for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
      const cells = rows.map((row) => row.cells[i].textContent);
      const keyOf = (row) => row.cells[i].textContent;
      if (cells.every((cell) => NUMBER.test(cell))) makeSortable(head, rows, keyOf, byNumber);
      else if (!cells.some((cell) => /^[-+\d]/.test(cell))) makeSortable(head, rows, keyOf, byText);
    }
  }

  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    const folded = target?.closest("details");
    if (!folded) return;
    folded.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });
})();
