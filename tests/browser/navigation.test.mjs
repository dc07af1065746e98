// Every page answers, without a complaint of the browser, and within the weight that a page may have.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_MAX_MS, listen, testEachPage, withPage } from "./support.mjs";

const BYTES_MAX = 100 * 1024;
/** Before compression. Each cause of a statement leads to its lines in both periods, in each currency. */
const HTML_BYTES_MAX = 88 * 1024;
/** Of the heaviest page of a kind: a service that is billed in two currencies shows each chart and table twice. */
const HEAVIEST_BYTES_MAX = 112 * 1024;
const NODES_MAX = 2_500;
const LAYOUT_SHIFT_MAX = 0.01;

let complaints;
let network;
let received;

testEachPage("pages answer and are light", { prepare }, async (page, { path }, t) => {
  // As at the first visit: the style sheet, the script and the font come with it.
  await network.send("Network.clearBrowserCache");
  received = { all: 0, kinds: new Map() };
  const response = await page.goto(path, { waitUntil: "networkidle" });
  assert.equal(response.status(), 200);
  assert.match(response.headers()["content-security-policy"], /^default-src 'none'/);
  await page.evaluate(() => document.fonts.ready);
  const measured = await page.evaluate(() => ({
    nodes: document.querySelectorAll("*").length,
    shift: window.layoutShift,
    h1: document.querySelectorAll("h1").length,
  }));
  const html = (await response.body()).length;
  t.diagnostic(`${received.all} bytes, HTML ${html}, ${measured.nodes} elements, shift ${measured.shift.toFixed(4)}`);
  assert.deepEqual(complaints.taken(), []);
  assert.equal(measured.h1, 1, "headings of the first level");
  assert.ok(received.all > 1000, "the transfer was measured");
  assert.ok(received.all <= BYTES_MAX, `${received.all} bytes were sent`);
  assert.ok(html <= HTML_BYTES_MAX, `the HTML has ${html} bytes`);
  assert.ok(measured.nodes <= NODES_MAX, `${measured.nodes} elements`);
  assert.ok(measured.shift <= LAYOUT_SHIFT_MAX, `layout shift ${measured.shift}`);
});

// All pages of a kind, the longest periods included: the weight of one says nothing of the next.
const KINDS = [
  { list: "/services", link: "main th a[href^='/services/']", queries: ["", "?period=90d", "?by=charge&period=60d"] },
  { list: "/teams", link: "main th a[href^='/teams/']", queries: ["", "?period=90d"] },
  { list: "/environments", link: "main th a[href^='/environments/']", queries: ["", "?period=90d"] },
  { list: "/finance/statements", link: "main th a[href^='/finance/statements/2']", queries: ["", "?by=service", "?view=charge"] },
  { list: "/anomalies", link: "main a[href^='/anomalies/']:not([href*='.csv'])", queries: [""] },
];

test("the heaviest page of each kind is light", { timeout: 4 * TEST_MAX_MS }, async (t) => {
  await withPage({}, async (page) => {
    for (const { list, link, queries } of KINDS) {
      await page.goto(list);
      const hrefs = await page.locator(link).evaluateAll((links) => links.map((link) => new URL(link.href).pathname));
      const weights = [];
      for (const path of [...new Set(hrefs)].slice(0, 40).flatMap((href) => queries.map((query) => href + query))) {
        const response = await page.request.get(path);
        assert.equal(response.status(), 200, path);
        weights.push({ path, bytes: (await response.body()).length });
      }
      weights.sort((left, right) => right.bytes - left.bytes);
      assert.ok(weights.length > 0, `${list} leads to no page`);
      t.diagnostic(`${list}: ${weights.length} pages, the heaviest ${weights[0].path} with ${weights[0].bytes} bytes`);
      const heavy = weights.filter(({ bytes }) => bytes > HEAVIEST_BYTES_MAX).map(({ path, bytes }) => `${path}: ${bytes}`);
      assert.deepEqual(heavy, []);
    }
  });
});

async function prepare(page, context) {
  complaints = await listen(page);
  network = await context.newCDPSession(page);
  await network.send("Network.enable");
  network.on("Network.loadingFinished", ({ encodedDataLength }) => { received.all += encodedDataLength; });
  await page.addInitScript(() => {
    window.layoutShift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
  });
}
