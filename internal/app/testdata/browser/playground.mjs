// Drives the playground as a newcomer would.
// node playground.mjs <url> <browser> [<screenshot>]; says what it has seen, line by line; "post made" on stdin goes on.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [url, executablePath, screenshot] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 760 } });
const fail = (what) => { console.log(`failed: ${what}`); process.exit(1); };
const { host } = new URL(url);
page.on('request', (r) => { const u = new URL(r.url()); if (!['data:', 'blob:'].includes(u.protocol) && u.host !== host) fail(`asks another host: ${r.url()}`); });
page.on('websocket', (s) => { if (new URL(s.url()).host !== host) fail(`opens a socket to another host: ${s.url()}`); });
page.on('requestfailed', (r) => fail(`could not load ${r.url()}`));
page.on('pageerror', (e) => fail(`error in the page: ${e.message}`));
page.on('console', (m) => { if (m.type() === 'error') fail(`error in the console: ${m.text()}`); });
page.setDefaultTimeout(40_000);

try {
  await page.goto(url);
  const result = page.getByRole('region', { name: /result|response/i }).or(page.locator('.graphiql-response')).first();
  const run = page.getByRole('button', { name: /execute query/i });
  await run.click();
  await result.getByText('"nodes"').first().waitFor();
  console.log('the query is answered');
  if (screenshot) await page.screenshot({ path: screenshot });

  await page.getByRole('tab', { name: 'WatchPosts' }).click();
  const subscribed = new Promise((resolve) => {
    page.on('websocket', (s) => s.on('framesent', ({ payload }) => { if (String(payload).includes('"subscribe"')) resolve(); }));
  });
  await run.click();
  await subscribed;
  console.log('the subscription is asked for');
  const { value: title } = await lines.next();
  await result.getByText(title).first().waitFor();
  console.log('the post has arrived');

  // Its policy holds: a script that somebody gets into the page doesn't run, and nothing goes out to another host.
  page.removeAllListeners();
  const got = await page.evaluate(async () => {
    const script = document.createElement('script');
    script.textContent = 'window.injected = true';
    document.head.append(script);
    const handler = document.createElement('b');
    handler.setAttribute('onclick', 'window.injected = true');
    document.body.append(handler);
    handler.click();
    // Later, for what the debugger itself evaluates is exempt.
    const evaluated = await new Promise((resolve) => setTimeout(() => {
      try { resolve((0, eval)('true')); } catch { resolve(false); }
    }));
    const blocked = new Promise((resolve) => document.addEventListener('securitypolicyviolation', (e) => {
      if (e.effectiveDirective === 'connect-src') resolve(true);
    }));
    const sent = await fetch('https://stranger.example/').then(() => true, () => false);
    return { injected: window.injected === true, evaluated, sent, blocked: await blocked };
  });
  if (got.injected || got.evaluated || got.sent || !got.blocked) fail(`its policy lets through: ${JSON.stringify(got)}`);
  console.log('the policy holds');
} catch (e) {
  fail(e.message);
}
await browser.close();
console.log('done');
process.exit(0);
