// Every page answers, without a complaint of the browser, and within the weight that a page may have.

import assert from "node:assert/strict";
import { listen, testEachPage } from "./support.mjs";

const BYTES_MAX = 100 * 1024;
const HTML_BYTES_MAX = 80 * 1024;
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
