// Subscribes in a page with the browser's own EventSource, nothing around it.
// node source.mjs <url of the page> <browser> <query>...; prints one line of JSON for each thing that happens to the source
// of a query, with its number.
import { chromium } from 'playwright-core';

const [url, executablePath, ...queries] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage();
await page.exposeFunction('say', (what) => console.log(JSON.stringify(what)));
await page.goto(url);
await page.evaluate((queries) => {
  queries.forEach((query, source) => {
    const events = new EventSource('/graphql?query=' + encodeURIComponent(query));
    events.onopen = () => say({ source, open: true });
    events.onerror = () => say(events.readyState === EventSource.CLOSED ? { source, closed: true } : { source, lost: true });
    events.addEventListener('next', ({ data, lastEventId }) => {
      const { data: { posted }, extensions } = JSON.parse(data);
      say({ source, next: posted.text, sure: extensions.cursor === lastEventId });
    });
    events.addEventListener('complete', ({ data }) => say({ source, complete: data === '' }));
  });
}, queries);
