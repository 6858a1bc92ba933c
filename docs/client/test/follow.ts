// Follows a topic with tidings.ts, and says so: the program of the tests of it.
// node follow.js <url>; on stdin one line of JSON, Told; later lines are access tokens, each for one renewal.
// Prints a line of JSON for each connection, close, failure, list and item, and for the end.
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { connect } from '../tidings.js';

interface Told {
  query: string; // gives the item as "it"
  variables: Record<string, unknown>;
  list?: string; // gives liveCursor and items.nodes
  cursor?: string; // the one that is stored
  token?: string;
  attempts?: number; // that graphql-ws makes before it gives up
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const line = async () => String((await lines.next()).value);
const say = (what: unknown) => console.log(JSON.stringify(what));
const told = JSON.parse(await line()) as Told;

const live = connect({
  url: String(process.argv[2]),
  async token(renew) {
    if (renew) {
      say({ renew });
      told.token = await line();
    }
    return told.token;
  },
  log: (failure) => say({ failure: String(failure) }),
  client: {
    webSocketImpl: WebSocket,
    ...(told.attempts !== undefined && { retryAttempts: told.attempts }),
    on: {
      connected: () => say({ connected: true }),
      closed: (event) => say({ closed: (event as CloseEvent).code }),
    },
  },
});

let item: string | undefined;
live.follow<{ it: { id: string } }>({
  query: told.query,
  variables: told.variables,
  async load(expired) {
    if (!told.list) throw new Error('there was a cursor, and it is asked for one');
    const { liveCursor, items } = await live.query<{ liveCursor: string; items: { nodes: { id: string }[] } }>(told.list);
    say({ list: items.nodes.map(({ id }) => id), expired });
    return liveCursor;
  },
  next: ({ it }) => {
    item = it.id;
  },
  ended: (errors) => say(errors ? { error: JSON.stringify(errors) } : { complete: true }),
  store: {
    get: () => told.cursor ?? null,
    set(cursor) {
      if (item) say({ item, cursor }); // not where a list has given it
      item = undefined;
    },
  },
});
