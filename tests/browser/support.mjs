// What all browser tests share: one demo server, one browser, one signed-in session, and the list of pages.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const FROM_ENVIRONMENT = process.env;
const BINARY = FROM_ENVIRONMENT.COSTWAKE_BINARY ?? fileURLToPath(new URL("../../target/release/costwake", import.meta.url));
const BROWSER = FROM_ENVIRONMENT.COSTWAKE_CHROMIUM ?? "/usr/bin/chromium";
const BROWSER_ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const DEMO_READY_MAX_MS = 300_000;
const STOP_MAX_MS = 30_000;
/** Generous: these tests look for what is wrong, not for what is slow. */
export const WAIT_MAX_MS = 60_000;
export const TEST_MAX_MS = 240_000;

export const WIDE = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };
/** The narrowest that WCAG 1.4.10 asks for. */
export const NARROW = { width: 320, height: 640 };

let startedOnce;
/** The server, the browser and the session; made at the first call. */
export const start = () => (startedOnce ??= startAll());

after(stop);

async function startAll() {
  const server = await startServer();
  const browser = await chromium.launch({ executablePath: BROWSER, args: BROWSER_ARGUMENTS, timeout: WAIT_MAX_MS });
  const started = { server, browser, address: server.address, password: server.password };
  started.session = await signIn(started);
  return started;
}

async function stop() {
  const started = await startedOnce?.catch(() => undefined);
  await started?.browser.close();
  await started?.server.stop();
}

/** The demo in a data directory of its own; or, to work on tests, a server that runs already. */
async function startServer() {
  if (FROM_ENVIRONMENT.COSTWAKE_URL) {
    return { address: FROM_ENVIRONMENT.COSTWAKE_URL, password: FROM_ENVIRONMENT.COSTWAKE_PASSWORD, stop() {} };
  }
  const folder = await mkdtemp(join(tmpdir(), "costwake-browser-"));
  const { DATABASE_URL: _, ...environment } = FROM_ENVIRONMENT;
  const options = ["demo", "--data-dir", join(folder, "demo"), "--listen", "127.0.0.1:0", "--metrics-listen", "off"];
  const child = spawn(BINARY, options, { env: environment, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve).once("error", resolve));
  const lastLines = [];
  const said = createInterface(child.stderr);
  said.on("line", (line) => lastLines.push(line) > 30 && lastLines.shift());
  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MAX_MS);
    await ended;
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const link = await signInLink(said, ended);
    return { address: new URL(link).origin, link, password: undefined, stop };
  } catch (error) {
    await stop();
    throw new Error(`${BINARY} ${options.join(" ")}: ${error.message}\n${lastLines.join("\n")}`);
  }
}

