// Tables that sort by their heads and keep the rows that match a filter. Without this they are whole, in the order of the study.
"use strict";
(() => {
  const number = (text) => {
    const share = /^(\d+)\/(\d+)/.exec(text);
    if (share) return share[1] / share[2];
    const way = /^(higher|lower) in/.exec(text);
    if (way) return way[1] === "higher" ? Infinity : -Infinity;
    const found = /^([−-]?)(∞|\d[\d,]*\.?\d*(?:e[+-]?\d+)?)/.exec(text);
    if (!found) return NaN;
    return (found[1] ? -1 : 1) * (found[2] === "∞" ? Infinity : parseFloat(found[2].replaceAll(",", "")));
  };
  const words = new Intl.Collator("en", { numeric: true });

  // By numbers where all texts of a column begin with one; "–", nothing, comes last either way.
  const compare = (texts) => {
    const there = texts.filter((text) => text !== "–");
    const numeric = there.every((text) => !Number.isNaN(number(text)));
    return (a, b) => {
      if (a === b) return 0;
      if (a === "–" || b === "–") return a === "–" ? Infinity : -Infinity;
      if (!numeric) return words.compare(a, b);
      const [x, y] = [number(a), number(b)];
      return x < y ? -1 : x > y ? 1 : 0;
    };
  };

  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row.cells[column].textContent, row]);
    const order = compare(rows.map(([text]) => text));
    rows.sort(([a], [b]) => {
      const found = order(a, b);
      return Number.isFinite(found) ? (down ? -found : found) : found > 0 ? 1 : -1;
    });
    body.append(...rows.map(([, row]) => row));
  };

  // A word must occur in a row; NAME=VALUE, NAME<VALUE and NAME>VALUE look at the first column whose head ends with the name.
  const test = (term, heads) => {
    const parts = /^([^<>=]+)([<>=])(.+)$/.exec(term);
    const column = parts ? heads.findIndex((head) => head === parts[1] || head.endsWith("." + parts[1]) || head.startsWith(parts[1])) : -1;
    if (column < 0) return (row) => row.textContent.toLowerCase().includes(term.toLowerCase());
    const [, , sign, value] = parts;
    const wanted = number(value.replace(/^inf(inity)?$/i, "∞"));
    return (row) => {
      const text = row.cells[column].textContent;
      if (sign === "=") return Number.isNaN(wanted) ? text.toLowerCase().startsWith(value.toLowerCase()) : number(text) === wanted;
      return sign === "<" ? number(text) < wanted : number(text) > wanted;
    };
  };

  document.querySelectorAll("table.rich").forEach((table, index) => {
    const heads = [...table.tHead.rows[0].cells];
    const names = heads.map((head) => head.textContent);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down);
      });
    });
    if (table.tBodies[0].rows.length < 4) return;
    const tools = document.createElement("div");
    tools.className = "tools";
    const label = document.createElement("label");
    label.textContent = `Filter ${table.dataset.name.toLowerCase()} `;
    const input = document.createElement("input");
    input.type = "search";
    input.id = `filter-${index}`;
    input.placeholder = "words, or name=value, name<value";
    label.htmlFor = input.id;
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    const rows = [...table.tBodies[0].rows];
    const filter = () => {
      const tests = input.value.trim().split(/\s+/).filter(Boolean).map((term) => test(term, names));
      let shown = 0;
      for (const row of rows) {
        row.hidden = !tests.every((one) => one(row));
        shown += !row.hidden;
      }
      said.textContent = `${shown} of ${rows.length} rows`;
    };
    input.addEventListener("input", filter);
    tools.append(label, input, said);
    table.closest(".scroll").before(tools);
    filter();
  });
})();
