// No violation of WCAG that axe finds: the key pages light, dark, on a phone and at 320 pixels, the others light.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { NARROW, PHONE, TEST_MAX_MS, WIDE, start, testEachPage, withPage } from "./support.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
const APPEARANCES = [
  { name: "light", viewport: WIDE, colorScheme: "light" },
  { name: "dark", viewport: WIDE, colorScheme: "dark" },
  { name: "phone", viewport: PHONE, colorScheme: "light" },
  { name: "narrow", viewport: NARROW, colorScheme: "light" },
];

let inspector;
const prepare = async (page, context) => { inspector = await context.newCDPSession(page); };

testEachPage("pages are accessible", { prepare }, async (page, { path, key }) => {
  await page.setViewportSize(WIDE);
  await page.goto(path);
  await evaluate(AXE);
  const violations = [];
  for (const { name, viewport, colorScheme } of key ? APPEARANCES : APPEARANCES.slice(0, 1)) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    violations.push(...(await violationsOf()).map((violation) => `${name}: ${violation}`));
  }
  await page.emulateMedia({ colorScheme: "light" });
  assert.deepEqual(violations, []);
});

test("the sign-in page is accessible", { timeout: TEST_MAX_MS }, async () => {
  const { address } = await start();
  await withPage({ storageState: undefined }, async (page, context) => {
    await prepare(page, context);
    await page.goto(`${address}/sign-in`);
    await evaluate(AXE);
    assert.deepEqual(await violationsOf(), []);
  });
});

async function violationsOf() {
  const result = await evaluate(`axe.run(document, ${JSON.stringify({ runOnly: RULES, resultTypes: ["violations"] })})
    .then((result) => result.violations.flatMap((violation) => violation.nodes.slice(0, 5).map((node) =>
      violation.id + ": " + node.html.slice(0, 200) + " " + node.any.concat(node.all, node.none).map((c) => c.message).join("; "))))`);
  return result;
}

// By the inspector, which the page's own policy does not bind.
async function evaluate(expression) {
  const options = { expression, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await inspector.send("Runtime.evaluate", options);
  assert.equal(exceptionDetails, undefined, exceptionDetails?.exception?.description);
  return result.value;
}
