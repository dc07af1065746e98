// By keyboard: to the content, to the search, through the search, and out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, TEST_MAX_MS, signInByPassword, start, withPage } from "./support.mjs";

const options = { timeout: TEST_MAX_MS };
const focused = (page) => page.evaluate(() => document.activeElement.id);

test("the first stop of the keyboard leads to the content", options, () => withPage({}, async (page) => {
  await page.goto("/services");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to content" });
  assert.ok(await skip.evaluate((link) => link === document.activeElement), "the skip link has the focus");
  assert.ok(await skip.isVisible());
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "content");
}));

test("a slash leads to the search, and stays a slash in a field", options, () => withPage({}, async (page) => {
  await page.goto("/");
  await page.keyboard.press("/");
  assert.equal(await focused(page), "q");
  await page.keyboard.type("check/out");
  assert.equal(await page.locator("#q").inputValue(), "check/out");
  await page.locator("#q").fill("check");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/search?q=check");
}));

test("the menu of a phone opens and closes by keyboard", options, () => withPage({ viewport: PHONE }, async (page) => {
  await page.goto("/");
  const menu = page.getByRole("button", { name: "Menu" });
  const services = page.locator("nav#nav a[href='/services']");
  assert.ok(!(await services.isVisible()));
  await menu.focus();
  await page.keyboard.press("Enter");
  await services.waitFor({ state: "visible" });
  await page.keyboard.press("Escape");
  await services.waitFor({ state: "hidden" });
}));

test("each stop of the keyboard can be seen", options, () => withPage({}, async (page) => {
  await page.goto("/services");
  for (let stop = 0; stop < 40; stop += 1) {
    await page.keyboard.press("Tab");
    const unseen = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body) return "";
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
      const isMarked = (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
      return isMarked && element.getClientRects().length > 0 ? "" : element.outerHTML.slice(0, 200);
    });
    assert.equal(unseen, "", `stop ${stop}`);
  }
}));

test("signing out ends the session", options, async () => {
  const started = await start();
  await withPage({ storageState: undefined }, async (page, context) => {
    await signInByPassword(page, started);
    await page.goto("/settings/profile");
    const before = await context.cookies();
    await page.getByRole("button", { name: "Sign out" }).press("Enter");
    await page.getByRole("heading", { name: "Sign in to Costwake" }).waitFor();
    await page.goto("/services");
    assert.equal(new URL(page.url()).pathname, "/sign-in");
    // The old cookie opens nothing either.
    await context.addCookies(before);
    await page.goto("/services");
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  });
});
