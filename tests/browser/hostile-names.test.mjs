// Names come from outside: none of them runs as a script, on any page that shows it.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { NARROW, TEST_MAX_MS, WAIT_MAX_MS, listen, overflow, withPage } from "./support.mjs";

const RUNS = "window.ran=1";
const HOSTILE = [
  `<script>${RUNS}</script>`,
  `"><img src=x onerror=${RUNS}>`,
  `'><svg onload=${RUNS}>`,
  `</title></textarea></style></svg><script>${RUNS}</script>`,
  `" autofocus onfocus=${RUNS} x="`,
  `javascript:${RUNS}//`,
  `{{7*7}}\${${RUNS}}<!--`,
  `\u202Eevil\u202C &lt;b&gt;&#x3C;script&#x3E;`,
];
/** Ways into a page that the ones above do not try: together they are sixty. */
const MORE = [
  `<SCRIPT>${RUNS}</SCRIPT>`,
  `<script/src=data:text/javascript,${RUNS}></script>`,
  `<scr<script>ipt>${RUNS}</scr</script>ipt>`,
  `<script>${RUNS}//`,
  `</script><script>${RUNS}</script>`,
  `'-${RUNS}-'`,
  `";${RUNS};//`,
  `\\";${RUNS};//`,
  `<img src=x onerror="${RUNS}">`,
  `<img/src/onerror=${RUNS}>`,
  `<IMG SRC=x OnErRoR=${RUNS}>`,
  `<img src=x onerror&#61;${RUNS}>`,
  `<image src=x onerror=${RUNS}>`,
  `<svg/onload=${RUNS}>`,
  `<svg><script>${RUNS}</script></svg>`,
  `<svg><animate onbegin=${RUNS} attributeName=x dur=1s>`,
  `<svg><a xlink:href="javascript:${RUNS}"><text x=20 y=20>go</text></a></svg>`,
  `<svg><use href="data:image/svg+xml,<svg id='x' onload='${RUNS}'/>#x">`,
  `<svg><foreignObject><body onload=${RUNS}></foreignObject></svg>`,
  `<math><mtext></mtext><mglyph><style><img src=x onerror=${RUNS}></style></mglyph></math>`,
  `<math href="javascript:${RUNS}">go</math>`,
  `<body onload=${RUNS}>`,
  `<body onpageshow=${RUNS}>`,
  `<input autofocus onfocus=${RUNS}>`,
  `<select autofocus onfocus=${RUNS}>`,
  `<textarea autofocus onfocus=${RUNS}>`,
  `<details open ontoggle=${RUNS}>`,
  `<video><source onerror=${RUNS}></video>`,
  `<audio src=x onerror=${RUNS}>`,
  `<marquee onstart=${RUNS}>x</marquee>`,
  `<iframe src="javascript:${RUNS}"></iframe>`,
  `<iframe srcdoc="<script>parent.ran=1</script>"></iframe>`,
  `<object data="data:text/html,<script>${RUNS}</script>"></object>`,
  `<embed src="javascript:${RUNS}">`,
  `<a href="javascript:${RUNS}" autofocus onfocus=${RUNS}>x</a>`,
  `<a href="java&#9;script:${RUNS}">x</a>`,
  `<form action="javascript:${RUNS}"><button>x</button></form>`,
  `<button formaction="javascript:${RUNS}" autofocus onfocus=${RUNS}>x</button>`,
  `<meta http-equiv=refresh content="0;url=javascript:${RUNS}">`,
  `<base href="javascript:${RUNS}//">`,
  `<link rel=stylesheet href="data:text/css,*{color:red}" onload=${RUNS}>`,
  `<style>@import "data:text/css,*{color:red}";</style>`,
  `<style onload=${RUNS}></style>`,
  `<div style="animation-name:x" onanimationstart=${RUNS}>x</div>`,
  `" onmouseover=${RUNS} x="`,
  `' onmouseover=${RUNS} x='`,
  `\` onmouseover=${RUNS} x=\``,
  `--><img src=x onerror=${RUNS}><!--`,
  `]]><img src=x onerror=${RUNS}>`,
  `<noscript><p title="</noscript><img src=x onerror=${RUNS}>">`,
  `<template><script>${RUNS}</script></template>`,
  `=HYPERLINK("javascript:${RUNS}","x")<img src=x onerror=${RUNS}>`,
];
const URLS = [`javascript:${RUNS}`, `data:text/html,<script>${RUNS}</script>`, `https://example.com/"onmouseover=${RUNS} x="`];

