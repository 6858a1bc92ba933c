// Runs operations through a client that persists queries by itself, and prints what each took: the requests, and the
// answer. A client is made anew for each operation, so that it knows nothing of what the server knows.
// node persisted.mjs <apollo|urql> <url> <token>
import { createHash } from 'node:crypto';
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client/core';
import { createPersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';

const [which, url, token] = process.argv.slice(2);
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const headers = { authorization: `Bearer ${token}` };

let requests = [];
async function recorded(input, init = {}) {
  const at = new URL(input);
  const sent = init.body ? JSON.parse(init.body) : Object.fromEntries(at.searchParams);
  const response = await fetch(input, init);
  requests.push([init.method ?? 'GET', sent.query ? 'text' : '', sent.extensions ? 'hash' : '', response.status].filter(Boolean).join(' '));
  return response;
}

const clients = {
  apollo() {
    const client = new ApolloClient({
      cache: new InMemoryCache(),
      link: createPersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(new HttpLink({ uri: url, fetch: recorded, headers })),
    });
    return {
      query: (text, variables) => client.query({ query: gql(text), variables, errorPolicy: 'all' }),
      mutate: (text, variables) => client.mutate({ mutation: gql(text), variables, errorPolicy: 'all' }),
    };
  },
  urql() {
    const client = new Client({
      url,
      fetch: recorded,
      fetchOptions: { headers },
      exchanges: [persistedExchange({ generateHash: async (text) => sha256(text), enableForMutation: true, preferGetForPersistedQueries: true }), fetchExchange],
    });
    return {
      query: (text, variables) => client.query(text, variables, { requestPolicy: 'network-only' }).toPromise(),
      mutate: (text, variables) => client.mutation(text, variables).toPromise(),
    };
  },
};

for (const [kind, text, variables] of [
  ['query', 'query Greet($name: String) { hello(name: $name) }', { name: 'a' }],
  ['query', 'query Greet($name: String) { hello(name: $name) }', { name: 'b' }],
  ['query', 'query Asks { viewer }', {}],
  ['query', 'query Asks { viewer }', {}],
  ['mutate', 'mutation Post($text: String!) { post(text: $text) { text } }', { text: 'c' }],
  ['mutate', 'mutation Post($text: String!) { post(text: $text) { text } }', { text: 'd' }],
]) {
  requests = [];
  const { data, error } = await clients[which]()[kind](text, variables);
  const plain = JSON.parse(JSON.stringify(data ?? null, (key, value) => (key === '__typename' ? undefined : value)));
  console.log(JSON.stringify({ requests, data: plain, error: error?.message }));
}
