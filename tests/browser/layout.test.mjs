// Nothing runs out of the page on a narrow screen, and every page can be printed.

import assert from "node:assert/strict";
import { NARROW, testEachPage } from "./support.mjs";

testEachPage("pages fit 320 pixels", { context: { viewport: NARROW } }, async (page, { path }) => {
  await page.goto(path);
  const overflow = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const isClipped = (element) => {
      for (let at = element.parentElement; at; at = at.parentElement) {
        if (getComputedStyle(at).overflowX !== "visible") return true;
      }
      return false;
    };
    const wide = [...document.body.querySelectorAll("*")].filter((element) =>
      element.getBoundingClientRect().right > clientWidth + 0.5 && !isClipped(element));
    return [`${scrollWidth} of ${clientWidth}`, ...wide.slice(0, 8).map((element) => element.outerHTML.slice(0, 160))];
  });
  assert.deepEqual(overflow, []);
});

testEachPage("pages can be printed", {}, async (page, { path }) => {
  await page.goto(path);
  const pdf = await page.pdf({ format: "A4" });
  assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
});
