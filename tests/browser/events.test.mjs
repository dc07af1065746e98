// Operational events: marked on charts, listed beside deployments, each on a page of its own, placed by hand and let go again
// without the script.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NARROW, TEST_MAX_MS, WIDE, withPage } from "./support.mjs";

const options = { timeout: TEST_MAX_MS };
const EVENT = /^\/events\/\d+$/;

test("marks below a chart lead to what happened then", options, () => withPage({}, async (page) => {
  const { marks } = await onPage(page, "/services/checkout-api?period=60d");
  assert.ok(marks.length > 0, "checkout-api has marks");
  for (const { href, label } of marks) {
    const response = await page.goto(href);
    assert.equal(response.status(), 200, href);
    const text = await page.locator("main").innerText();
    // "14 Nov 09:00, feature flag: …", or of several "2 events: …; …".
    const titles = label.replace(/^\d+ events: /, "").split("; ").map((one) => one.replace(/^[^:]*:\d\d, [^:]*: /, ""));
    for (const title of titles.filter((title) => !title.startsWith("and "))) assert.ok(text.includes(title), `${href}: ${title}`);
    if (!EVENT.test(href)) assert.ok((await page.locator("main tbody tr").count()) > 1, href);
  }
}));

test("charts of teams, environments and anomalies have the marks too", options, () => withPage({}, async (page) => {
  for (const path of ["/teams/payments?period=90d", "/environments/production?period=60d"]) {
    const { marks, listed } = await onPage(page, path);
    assert.ok(marks.length > 0 && listed.length > 0, path);
  }
  await page.goto("/anomalies?state=all");
  const links = await page.locator("main a[href^='/anomalies/']:not([href*='.csv'])").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  const titles = [];
  for (const href of [...new Set(links)].slice(0, 20)) titles.push(...(await onPage(page, href)).listed);
  assert.ok(titles.includes("NightlyJobOverlaps"), titles.join(", "));
}));

test("a deployment shows what else happened, and which incident made it a failed change", options, () => withPage({}, async (page) => {
  const beside = { "checkout-api": "in Production", "search-api": "Search answers 5xx" };
  for (const [service, words] of Object.entries(beside)) {
    await page.goto(`/deployments?service=${service}&env=production`);
    const links = await page.locator("main th a[href^='/deployments/'], main td a[href^='/deployments/']").evaluateAll((all) =>
      all.map((link) => link.getAttribute("href")).filter((href) => !href.includes(".csv")));
    const found = [];
    for (const href of [...new Set(links)].slice(0, 4)) {
      await page.goto(href);
      const section = page.locator("section[aria-labelledby='h-else']");
      const event = section.locator("a[href^='/events/']", { hasText: words });
      if ((await event.count()) === 0) continue;
      found.push(await page.locator("main").innerText());
      await event.first().click();
      assert.match(new URL(page.url()).pathname, EVENT);
      assert.ok((await page.locator("h1").innerText()).includes(words));
    }
    assert.ok(found.length > 0, `${service}: ${words}`);
    if (service === "search-api") assert.ok(found.some((text) => text.includes(`Incident within a day: ${words}`)));
  }
}));

