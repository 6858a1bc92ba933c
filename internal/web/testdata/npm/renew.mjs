// Subscribes with the client of graphql-ws, and renews its access token on the open socket: the client has no ping of
// its own that takes a payload, but hands out its socket.
// node renew.mjs <url>; stdin: "token <token>" keeps it for the next connection, the first of which begins then;
// "renew <token>" sends it, too.
// Prints one line of JSON for each thing that happens; ends when its input does.
import { createInterface } from 'node:readline';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const url = process.argv[2];
let token;
const say = (what) => console.log(JSON.stringify(what));
let socket = null;

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: () => ({ authorization: token }), // asked anew for each connection
  shouldRetry: () => true,
  retryAttempts: 100,
  retryWait: () => new Promise((retry) => setTimeout(retry, 20)),
  on: {
    connected: (s) => { socket = s; say({ connected: true }); },
    pong: (received) => received && say({ pong: true }),
    closed: ({ code, reason }) => { socket = null; say({ closed: code, reason }); },
  },
});

function renew(fresh) {
  token = fresh;
  socket?.send(JSON.stringify({ type: 'ping', payload: { authorization: fresh } }));
}

const variables = {};
const subscribe = () => client.subscribe(
  { query: 'subscription($after: Cursor) { posted(after: $after) { text } }', variables },
  {
    next: ({ data, extensions }) => {
      variables.after = extensions.cursor;
      say({ next: data.posted.text });
    },
    error: (error) => say({ error }),
    complete: () => say({ complete: true }),
  },
);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const [what, fresh] = line.split(' ');
  if (what === 'renew') renew(fresh);
  else if (token) token = fresh;
  else { token = fresh; subscribe(); }
}
client.dispose();
