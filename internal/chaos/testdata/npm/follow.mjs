// Follows a topic with one of the clients that people use, and resumes behind the last payload.
// node follow.mjs <graphql-ws | apollo | urql> <url>; on stdin one line of JSON: {query, variables, token, stubborn}.
// A stubborn one has `shouldRetry`, as README.md has it: as it comes, graphql-ws comes back after a close, and gives up
// for good when it finds nobody then.
// Prints a line of JSON for each connection, close and payload, and for the end, which should not come.
import { createInterface } from 'node:readline';
import { ApolloClient, ApolloLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { tap } from 'rxjs';
import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket; // Apollo looks for it, as browsers have it
const [kind, url] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const got = ({ data, extensions }) => say({ item: data.it.id, cursor: extensions?.cursor });
const gaveUp = (error) => say({ error: String(error?.message || error?.code || JSON.stringify(error)) });
const ended = () => say({ complete: true });

// With what it sends anew when it has connected again: the object `variables`.
const follow = {
  'graphql-ws': (client, query, variables) =>
    client.subscribe({ query, variables }, {
      next(result) {
        variables.after = result.extensions.cursor;
        got(result);
      },
      error: gaveUp,
      complete: ended,
    }),

  // Apollo copies the variables that it is given, and hands over no extensions: a link has both.
  apollo(client, query, variables) {
    let cursor;
    const resume = new ApolloLink((operation, forward) => {
      const variables = (operation.variables = { ...operation.variables });
      return forward(operation).pipe(tap(({ extensions }) => { cursor = variables.after = extensions.cursor; }));
    });
    new ApolloClient({ link: resume.concat(new GraphQLWsLink(client)), cache: new InMemoryCache() })
      .subscribe({ query: gql(query), variables })
      .subscribe({
        next: ({ data, error }) => (error ? gaveUp(error) : got({ data, extensions: { cursor } })),
        error: gaveUp,
        complete: ended,
      });
  },

  urql(client, query, variables) {
    const forwardSubscription = (request) => ({
      subscribe(sink) {
        const variables = { ...request.variables };
        const next = (result) => {
          variables.after = result.extensions.cursor;
          sink.next(result);
        };
        return { unsubscribe: client.subscribe({ query: request.query, variables }, { ...sink, next, error: sink.error.bind(sink), complete: sink.complete.bind(sink) }) };
      },
    });
    new Client({ url, preferGetMethod: false, exchanges: [subscriptionExchange({ forwardSubscription })] })
      .subscription(query, variables)
      .subscribe((result) => (result.error ? gaveUp(result.error) : got(result)));
  },
};

const lines = createInterface({ input: process.stdin });
const { query, variables, token, stubborn } = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: token ? { authorization: `Bearer ${token}` } : {},
  ...(stubborn && { shouldRetry: () => true }),
  on: {
    connected: () => say({ connected: true }),
    closed: ({ code }) => say({ closed: code }),
  },
});
follow[kind](client, query, variables);