test("an event tells what it was, whose, and by which rule, and leads back", options, () => withPage({}, async (page) => {
  await page.goto("/events");
  await page.getByRole("link", { name: "Payments answer slowly from another region" }).click();
  const main = page.locator("main");
  assert.match(await main.locator(".lede").innerText(), /^It belongs to payment-gateway in production\. It went on from .*, 3 h 40 min\.$/);
  const told = main.getByRole("link", { name: "acme-shop-pagerduty" });
  assert.match(await told.getAttribute("href"), /^https:\/\/acme-shop\.pagerduty\.com\/incidents\//);
  await main.getByRole("link", { name: "Whoever is paged for payments is paged for the gateway in production." }).first().click();
  assert.match(new URL(page.url()).pathname, /^\/rules\/\d+\/history$/);
  await page.goBack();
  await main.getByRole("link", { name: "Events of its day" }).click();
  assert.match(page.url(), /\/events\?period=(\d{4}-\d\d-\d\d)\.\.\1$/);
  // The alert and the note of the same afternoon too.
  const names = await main.locator("tbody th a").allInnerTexts();
  for (const name of ["Payments answer slowly from another region", "Routing table corrected", "CrossRegionTrafficHigh"]) {
    assert.ok(names.includes(name), names.join(", "));
  }
  await main.getByRole("link", { name: "Routing table corrected" }).click();
  await page.getByRole("navigation", { name: "Breadcrumb" }).getByRole("link", { name: "Events" }).click();
  assert.equal(new URL(page.url()).pathname, "/events");
}));

test("what no service has is pinned and let go again without the script", options, () => withPage({ javaScriptEnabled: false }, async (page) => {
  await page.goto("/unmapped?show=events");
  await page.locator("main").getByRole("link", { name: "CertificateExpiresSoon" }).click();
  const path = new URL(page.url()).pathname;
  const main = page.locator("main");
  const says = async (words) => assert.ok((await main.innerText()).includes(words), `${words}: ${await main.innerText()}`);
  await says("It belongs to no service that a rule knows");
  await says("storefront-legacy");
  assert.match(await main.getByRole("link", { name: "Make a rule" }).getAttribute("href"), /storefront-legacy/);
  // There is no match to keep.
  assert.equal(await main.getByRole("button", { name: "Pin this match" }).count(), 0);

  await page.getByLabel("It is of", { exact: true }).selectOption("edge-cdn");
  await page.getByLabel("Environment", { exact: true }).selectOption("");
  await page.getByRole("button", { name: "Pin it there" }).click();
  assert.deepEqual([new URL(page.url()).pathname, new URL(page.url()).hash], [path, "#h-match"]);
  await says("It belongs to edge-cdn in any environment");
  await says("Pinned by admin on");
  await page.goto("/unmapped?show=events");
  assert.equal(await main.getByRole("link", { name: "CertificateExpiresSoon" }).count(), 0);

  await page.goto(path);
  await page.getByRole("button", { name: "Let rules decide again" }).click();
  await says("It belongs to no service that a rule knows");
  assert.equal(await page.getByRole("button", { name: "Let rules decide again" }).count(), 0);
  await page.goto("/unmapped?show=events");
  assert.equal(await main.getByRole("link", { name: "CertificateExpiresSoon" }).count(), 1);
}));

test("a pinned event stays where it is until rules decide again", options, () => withPage({ javaScriptEnabled: false }, async (page) => {
  await page.goto("/events");
  await page.locator("main tr", { hasText: "Pinned by" }).getByRole("link", { name: "New ranking" }).click();
  const lede = page.locator(".lede");
  assert.match(await lede.innerText(), /^It belongs to search-api in production\./);
  await page.getByRole("button", { name: "Let rules decide again" }).click();
  assert.match(await lede.innerText(), /^It belongs to checkout-api in production\./);
  // As the rules have it now, and back to where it was.
  await page.getByRole("button", { name: "Pin this match" }).click();
  assert.match(await lede.innerText(), /^It belongs to checkout-api in production\./);
  assert.equal(await page.getByRole("button", { name: "Pin this match" }).count(), 0);
  await page.getByLabel("Service", { exact: true }).selectOption("search-api");
  await page.getByRole("button", { name: "Pin it there" }).click();
  assert.match(await lede.innerText(), /^It belongs to search-api in production\./);
}));

test("the list says once when an event began, on any screen", options, () => withPage({}, async (page) => {
  for (const viewport of [WIDE, NARROW]) {
    await page.setViewportSize(viewport);
    await page.goto("/events");
    const rows = await page.locator("main tbody tr").allInnerTexts();
    assert.ok(rows.length > 10, `${rows.length} rows`);
    for (const row of rows) assert.equal(row.match(/\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d/g)?.length, 1, `${viewport.width}: ${row}`);
  }
}));

/** The marks below the charts of a page, and the titles in its list of what else happened. */
async function onPage(page, path) {
  await page.goto(path);
  const marks = await page.locator("main svg.marker.event a").evaluateAll((all) =>
    all.map((link) => ({ href: link.getAttribute("href"), label: link.getAttribute("aria-label") })));
  const listed = await page.locator("main ul.list a[href^='/events/']").allInnerTexts();
  return { marks, listed };
}
