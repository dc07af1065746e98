// The HTML as it is served is valid.

import assert from "node:assert/strict";
import { HtmlValidate } from "html-validate";
import { testEachPage } from "./support.mjs";

const validator = new HtmlValidate({
  extends: ["html-validate:recommended"],
  rules: {
    // SVG charts and lists that act as steps need roles and labels that these rules take for mistakes.
    "prefer-native-element": "off",
    "aria-label-misuse": "off",
    // All resources are the server's own, under a policy that allows no others.
    "require-sri": "off",
    // A name that is repeated is a list: the conditions of a rule, the teams of a person.
    "form-dup-name": "off",
    // A dot is valid in an id, as in that of /api/v1/costs.csv.
    "valid-id": ["error", { relaxed: true }],
    // Not about validity.
    "long-title": "off",
    "no-trailing-whitespace": "off",
    "no-inline-style": "error",
  },
});

testEachPage("the markup is valid", {}, async (page, { path }) => {
  const response = await page.request.get(path);
  const report = await validator.validateString(await response.text());
  const messages = report.results.flatMap((result) =>
    result.messages.map(({ ruleId, message, line, column }) => `${line}:${column} ${ruleId}: ${message}`));
  assert.deepEqual(messages.slice(0, 20), []);
});
