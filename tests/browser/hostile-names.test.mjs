// Names come from outside: none of them runs as a script, on any page that shows it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TEST_MAX_MS, WAIT_MAX_MS, listen, withPage } from "./support.mjs";

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
const URLS = [`javascript:${RUNS}`, `data:text/html,<script>${RUNS}</script>`, `https://example.com/"onmouseover=${RUNS} x="`];

/** Where names of all kinds are listed. */
const EVERYWHERE = [
  "/", "/services", "/teams", "/environments", "/deployments", "/catalogue", "/unmapped", "/unmapped?show=deployments",
  "/rules", "/rules/new", "/splits", "/splits/new", "/tags", "/commitments", "/dimensions", "/dimensions/cost_center", "/sources", "/settings/users", "/settings/tokens", "/settings/audit",
];

test("hostile names run nowhere", { timeout: TEST_MAX_MS }, () => withPage({}, async (page) => {
  const token = await makeToken(page);
  const paths = await create(page, token);
  const complaints = await listen(page);
  for (const path of paths) await lookAt(page, path, complaints);
}));

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
