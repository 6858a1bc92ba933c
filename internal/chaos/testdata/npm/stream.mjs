// Follows a topic by server-sent events, with the client of graphql-sse or with an EventSource, and resumes behind the
// last payload.
// node stream.mjs <graphql-sse | eventsource> <url>; on stdin one line of JSON: {query, variables, token}.
// Prints a line of JSON for each connection, cut and payload, and for the end, which should not come.
import { createInterface } from 'node:readline';
import { EventSource } from 'eventsource';
import { createClient } from 'graphql-sse';

const [kind, url] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const got = ({ data, errors, extensions }) =>
  errors ? say({ error: JSON.stringify(errors) }) : say({ item: data.it.id, cursor: extensions.cursor });

const follow = {
  // What it sends when it comes back is `variables`, anew.
  'graphql-sse'(query, variables, headers) {
    let connected = false;
    const on = {
      connecting() {
        if (connected) say({ cut: true });
        connected = false;
      },
      connected() {
        connected = true;
        say({ connected });
      },
    };
    createClient({ url, headers, retryAttempts: Infinity, on }).subscribe({ query, variables }, {
      next(result) {
        if (result.extensions) variables.after = result.extensions.cursor;
        got(result);
      },
      error: (error) => say({ error: String(error) }),
      complete: () => say({ complete: true }),
    });
  },

  // It asks for the same address again, and says in a header which event was the last.
  eventsource(query, variables, headers) {
    const source = new EventSource(`${url}?${new URLSearchParams({ query, variables: JSON.stringify(variables) })}`, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
    });
    let connected = false;
    source.addEventListener('open', () => say({ connected: (connected = true) }));
    source.addEventListener('error', ({ code, message }) => {
      if (source.readyState === source.CLOSED) say(code === 204 ? { complete: true } : { error: `${code} ${message}` });
      else if (connected) say({ cut: true });
      connected = false;
    });
    source.addEventListener('next', ({ data }) => got(JSON.parse(data)));
  },
};

const lines = createInterface({ input: process.stdin });
const { query, variables, token } = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
follow[kind](query, variables, token ? { authorization: `Bearer ${token}` } : {});
