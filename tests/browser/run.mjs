// All browser tests in one process, so that they share one server and one browser: `node tests/browser/run.mjs`.
// A single file can be run too: `node --test tests/browser/totals.test.mjs`.

import "./navigation.test.mjs";
import "./totals.test.mjs";
import "./figures.test.mjs";
import "./markup.test.mjs";
import "./accessibility.test.mjs";
import "./layout.test.mjs";
import "./no-script.test.mjs";
import "./keyboard.test.mjs";
import "./anomalies.test.mjs";
import "./events.test.mjs";
// Last: it adds to what the pages show.
import "./hostile-names.test.mjs";
