/* Copyright (c) 2026 frugal.cloud contributors
   GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
   Sorting and filtering of the actions, and values under the pointer. The page reads without it. */
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const table = byId("action-table");
  const SHORT = 25;
  if (table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...body.rows];
    const shown = byId("shown");
    const everything = shown.textContent;
    const filters = ["text", "status", "finding", "risk"].map((name) => byId("filter-" + name));
    const showAll = byId("show-all");
    let limit = SHORT;
    const [text, status, finding, risk] = filters;
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const value = (row, column) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
    };

    const filter = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      let money = 0;
      for (const row of rows) {
        const keep =
          words.every((word) => texts.get(row).includes(word)) &&
          (!status.value || row.dataset.status === status.value) &&
          (!finding.value || row.dataset.finding === finding.value) &&
          (!risk.value || Number(row.dataset.risk) <= Number(risk.value));
        row.hidden = !keep || count >= limit;
        if (keep) {
          count += 1;
          money += Number(row.dataset.money);
        }
      }
      showAll.hidden = count <= limit;
      showAll.textContent = `Show all ${count}`;
      const currency = table.dataset.currency;
      const sum = currency ? `, saving ${currency} ${Math.round(money).toLocaleString("en-US")}/month together` : "";
      const active = filters.some((control) => control.value);
      shown.textContent = active ? `${count} of ${rows.length} actions${sum}.` : everything;
    };

    const sort = (column, direction) => {
      const sign = direction === "ascending" ? 1 : -1;
      const order = new Intl.Collator("en", { numeric: true });
      rows.sort((left, right) => {
        const a = value(left, column);
        const b = value(right, column);
        return sign * (typeof a === "number" ? a - b : order.compare(a, b));
      });
      heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? direction : "none"));
      body.append(...rows);
      filter();
    };

    showAll.addEventListener("click", () => {
      limit = Infinity;
      filter();
    });
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const first = head.classList.contains("n") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        sort(column, head.getAttribute("aria-sort") === first ? other : first);
      });
    });
    byId("sort-by").addEventListener("change", (event) => {
      const column = Number(event.target.value);
      sort(column, heads[column].classList.contains("n") ? "descending" : "ascending");
    });
    filters.forEach((control) => control.addEventListener("input", filter));
    filter();
  }

  for (const svg of document.querySelectorAll("svg[data-usage]")) {
    const output = svg.parentElement.querySelector("output");
    let cursor = null;
    let series = null;
    const leave = () => {
      output.textContent = "";
      if (cursor) cursor.remove();
      cursor = null;
    };
    svg.addEventListener("pointermove", (event) => {
      const { left, right, days, p99, maximum } = svg.dataset;
      series = series || [days.split("|"), p99.split("|"), maximum.split("|")];
      const box = svg.viewBox.baseVal;
      const area = svg.getBoundingClientRect();
      const at = ((event.clientX - area.left) / area.width) * box.width;
      const last = series[0].length - 1;
      const share = (at - left) / (right - left);
      const i = Math.min(last, Math.max(0, Math.round(share * last)));
      output.textContent = `${series[0][i]}: p99 ${series[1][i] || "no data"}, maximum ${series[2][i] || "no data"}`;
      if (!cursor) {
        cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
        cursor.setAttribute("class", "cursor");
        svg.append(cursor);
      }
      const x = last ? Number(left) + ((right - left) * i) / last : (Number(left) + Number(right)) / 2;
      cursor.setAttribute("d", `M${x} 10V${box.height - 20}`);
    });
    svg.addEventListener("pointerleave", leave);
  }
})();
