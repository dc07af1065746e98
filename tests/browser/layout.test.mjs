// Nothing runs out of the page on a narrow screen, and every page can be printed.

import assert from "node:assert/strict";
import { NARROW, overflow, testEachPage } from "./support.mjs";

testEachPage("pages fit 320 pixels", { context: { viewport: NARROW } }, async (page, { path }) => {
  await page.goto(path);
  assert.deepEqual(await overflow(page), []);
});

testEachPage("pages can be printed", {}, async (page, { path }) => {
  await page.goto(path);
  const pdf = await page.pdf({ format: "A4" });
  assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
});
