// Nothing runs out of the page on a narrow screen, and every page can be printed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NARROW, PHONE, TEST_MAX_MS, WIDE, overflow, testEachPage, withPage } from "./support.mjs";

testEachPage("pages fit 320 pixels", { context: { viewport: NARROW } }, async (page, { path }) => {
  await page.goto(path);
  assert.deepEqual(await overflow(page), []);
});

/** Tables of many columns in which something can be done with a row: on a telephone nothing of it is out of sight. */
const TABLES_WITH_ACTIONS = [
  "/unmapped", "/unmapped?show=deployments", "/unmapped?show=pipelines", "/unmapped?show=events",
  "/settings/event-sources", "/rules",
];

test("what can be done with a row is on the screen of a telephone", { timeout: TEST_MAX_MS }, async (t) => {
  await withPage({ viewport: PHONE }, async (page) => {
    for (const path of TABLES_WITH_ACTIONS) {
      await t.test(path, async () => {
        await page.goto(path);
        assert.deepEqual(await overflow(page), []);
        assert.deepEqual(await outOfSight(page), []);
      });
    }
  });
});

/** Tables that are moved sideways, and links and buttons in them that lie beyond the right edge. */
function outOfSight(page) {
  return page.evaluate(() => {
    const { clientWidth } = document.documentElement;
    const moved = [...document.querySelectorAll("main .table-scroll")].filter((region) => region.scrollWidth > region.clientWidth);
    const controls = [...document.querySelectorAll("main .table-scroll tbody :is(a, button)")];
    const beyond = controls.filter((control) => control.getBoundingClientRect().right > clientWidth + 0.5);
    const moves = moved.map((region) => `${region.getAttribute("aria-label")}: ${region.scrollWidth} of ${region.clientWidth}`);
    return [...moves, ...beyond.slice(0, 8).map((control) => control.outerHTML.slice(0, 160))];
  });
}

test("names are not broken within a word that has room", { timeout: TEST_MAX_MS }, async (t) => {
  for (const viewport of [WIDE, PHONE]) {
    await withPage({ viewport }, async (page) => {
      for (const path of ["/", "/deployments", "/unmapped?show=deployments", "/events"]) {
        await t.test(`${path} at ${viewport.width}`, async () => {
          await page.goto(path);
          assert.deepEqual(await brokenWords(page), []);
        });
      }
    });
  }
});

/** Words of table cells that go on in another line. Longer ones may have to. */
function brokenWords(page) {
  return page.evaluate(() => {
    const WORD_LENGTH_MAX = 15;
    const broken = [];
    for (const cell of document.querySelectorAll("main .table .break")) {
      const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (const word of node.data.matchAll(/[\p{L}\p{N}.]+/gu)) {
          if (word[0].length > WORD_LENGTH_MAX) continue;
          const range = document.createRange();
          range.setStart(node, word.index);
          range.setEnd(node, word.index + word[0].length);
          const lines = new Set([...range.getClientRects()].map((rectangle) => Math.round(rectangle.top)));
          if (lines.size > 1) broken.push(word[0]);
        }
      }
    }
    return broken.slice(0, 8);
  });
}

test("fields of a form look alike, whatever they take", { timeout: TEST_MAX_MS }, async (t) => {
  await withPage({ colorScheme: "dark" }, async (page) => {
    for (const path of ["/settings/event-sources/1", "/settings/metric-queries", "/sources/add?kind=s3", "/rules/new"]) {
      await t.test(path, async () => {
        await page.goto(path);
        const looks = await page.locator("main").locator("input:not([type=checkbox], [type=radio], [type=hidden], [type=file]), select").evaluateAll((fields) =>
          fields.map((field) => {
            const { backgroundColor, borderColor, borderRadius, fontSize } = getComputedStyle(field);
            return [backgroundColor, borderColor, borderRadius, fontSize].join(" ");
          }));
        assert.ok(new Set(looks).size <= 1, JSON.stringify(looks));
      });
    }
  });
});

testEachPage("pages can be printed", {}, async (page, { path }) => {
  await page.goto(path);
  const pdf = await page.pdf({ format: "A4" });
  assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
});
