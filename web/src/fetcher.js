// How the page speaks to its server: queries and mutations by POST, subscriptions over graphql-transport-ws.
import { createClient } from 'graphql-ws';
import { Kind, OperationTypeNode, parse } from 'graphql';

const endpoint = new URL('/graphql', location.href);
const socketEndpoint = new URL(endpoint);
socketEndpoint.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';

export function fetcher(params, { headers = {} } = {}) {
  const operation = chosen(params);
  // Right after a change of tabs the editor may still name an operation of the other tab.
  const current = { ...params, operationName: operation?.name?.value };
  return operation?.operation === OperationTypeNode.SUBSCRIPTION ? subscribe(current, headers) : post(current, headers);
}

// chosen is the operation to run, as far as the text can be read; otherwise the server says what is wrong with it.
function chosen({ query, operationName }) {
  try {
    const operations = parse(query).definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION);
    return operations.find((o) => o.name?.value === operationName) ?? operations[0];
  } catch {
    return undefined;
  }
}

async function post(params, headers) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { Accept: 'application/graphql-response+json, application/json', ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify(params),
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`The server answered ${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
  }
}

// subscribe gives each subscription a connection of its own, so that it runs with the headers of its tab.
async function* subscribe(params, headers) {
  const authorization = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
  const client = createClient({
    url: socketEndpoint.href,
    lazy: true,
    retryAttempts: 20,
    connectionParams: authorization ? { authorization } : {},
  });
  // The client sends this object anew whenever it has to reconnect: written into it, the cursor of the last payload is
  // where the server continues, and nothing is missed.
  const variables = { ...params.variables };
  try {
    for await (const result of client.iterate({ ...params, variables })) {
      const cursor = result.extensions?.cursor;
      if (cursor) variables.after = cursor;
      yield result;
    }
  } catch (error) {
    throw explained(error);
  } finally {
    await client.dispose();
  }
}

// explained makes an error out of what graphql-ws rejects with: an Error, the close event, or GraphQL errors.
function explained(error) {
  if (error instanceof Error) return error;
  if (Array.isArray(error)) return new Error(error.map((e) => e.message).join('\n'));
  if (typeof error?.code === 'number') return new Error(`The connection was closed: ${error.code} ${error.reason}`.trim());
  return new Error(String(error));
}
