// Subscribes with the client of graphql-ws and resumes behind the last post it got, as the protocol's users do:
// extensions.cursor goes into variables.after, which the client sends anew when it has connected again.
// Prints one line of JSON for each thing that happens; ends when its input does.
// node subscribe.mjs <url> <after> <token or nothing>
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, after, token] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: token ? { Authorization: `Bearer ${token}` } : undefined,
  shouldRetry: () => true,
  retryAttempts: 100,
  retryWait: () => new Promise((retry) => setTimeout(retry, 20)),
  on: { closed: ({ code, reason }) => say({ closed: code, reason }) },
});

const once = (query) =>
  new Promise((resolve, reject) => {
    let result;
    client.subscribe({ query }, { next: (r) => (result = r), error: reject, complete: () => resolve(result) });
  });

const variables = { after };
client.subscribe(
  { query: 'subscription($after: Cursor) { posted(after: $after) { text viewer } }', variables },
  {
    next: ({ data, extensions }) => {
      variables.after = extensions.cursor;
      say({ next: data.posted.text, viewer: data.posted.viewer });
    },
    error: (error) => say({ error }),
    complete: () => say({ complete: true }),
  },
);
say({ hello: (await once('{ hello }')).data.hello });
say({ refused: await once('{ nothing }').catch((errors) => errors[0].extensions.code) });
process.stdin.on('end', () => client.dispose()).resume();