async function signInLink(said, ended) {
  const printed = new Promise((resolve) => {
    said.on("line", (line) => {
      const link = line.match(/https?:\/\/\S+\/welcome\/\S+/);
      if (link) resolve(link[0]);
    });
  });
  const gaveUp = ended.then((reason) => Promise.reject(new Error(`ended before it was ready (${reason})`)));
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("was not ready in time")), DEMO_READY_MAX_MS);
  });
  try {
    return await Promise.race([printed, gaveUp, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Signs in as people do: by the one-time link on a new server, by password on one that is known. */
async function signIn(started) {
  const context = await started.browser.newContext();
  const page = await open(context);
  if (started.server.link) {
    started.password = "browser tests choose this one";
    await page.goto(started.server.link);
    await page.getByLabel("Password", { exact: true }).fill(started.password);
    await page.getByLabel("Password again").fill(started.password);
    await page.getByRole("button", { name: "Set password and sign in" }).click();
  } else {
    await signInByPassword(page, started);
  }
  await page.locator("nav#nav").waitFor({ state: "attached" });
  const session = await context.storageState();
  await context.close();
  return session;
}

export async function signInByPassword(page, { address, password }) {
  await page.goto(`${address}/sign-in`);
  await page.getByLabel("Login").fill("admin");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function open(context) {
  context.setDefaultTimeout(WAIT_MAX_MS);
  return context.newPage();
}

/** A page in a browser of its own kind, signed in, closed at the end. */
export async function withPage(options, work) {
  const { browser, address, session } = await start();
  const context = await browser.newContext({ baseURL: address, storageState: session, viewport: WIDE, ...options });
  try {
    return await work(await open(context), context);
  } finally {
    await context.close();
  }
}

/** One test for each page; a fault of one page does not hide those of the others. */
export function testEachPage(title, options, check) {
  // All pages together have no limit of their own beyond that of the whole run.
  test(title, { timeout: 4 * TEST_MAX_MS }, async (t) => {
    const { key } = options;
    const list = (await pages()).filter((page) => !key || page.key);
    await withPage(options.context ?? {}, async (page, context) => {
      await options.prepare?.(page, context);
      for (const entry of list) {
        await t.test(`${entry.name} ${entry.path}`, { timeout: TEST_MAX_MS }, (t) => check(page, entry, t));
      }
    });
  });
}

let pagesOnce;
/** Every page of the navigation and one of each kind that it leads to: {name, path, key}. */
export const pages = () => (pagesOnce ??= findPages());

// The last month that is over: the demo organisation has not closed it yet.
const LAST_MONTH = new Date(new Date().setUTCDate(0)).toISOString().slice(0, 7);
// `key` pages are looked at in all four appearances. Where `from` leads to `link`.
const DETAILS = [
  { name: "service", from: "/services", link: "main th a[href^='/services/']", key: true },
  { name: "environment", from: "/environments", link: "main th a[href^='/environments/']", key: true },
  { name: "team", from: "/teams", link: "main th a[href^='/teams/']", key: true },
  { name: "deployment", from: "/deployments", link: "main a[href^='/deployments/']:not([href$='.csv'])", nth: 12, key: true },
  { name: "anomaly", from: "/anomalies", link: "main a[href^='/anomalies/']", key: true },
  { name: "month statement", from: "/finance/statements", link: `main a[href^='/finance/statements/${LAST_MONTH}']`, key: true },
  { name: "what bills said", from: "month statement", link: "main a[href^='/finance/history?']" },
  { name: "close a month", from: "month statement", link: "main a[href$='/close']" },
  { name: "source", from: "/sources", link: "main th a[href^='/sources/']", key: true },
  { name: "receipt", from: "source", link: "main a[href^='/deliveries/']", key: true },
  { name: "charges", from: "month statement", link: "main a[href^='/charges?']" },
  { name: "line", from: "charges", link: "main th a[href^='/charges/']" },
  { name: "catalogue entry", from: "/catalogue", link: "main a[href^='/catalogue/services/']" },
  { name: "rule", from: "/rules", link: "main a[href^='/rules/']:not([href='/rules/new']):not([href$='/history'])" },
  { name: "history of a rule", from: "/rules", link: "main a[href$='/history']" },
  { name: "event", from: "/events", link: "main tr:not(:has-text('not mapped')):not(:has-text('Pinned by')) th a[href^='/events/']", key: true },
  { name: "pinned event", from: "/events", link: "main tr:has-text('Pinned by') th a[href^='/events/']", key: true },
  { name: "event that is not mapped", from: "/events", link: "main tr:has-text('not mapped') th a[href^='/events/']", key: true },
  { name: "user", from: "/settings/users", link: "main a[href^='/settings/users/']" },
];
const OTHERS = [
  { name: "events", path: "/events", key: true },
  { name: "events of some days", path: "/events?service=checkout-api&env=production&period=90d" },
  { name: "upload", path: "/upload" },
  { name: "kinds of sources", path: "/sources/add" },
  { name: "source form", path: "/sources/add?kind=s3" },
  { name: "search", path: "/search?q=check" },
  { name: "profile", path: "/settings/profile" },
  { name: "filtered services", path: "/services?period=2026-01-01..2026-01-31&unknown=1" },
  { name: "shared costs", path: "/splits" },
  { name: "new split", path: "/splits/new" },
  { name: "tags", path: "/tags" },
  { name: "new tag rule", path: "/tags/new" },
  { name: "unit costs by environment", path: "/unit-costs?by=env" },
  { name: "commitments", path: "/commitments" },
  { name: "clusters", path: "/clusters" },
  { name: "dimensions", path: "/dimensions" },
  { name: "dimension", path: "/dimensions/cost_center" },
  { name: "API of the catalogue", path: "/docs/api/catalogue" },
  { name: "API of deployments", path: "/docs/api/deployments" },
  { name: "unmapped deployments", path: "/unmapped?show=deployments" },
  { name: "unmapped operational events", path: "/unmapped?show=events" },
  { name: "new metric", path: "/metrics/new" },
  { name: "kinds of jobs", path: "/settings/job-kinds" },
  { name: "metric queries", path: "/settings/metric-queries" },
  { name: "why spend changed", path: "/why" },
  { name: "method", path: "/docs/method" },
  { name: "documentation", path: "/docs" },
  { name: "event source", path: "/settings/event-sources/1" },
  { name: "catalogue import", path: "/catalogue/import" },
  { name: "new service", path: "/catalogue/add-service" },
  { name: "new environment", path: "/catalogue/add-environment" },
  { name: "API of event sources", path: "/docs/api/event-sources" },
];
const KEY_NAVIGATION = new Set(["Overview", "Services", "Deployments", "Anomalies", "Forecast", "Unit costs", "Savings", "Unmapped", "Rules"]);

async function findPages() {
  return withPage({}, async (page) => {
    await page.goto("/");
    const found = await page.locator("nav#nav li a").evaluateAll((links) =>
      links.map((link) => ({ name: link.firstChild.textContent, path: link.getAttribute("href") })));
    for (const entry of found) entry.key = KEY_NAVIGATION.has(entry.name);
    for (const { name, from, link, nth, key } of DETAILS) {
      await page.goto(found.find((entry) => entry.name === from)?.path ?? from);
      const links = page.locator(link);
      const count = await links.count();
      assert.ok(count > 0, `${from} leads to no ${name}`);
      found.push({ name, path: await links.nth(Math.min(nth ?? 0, count - 1)).getAttribute("href"), key });
    }
    found.push({ name: "rule preview", path: await rulePreview(page) }, ...OTHERS);
    return found;
  });
}

/** What a rule for the dearest unmapped charges would take. */
async function rulePreview(page) {
  await page.goto("/unmapped");
  await page.getByRole("link", { name: "Make a rule" }).first().click();
  await page.locator("select[name=service]").selectOption({ index: 1 });
  await page.getByRole("button", { name: "See what it would take" }).click();
  await page.getByRole("heading", { name: "What the rule would take" }).waitFor();
  const { pathname, search } = new URL(page.url());
  return pathname + search;
}

/** Collects what a browser complains about: errors, warnings, policy violations, answers that are no success. */
export async function listen(page) {
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`script error: ${error.message}`));
  page.on("dialog", async (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
  await page.exposeFunction("reportViolation", (text) => complaints.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  return { taken: () => complaints.splice(0) };
}

/** What stands beyond the right edge of the page, if anything does. */
export function overflow(page) {
  return page.evaluate(() => {
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
}
