// Every total is the sum of the rows above it, as both are shown. Read from the text, as a reader would add it up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_MAX_MS, pages, testEachPage } from "./support.mjs";

let added = 0;

testEachPage("shown totals are the sums of the shown rows", {}, async (page, { path }, t) => {
  await page.goto(path);
  const tables = await page.locator("table:has(tr.total)").evaluateAll(readTables);
  const wrong = [];
  let here = 0;
  for (const table of tables) {
    for (const column of table.columns) {
      const outcome = addUp(table, column);
      here += outcome.added;
      wrong.push(...outcome.wrong.map((text) => `${table.name}, ${column.head}: ${text}`));
    }
  }
  added += here;
  t.diagnostic(`${tables.length} tables, ${here} sums`);
  assert.deepEqual(wrong, []);
});

test("sums were found to be added up", { timeout: TEST_MAX_MS }, async () => {
  assert.ok((await pages()).length > 20);
  assert.ok(added > 50, `${added} sums`);
});

/** In the page: what each row of a table shows, by column. */
function readTables(tables) {
  // A cell has one amount, or one a currency, each in an element of its own; .sub is a remark below it.
  const amounts = (cell) => {
    const parts = cell.querySelectorAll(":scope > .amount, :scope > a > .amount, :scope > div");
    const texts = (parts.length ? [...parts] : [cell]).map((part) => {
      const copy = part.cloneNode(true);
      for (const remark of copy.querySelectorAll(".sub, .vh")) remark.remove();
      return copy.textContent.trim();
    });
    return texts.filter((text) => text !== "");
  };
  return tables.map((table) => {
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => ({
      isTotal: row.classList.contains("total"),
      // The first level of a bridge, or the sum so far.
      isLevel: row.classList.contains("open"),
      // Parts of the row above them that is not a part.
      isPart: row.querySelector("th.indent") !== null,
      cells: [...row.cells].map(amounts),
    }));
    const name = table.caption?.textContent.trim() ?? "table";
    const columns = heads.map((head, index) => ({ head, index })).slice(1);
    return { name, rows, columns };
  });
}

/** The total row against the rows, and each group against its parts. */
function addUp({ rows }, { head, index }) {
  const wrong = [];
  let count = 0;
  const totalRow = rows.find((row) => row.isTotal);
  // Growth in percent is of each row's own base: it does not add up, and is not meant to.
  if (head === "%" || rows.some((row) => row.cells.length !== totalRow.cells.length && row.cells.length > 1)) {
    return { added: 0, wrong };
  }
  // In a bridge the first level counts, as its first row; further down it is the sum of the rows above it.
  const isSubtotal = (row) => row.isLevel && row !== rows[0];
  const compare = (what, parts, whole) => {
    const total = sum([whole], index);
    const parted = sum(parts, index);
    // A column that only one of them fills has nothing to add up.
    if (!total.size || (!parted.size && what !== "the total")) return;
    for (const unit of new Set([...total.keys(), ...parted.keys()])) {
      count += 1;
      const [is, should] = [parted.get(unit) ?? 0n, total.get(unit) ?? 0n];
      if (is !== should) wrong.push(`${what} says ${plain(should)} ${unit}, its rows add up to ${plain(is)}`);
    }
  };
  const body = rows.filter((row) => !row.isTotal && !isSubtotal(row));
  compare("the total", body.filter((row) => !row.isPart), totalRow);
  for (const [position, group] of body.entries()) {
    const parts = [];
    for (let next = position + 1; !group.isPart && body[next]?.isPart; next += 1) parts.push(body[next]);
    if (parts.length) compare(`"${group.cells[0][0]}"`, parts, group);
  }
  for (const [position, level] of rows.entries()) {
    if (isSubtotal(level)) compare(`"${level.cells[0][0]}"`, rows.slice(0, position).filter((row) => !row.isPart), level);
  }
  return { added: count, wrong };
}

/** By unit: the first figure of each text, exactly. */
function sum(rows, index) {
  const sums = new Map();
  for (const text of rows.flatMap((row) => row.cells[index] ?? [])) {
    const figure = parse(text);
    if (figure) sums.set(figure.unit, (sums.get(figure.unit) ?? 0n) + figure.value);
  }
  return sums;
}

const DIGITS = 12;

/** `−$1,234.50 (−3.0%)` is −1234.50 in `$`; `±` is a zero. */
function parse(text) {
  const found = text.match(/^([+\u2212±-]?)\s*([^\d\s(]*?)\s*(\d[\d,]*)(?:\.(\d+))?\s*(k|M|%)?\s*([A-Z]{3}\b)?/u);
  if (!found) return undefined;
  const [, sign, symbol, whole, fraction = "", scale, code] = found;
  let value = BigInt(whole.replaceAll(",", "") + fraction.padEnd(DIGITS, "0"));
  if (scale === "k") value *= 1000n;
  if (scale === "M") value *= 1000000n;
  if (sign === "\u2212" || sign === "-") value = -value;
  return { unit: scale === "%" ? "%" : symbol || code || "plain", value };
}

function plain(value) {
  const digits = (value < 0n ? -value : value).toString().padStart(DIGITS + 1, "0");
  const text = `${digits.slice(0, -DIGITS)}.${digits.slice(-DIGITS)}`.replace(/\.?0+$/, "");
  return value < 0n ? `-${text}` : text;
}