/** Where names of all kinds are listed. */
const EVERYWHERE = [
  "/", "/services", "/teams", "/environments", "/deployments", "/catalogue", "/unmapped", "/unmapped?show=deployments",
  "/unmapped?show=pipelines", "/unmapped?show=events", "/settings/event-sources",
  "/rules", "/rules/new", "/splits", "/splits/new", "/tags", "/commitments", "/dimensions", "/dimensions/cost_center", "/sources", "/settings/users", "/settings/tokens", "/settings/audit",
];

test("hostile names run nowhere", { timeout: TEST_MAX_MS }, () => withPage({}, async (page) => {
  const token = await makeToken(page);
  const paths = await create(page, token);
  const complaints = await listen(page);
  for (const path of paths) await lookAt(page, path, complaints);
}));

test("sixty hostile names, in a deployment of each, run nowhere", { timeout: 2 * TEST_MAX_MS }, () => withPage({}, async (page) => {
  assert.equal(new Set([...HOSTILE, ...MORE]).size, 60);
  const token = await makeToken(page);
  const run = Date.now();
  const paths = [];
  for (const [index, name] of MORE.entries()) {
    const data = {
      id: `more ${run}/${index}`, service: `${name} ${run}`, environment: `${name} ${run}`, version: name, title: name,
      actor: name, ref: name, repo: name, commits: [{ repo: name, sha: "a".repeat(40) }], strategy: name,
      attributes: { pipeline: name, stage: name, [name]: name },
    };
    const response = await page.request.post("/api/v1/deployments", { data, headers: { authorization: `Bearer ${token}` } });
    assert.ok(response.ok(), `${name}: ${response.status()} ${await response.text()}`);
    paths.push(`/deployments/${(await response.json()).deployment_id}`);
  }
  const complaints = await listen(page);
  for (const path of [...paths, ...EVERYWHERE]) await lookAt(page, path, complaints);
}));

test("long names without a space fit 320 pixels", { timeout: TEST_MAX_MS }, () => withPage({}, async (page) => {
  const token = await makeToken(page);
  const run = Date.now();
  for (const name of MORE.slice(0, 12).map((text) => text.replaceAll(/\s/g, "_"))) {
    const long = `${name}${"w".repeat(60)}${run}`;
    const data = { id: long, service: long, environment: long, version: long, title: long, actor: long, status: "succeeded" };
    const response = await page.request.post("/api/v1/deployments", { data, headers: { authorization: `Bearer ${token}` } });
    assert.ok(response.ok(), `${long}: ${response.status()} ${await response.text()}`);
  }
  await page.setViewportSize(NARROW);
  await page.goto("/deployments");
  assert.ok((await page.locator(".lede").innerText()).includes("w".repeat(60)));
  assert.deepEqual(await overflow(page), []);
}));

test("hostile names in webhooks run nowhere", { timeout: 2 * TEST_MAX_MS }, () => withPage({}, async (page) => {
  const run = Date.now();
  const names = [...HOSTILE, ...MORE];
  const sources = await Promise.all(["github", "pagerduty"].map((kind) => makeSource(page, kind, run)));
  const [github, pagerduty] = sources;
  for (const [index, name] of names.entries()) {
    await github("deployment_status", `${index}-deployment`, ofDeployment(name, run, index));
    await github("push", `${index}-push`, ofPush(name, run, index));
    await pagerduty("", `${index}`, ofIncident(name, run, index));
  }
  // They are read by a job in the background.
  const last = names.length - 1;
  await expectSoon(async () => {
    await page.goto("/unmapped?show=events");
    const isThere = (await page.locator("main").innerText()).includes(`incident ${run} ${last}`);
    await page.goto(`/search?q=${versionOf(run, last)}`);
    return isThere && (await page.locator("main a[href^='/deployments/']").count()) > 0;
  });
  const complaints = await listen(page);
  let shown = 0;
  for (const index of names.keys()) {
    await page.goto(`/search?q=${versionOf(run, index)}`);
    const link = page.locator("main a[href^='/deployments/']").first();
    await lookAt(page, await link.getAttribute("href"), complaints);
    if ((await page.locator("main").innerText()).includes(RUNS)) shown += 1;
  }
  assert.ok(shown > 50, `the names are shown on ${shown} pages of deployments`);
  await page.goto("/unmapped?show=events");
  assert.ok((await page.locator("main").innerText()).split(RUNS).length > 50);
  for (const path of EVERYWHERE) await lookAt(page, path, complaints);
}));

