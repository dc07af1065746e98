// One figure has one rounding: what a list says of a row is what the page of the row says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_MAX_MS, withPage } from "./support.mjs";

// In each list the first amount of a row is its cost, and its delta the change.
const LISTS = [
  { path: "/services", link: "/services/" },
  { path: "/services?env=production&basis=billed", link: "/services/" },
  { path: "/teams", link: "/teams/" },
  { path: "/environments", link: "/environments/" },
];

for (const { path, link } of LISTS) {
  test(`rows of ${path} and their pages show the same figures`, { timeout: 2 * TEST_MAX_MS }, async (t) => {
    await withPage({}, async (page) => {
      await page.goto(path);
      const rows = await page.locator("main table.table").first().evaluate(readRows, link);
      assert.ok(rows.length > 4, `${rows.length} rows`);
      const wrong = [];
      for (const row of rows) {
        await page.goto(row.href);
        const own = await page.locator(".figures > div").first().evaluate((figure) => ({
          values: figure.querySelector(".value").textContent.split(/\s+and\s+/).map((text) => text.trim()),
          changes: [...figure.querySelectorAll(".delta")].map((delta) => delta.textContent.trim().split(" ")[0]),
        }));
        for (const text of row.costs) {
          const value = own.values.find((value) => currency(value) === currency(text));
          if (!isSame(value, text)) wrong.push(`${row.href}: ${text} in the list, ${value} on its page`);
        }
        for (const text of row.changes) {
          const change = own.changes.find((change) => currency(change) === currency(text));
          if (!isSame(change, text)) wrong.push(`${row.href}: ${text} in the list, ${change} on its page`);
        }
      }
      t.diagnostic(`${rows.length} rows`);
      assert.deepEqual(wrong, []);
    });
  });
}

/** In the page: rows that lead to a page of their own, with their costs and changes, one a currency. */
function readRows(table, link) {
  const changeAt = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim() === "Change");
  const texts = (cell) => {
    const amounts = [...cell.querySelectorAll(".amount")];
    return (amounts.length ? amounts : [cell]).map((one) => one.textContent.trim());
  };
  return [...table.tBodies[0].rows].flatMap((row) => {
    const href = row.cells[0].querySelector("a")?.getAttribute("href");
    const costs = texts(row.cells[changeAt - 1]);
    if (!href?.startsWith(link) || !/\d/.test(costs[0])) return [];
    const changes = texts(row.cells[changeAt]).map((text) => text.split(" ")[0]);
    return [{ href, costs, changes }];
  });
}

/** `$` of `+$1,234.50`. */
function currency(text) {
  return text.replace(/[\d.,+±\u2212\s-]/g, "");
}

/** The same text, or the same number where one of them is written with fewer decimals: `$45` and `$45.20`. */
function isSame(left, right) {
  if (left === undefined || right === undefined) return false;
  const number = (text) => Number(text.replace(/[^\d.\u2212-]/g, "").replace("\u2212", "-"));
  const decimals = (text) => text.split(".")[1]?.match(/^\d+/)?.[0].length ?? 0;
  if (decimals(left) === decimals(right)) return left.replace("±", "") === right.replace("±", "");
  return Math.round(number(left)) === Math.round(number(right));
}
