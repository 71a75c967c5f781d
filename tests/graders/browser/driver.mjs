// node driver.mjs SETTINGS: one browser, driven by lines of JSON on stdin; an answer a line on stdout.
//
//   {"open": URL, "context": {…}}             a page in a context of its own; answers its number
//   {"page": 1, "call": "keyboard.press", "args": ["Tab"]}   any method of Playwright's page
//   {"page": 1, "axe": {…}}                   what axe-core says of the page
//   {"page": 1, "seen": true}                 what happened on it so far: requests, those that were let through, dialogs, console, errors
//   {"page": 1, "forget": true}               delete the cookies of its context
//   {"page": 1, "close": true}
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const settings = JSON.parse(process.argv[2]);
const from = createRequire(settings.modules);
const { chromium } = from("playwright-core");
const axe = readFileSync(from.resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: settings.program,
  args: settings.flags,
  env: settings.env,
});
const pages = [];

async function open(url, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const seen = { requests: [], loaded: [], dialogs: [], console: [], errors: [] };
  context.on("request", (request) => seen.requests.push(request.url()));
  context.on("requestfinished", (request) => seen.loaded.push(request.url()));
  page.on("console", (message) => seen.console.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("dialog", async (dialog) => {
    seen.dialogs.push(dialog.message());
    await dialog.dismiss();
  });
  page.setDefaultTimeout(120000);
  await page.goto(url);
  return pages.push({ page, context, seen }) - 1;
}

async function answer(asked) {
  if (asked.open !== undefined) return open(asked.open, asked.context);
  const { page, context, seen } = pages[asked.page];
  if (asked.close) return context.close();
  if (asked.forget) return context.clearCookies();
  if (asked.seen) return seen;
  if (asked.axe) {
    // By the debugger, which the page's policy does not bind: nothing is added to the page itself.
    await page.evaluate(axe);
    return page.evaluate((options) => globalThis.axe.run(document, options), asked.axe);
  }
  const path = asked.call.split(".");
  const method = path.pop();
  const owner = path.reduce((object, name) => object[name], page);
  const result = await owner[method](...asked.args);
  return Buffer.isBuffer(result) ? { bytes: result.length } : result;
}

console.log(JSON.stringify({ ok: browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
  let told;
  try {
    told = { ok: (await answer(JSON.parse(line))) ?? null };
  } catch (error) {
    told = { error: String(error.stack ?? error) };
  }
  console.log(JSON.stringify(told));
}
await browser.close();