/** Adds an event source; gives what signs and posts a body to it. */
async function makeSource(page, kind, run) {
  const name = `hostile-${kind}-${run}`;
  const secret = `secret-of-${run}`;
  const headers = { "sec-fetch-site": "same-origin" };
  const made = await page.request.post("/settings/event-sources", { form: { name, kind, secret }, headers });
  assert.ok(made.ok(), `${made.status()}`);
  return async (event, delivery, body) => {
    const text = JSON.stringify(body);
    const digits = createHmac("sha256", secret).update(text).digest("hex");
    const proof = kind === "github"
      ? { "x-hub-signature-256": `sha256=${digits}`, "x-github-event": event, "x-github-delivery": `${run}-${delivery}` }
      : { "x-pagerduty-signature": `v1=${digits}` };
    // Told to come again, a sender does.
    for (let attempt = 0; ; attempt += 1) {
      const response = await page.request.post(`/webhooks/${kind}/${name}`, {
        data: Buffer.from(text), headers: { "content-type": "application/json", ...proof },
      });
      if (response.ok()) return;
      assert.ok([429, 503].includes(response.status()) && attempt < 20, `${response.status()} ${await response.text()}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  };
}

// None begins with another.
const versionOf = (run, index) => `v${run}-${String(index).padStart(3, "0")}`;
const hostileRepository = (name) => ({ full_name: "acme/hostile-webhook", html_url: URLS[0], default_branch: name, name });

function ofDeployment(name, run, index) {
  const at = new Date(Date.now() - 3_600_000).toISOString();
  return {
    action: "created", repository: hostileRepository(name), sender: { login: name },
    deployment: {
      id: run * 100 + index, environment: `hooked ${name}`, sha: "b".repeat(40), ref: name, task: name, description: name,
      creator: { login: name }, created_at: at, payload: { service: `hooked ${name}`, version: versionOf(run, index), [name]: name },
    },
    deployment_status: {
      id: run * 100 + index, state: "success", description: name, environment: `hooked ${name}`, created_at: at,
      target_url: URLS[0], log_url: URLS[1], environment_url: URLS[2], creator: { login: name },
    },
  };
}

function ofPush(name, run, index) {
  const repository = { ...hostileRepository("main"), default_branch: "main" };
  const id = `${run}${index}`.padStart(40, "0");
  const commit = { id, message: name, timestamp: new Date().toISOString(), url: URLS[0], author: { name, username: name } };
  return { ref: "refs/heads/main", after: id, repository, sender: { login: name }, pusher: { name }, commits: [commit], head_commit: commit };
}

function ofIncident(name, run, index) {
  const id = `H${run}${index}`;
  const data = {
    id, type: "incident", status: "triggered", title: `incident ${run} ${index} ${name}`, html_url: URLS[0], urgency: name,
    created_at: new Date().toISOString(), service: { id: name, summary: `paged ${name}` }, teams: [{ summary: name }],
    priority: { summary: name },
  };
  return { event: { id, event_type: "incident.triggered", resource_type: "incident", occurred_at: new Date().toISOString(), agent: { summary: name }, data } };
}

test("hostile names in a bill run nowhere", { timeout: TEST_MAX_MS }, () => withPage({}, async (page) => {
  const name = HOSTILE[1];
  await page.goto("/upload");
  const file = { name: `${HOSTILE[0].replaceAll("/", "")}.csv`, mimeType: "text/csv", buffer: Buffer.from(bill(name)) };
  await page.locator("input[type=file]").setInputFiles(file);
  await page.locator("#source").fill(`hostile ${name}`);
  await page.getByRole("button", { name: "Upload" }).click();
  await page.waitForURL((url) => url.pathname !== "/upload");
  // Taken in by a job in the background.
  const receipt = page.locator("main a[href^='/deliveries/']").first();
  await expectSoon(async () => {
    await page.goto("/sources");
    await page.getByRole("link", { name: `hostile ${name}` }).first().click({ timeout: 2_000 });
    return (await receipt.count()) > 0;
  });
  const source = new URL(page.url()).pathname;
  const delivery = await receipt.getAttribute("href");
  const id = delivery.match(/\d+/)[0];
  const complaints = await listen(page);
  const visited = [source, delivery, `/charges?delivery=${id}`, `/search?q=${encodeURIComponent(name)}`, ...EVERYWHERE];
  let shown = 0;
  for (const path of visited) {
    await lookAt(page, path, complaints);
    if ((await page.locator("main").innerText()).includes("onerror")) shown += 1;
  }
  assert.ok(shown > 2, `the names are shown on ${shown} pages`);
}));

async function expectSoon(isSo) {
  const end = Date.now() + WAIT_MAX_MS;
  while (!(await isSo().catch(() => false))) {
    assert.ok(Date.now() < end, "the upload was not taken in");
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** One line of a FOCUS 1.0 bill in which every name is hostile. */
function bill(name) {
  const start = new Date();
  start.setUTCDate(1);
  const next = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1));
  const [from, until] = [start, next].map((day) => `${day.toISOString().slice(0, 10)}T00:00:00Z`);
  const line = {
    AvailabilityZone: "", BilledCost: "1.25", BillingAccountId: "hostile", BillingAccountName: name,
    BillingCurrency: "USD", BillingPeriodEnd: until, BillingPeriodStart: from, ChargeCategory: "Usage", ChargeClass: "",
    ChargeDescription: name, ChargeFrequency: "Usage-Based", ChargePeriodEnd: `${from.slice(0, 8)}02T00:00:00Z`,
    ChargePeriodStart: from, CommitmentDiscountCategory: "", CommitmentDiscountId: "", CommitmentDiscountName: "",
    CommitmentDiscountStatus: "", CommitmentDiscountType: "", ConsumedQuantity: "1", ConsumedUnit: "Hours",
    ContractedCost: "1.25", ContractedUnitPrice: "1.25", EffectiveCost: "1.25", InvoiceIssuerName: name, ListCost: "1.25",
    ListUnitPrice: "1.25", PricingCategory: "Standard", PricingQuantity: "1", PricingUnit: "Hours", ProviderName: name,
    PublisherName: name, RegionId: name, RegionName: name, ResourceId: name, ResourceName: name, ResourceType: name,
    ServiceCategory: "Compute", ServiceName: name, SkuId: name, SkuPriceId: name, SubAccountId: name,
    SubAccountName: name, Tags: JSON.stringify({ service: name, environment: name, [name]: name }),
  };
  const cell = (text) => `"${text.replaceAll('"', '""')}"`;
  return `${Object.keys(line).join(",")}\n${Object.values(line).map(cell).join(",")}\n`;
}

async function lookAt(page, path, complaints) {
  const response = await page.goto(path);
  assert.equal(response.status(), 200, path);
  // What waits for the pointer or the focus gets both.
  await page.evaluate(() => {
    for (const element of document.querySelectorAll("main *")) element.dispatchEvent(new Event("mouseover"));
    document.querySelector("main input, main a")?.focus();
  });
  assert.equal(await page.evaluate(() => window.ran), undefined, path);
  assert.deepEqual(complaints.taken(), [], path);
  const links = await page.locator("a").evaluateAll((all) => all.map((link) => link.protocol));
  assert.deepEqual(links.filter((protocol) => !["http:", "https:"].includes(protocol)), [], path);
  assert.equal(await page.locator("main script, main img, main iframe, main [onload], main [onfocus]").count(), 0, path);
}

/** As a person makes one: on the page, shown once. */
async function makeToken(page) {
  await page.goto("/settings/tokens");
  await page.getByLabel("Name").fill(`browser tests ${HOSTILE[0]}`);
  await page.getByLabel("Scope").selectOption("admin");
  await page.getByRole("button", { name: "Make and show it once" }).click();
  return (await page.locator(".shown-once").innerText()).trim();
}

async function create(page, token) {
  const send = async (path, data) => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await page.request.post(path, { data, headers });
    assert.ok(response.ok(), `${path} ${response.status()} ${await response.text()}`);
    return response.json();
  };
  const run = Date.now();
  const paths = [];
  for (const [index, name] of HOSTILE.entries()) {
    const slug = `hostile-${run}-${index}`;
    const own = `${name} ${run}`;
    await send("/api/v1/teams", { name: own, slug, cost_center: name });
    await send("/api/v1/environments", { name: own, slug, kind: "test" });
    await send("/api/v1/services", { name: own, slug, team: slug, aliases: [`${own} alias`] });
    const told = {
      id: `${own}/${index}`, service: own, environment: own, version: name, title: name, actor: name, ref: name,
      repo: "acme/hostile", strategy: "rolling", attributes: { [`key ${index}`]: name },
    };
    if (/\p{Cf}/u.test(name)) {
      // An id is compared letter by letter, so one that is not plain is refused; names are cleaned instead.
      const headers = { authorization: `Bearer ${token}` };
      const refused = await page.request.post("/api/v1/deployments", { data: told, headers });
      assert.equal(refused.status(), 422, await refused.text());
      told.id = `plain ${run}/${index}`;
    }
    const deployment = await send("/api/v1/deployments", told);
    paths.push(`/services/${slug}`, `/teams/${slug}`, `/environments/${slug}`, `/deployments/${deployment.deployment_id}`);
    paths.push(`/catalogue/services/${slug}`, `/search?q=${encodeURIComponent(name)}`);
  }
  for (const [index, url] of URLS.entries()) {
    // A link that leads to no web page may be turned away; taken, it must not become a link.
    const data = { id: `url ${run} ${index}`, service: "hostile", environment: "test", url };
    const headers = { authorization: `Bearer ${token}` };
    const response = await page.request.post("/api/v1/deployments", { data, headers });
    if (response.ok()) paths.push(`/deployments/${(await response.json()).deployment_id}`);
  }
  return [...paths, ...EVERYWHERE];
}
