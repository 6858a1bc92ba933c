// Drives the playground of a running server in headless Chromium:
//
//   node test/playground.mjs <base URL> <access token> [screenshot.png]
//
// or by TIDINGS_URL, TIDINGS_TOKEN and TIDINGS_SCREENSHOT. TIDINGS_CHROMIUM names another browser than
// /usr/bin/chromium. It prints a line for each step and exits with 0, or with 1 at the first step that fails.
// It writes four posts with the token.
import { chromium } from 'playwright-core';

const [base = process.env.TIDINGS_URL, token = process.env.TIDINGS_TOKEN, screenshot = process.env.TIDINGS_SCREENSHOT] =
  process.argv.slice(2);
if (!base || !token) {
  console.error('usage: node test/playground.mjs <base URL> <access token> [screenshot.png]');
  process.exit(1);
}
const home = new URL('/', base);
const patience = 20_000; // milliseconds, for each step

const browser = await chromium.launch({
  executablePath: process.env.TIDINGS_CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const complaints = []; // what no page may do: ask another host, or report an error

try {
  const page = await open();
  await step('the page opens with its examples', async () => {
    for (const name of ['Explore', 'SignUp', 'LogIn', 'WritePost', 'WatchPosts']) await tab(page, name).waitFor();
  });

  await step('the query shows data', async () => {
    await run(page);
    await shows(page, '"users"');
    await shows(page, '"nodes"');
  });

  await step('a token in the headers editor goes out with a mutation', async () => {
    await tab(page, 'WritePost').click();
    await page.getByRole('button', { name: 'Headers', exact: true }).click();
    await fill(page, 'Headers', JSON.stringify({ Authorization: `Bearer ${token}` }));
    await run(page);
    await shows(page, '"createPost"');
    await shows(page, '"title": "Hello, Tidings"');
  });

  await step('the subscription starts, with the token in connection_init', async () => {
    const inits = [];
    page.on('websocket', (socket) =>
      socket.on('framesent', ({ payload }) => {
        const message = JSON.parse(payload);
        if (message.type === 'connection_init') inits.push(message.payload?.authorization);
      }),
    );
    await tab(page, 'WatchPosts').click();
    await fill(page, 'Headers', JSON.stringify({ Authorization: `Bearer ${token}` }));
    await run(page);
    await shows(page, 'connected, waiting for the first delivery');
    if (inits.join() !== `Bearer ${token}`) throw new Error(`connection_init had the authorization [${inits.join()}]`);
  });

  const live = title('live');
  await step('a post that is created arrives', async () => {
    await post(live);
    await shows(page, live);
    if (screenshot) await page.screenshot({ path: screenshot });
  });
  await page.close();

  await step('a subscription that is cut off resumes behind its last delivery', async () => {
    const cut = await openCut();
    await tab(cut.page, 'WatchPosts').click();
    await run(cut.page);
    await shows(cut.page, 'connected, waiting for the first delivery');
    const seen = title('seen');
    await post(seen);
    await shows(cut.page, seen);
    await cut.cutOff();
    await shows(cut.page, 'not connected (1012');
    const missed = title('missed');
    await post(missed);
    cut.letIn();
    await shows(cut.page, missed);
    await shows(cut.page, '"received": 2');
  });

  await step('no other host was asked, and nothing was reported', async () => {});
} catch (cause) {
  console.log(`FAIL ${cause.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}

// step runs one step, and fails if it did or if a page complained meanwhile.
async function step(name, action) {
  try {
    await action();
  } catch (cause) {
    throw new Error([`${name}: ${cause.message}`, ...complaints].join('\n     '));
  }
  if (complaints.length > 0) throw new Error([name, ...complaints].join('\n     '));
  console.log(`ok   ${name}`);
}

// open loads the playground in a page of its own, with nothing stored.
async function open(prepare = async () => {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.on('request', (request) => foreign(request.url(), home.protocol));
  page.on('websocket', (socket) => foreign(socket.url(), home.protocol.replace('http', 'ws')));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`the console has an error: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`the page has an error: ${error.message}`));
  await prepare(page);
  await page.goto(home.href);
  return page;
}

// openCut loads a page whose socket can be cut, as a server that restarts would, and that gets no new one to the
// server until it is let in.
async function openCut() {
  const sides = []; // of the first socket: the page's and the server's
  let letIn;
  const door = new Promise((resolve) => (letIn = resolve));
  const page = await open((page) =>
    page.routeWebSocket(/\/graphql$/, async (socket) => {
      const first = sides.length === 0;
      if (!first) await door;
      const server = socket.connectToServer();
      if (first) sides.push(socket, server);
    }),
  );
  const cutOff = () => Promise.all(sides.map((side) => side.close({ code: 1012, reason: 'restart' })));
  return { page, letIn, cutOff };
}

function foreign(url, protocol) {
  const { protocol: asked, host } = new URL(url);
  if (asked === 'data:' || asked === 'blob:') return;
  if (host !== home.host || asked !== protocol) complaints.push(`the page asked ${url}`);
}

function tab(page, name) {
  return page.getByRole('tab').getByRole('button', { name, exact: true });
}

async function run(page) {
  await page.getByRole('button', { name: /^Execute query/ }).click();
}

// fill replaces the text of one of the small editors by pasting, as typing has Monaco close brackets and quotes.
async function fill(page, name, text) {
  const editor = page.getByRole('region', { name, exact: true });
  await editor.getByRole('textbox').and(page.locator(':visible')).first().focus();
  await page.keyboard.press('ControlOrMeta+A');
  await page.evaluate((text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', text);
    const paste = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
    document.activeElement.dispatchEvent(paste);
  }, text);
}

// shows waits until the result pane has the text. Monaco draws spaces as no-break spaces.
async function shows(page, text) {
  const result = page.getByRole('region', { name: 'Result Window' });
  const pattern = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(' ', '\\s'));
  try {
    await result.getByText(pattern).first().waitFor();
  } catch {
    const shown = (await result.innerText().catch(() => '')).replaceAll('\u00a0', ' ').trim();
    throw new Error(`${text} is not shown within ${patience / 1000} s, but:\n${shown}`);
  }
}

function title(word) {
  return `A ${word} post, ${Math.random().toString(36).slice(2)}`;
}

// post publishes a post over HTTP, not through the browser.
async function post(title) {
  const response = await fetch(new URL('/graphql', home), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    body: JSON.stringify({
      query: 'mutation ($input: CreatePostInput!) { createPost(input: $input) { id } }',
      variables: { input: { title, content: 'Written by the test of the playground.', published: true } },
    }),
  });
  const text = await response.text();
  if (!response.ok || JSON.parse(text).errors) throw new Error(`createPost answered ${response.status}: ${text}`);
}
