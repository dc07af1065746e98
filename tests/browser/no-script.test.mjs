// Every page says the same without JavaScript.

import assert from "node:assert/strict";
import { testEachPage, withPage } from "./support.mjs";

testEachPage("pages say the same without JavaScript", { context: { javaScriptEnabled: false } }, async (page, { path }) => {
  const without = await said(page, path);
  const withScript = await withPage({}, (other) => said(other, path));
  assert.equal(without.h1.length, 1);
  assert.deepEqual(without, withScript);
});

async function said(page, path) {
  await page.goto(path);
  const texts = async (selector) => (await page.locator(selector).allInnerTexts()).map((text) => text.trim());
  return { h1: await texts("h1"), lede: await texts(".lede"), figures: await texts(".figures .value"), totals: await texts("tr.total td") };
}
