// Answering an anomaly, without the script: acknowledge, take back, and what is wrong is said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_MAX_MS, withPage } from "./support.mjs";

test("an anomaly is answered and the answer taken back without the script", { timeout: TEST_MAX_MS }, async () => {
  await withPage({ javaScriptEnabled: false }, async (page) => {
    await page.goto("/anomalies?state=open");
    await page.locator(".inbox a[href^='/anomalies/']").first().click();
    assert.match(await page.locator(".lede").innerText(), /than expected in|nobody used it/);
    await page.getByRole("button", { name: "Acknowledge" }).click();
    const back = page.getByRole("button", { name: "Take the answer back" });
    await back.waitFor();
    assert.match(await page.locator("#content").innerText(), /Acknowledged; it stays open/);
    await back.click();
    await page.getByRole("button", { name: "Acknowledge" }).waitFor();
    await page.getByRole("button", { name: "Explained" }).click();
    assert.match(await page.locator("body").innerText(), /Say in a few words why/);
  });
});

test("the rows of an anomaly add up to what it cost", { timeout: TEST_MAX_MS }, async () => {
  await withPage({}, async (page) => {
    await page.goto("/anomalies?state=open");
    await page.locator(".inbox a[href^='/anomalies/']").first().click();
    const amount = (text) => Number(text.replace(/[^0-9.\u2212-]/g, "").replace("\u2212", "-"));
    for (const heading of ["h-cause", "h-parts"]) {
      const cells = await page.locator(`section[aria-labelledby='${heading}'] tbody td:last-child`).allInnerTexts();
      const known = cells.filter((text) => /[0-9]/.test(text)).map(amount);
      const total = known.pop();
      const sum = known.reduce((sum, one) => sum + one, 0);
      assert.ok(Math.abs(sum - total) < 0.005, `${heading}: ${cells.join(" ")}`);
    }
  });
});
