// How the playground reaches its server: the host that it was loaded from, and no other.
import { Kind, parse } from 'graphql';
import { placeholder } from './examples.js';
import { subscribe } from './live.js';

const path = '/graphql';
const shown = 500; // characters of an answer that is not JSON

// fetcher runs one operation with the headers of its tab: a query or mutation by POST, a subscription over
// WebSocket. What goes wrong on the way is returned as GraphQL errors that a person can read.
export async function fetcher({ query, operationName, variables }, { headers = {} } = {}) {
  const sent = filledIn(headers);
  const operation = operationOf(query, operationName);
  const request = { query, operationName: operation?.name?.value ?? operationName ?? undefined, variables };
  if (operation?.operation === 'subscription') {
    return subscribe({
      url: new URL(path, location.href.replace(/^http/, 'ws')).href,
      authorization: sent.find(([name]) => isAuthorization(name))?.[1],
      request,
      resumable: operation.variableDefinitions?.some(({ variable }) => variable.name.value === 'after'),
    });
  }
  // The schema is the same for everyone. Asked for anonymously, it is there with an expired token too.
  const introspection = operationName === 'IntrospectionQuery';
  return post(request, introspection ? sent.filter(([name]) => !isAuthorization(name)) : sent);
}

async function post(request, headers) {
  let response, text;
  try {
    response = await fetch(path, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/graphql-response+json, application/json;q=0.9',
        ...Object.fromEntries(headers),
      },
      body: JSON.stringify(request),
    });
    text = await response.text();
  } catch (cause) {
    return failed(`${location.host} could not be asked: ${cause.message}.`);
  }
  try {
    const result = JSON.parse(text);
    if (result && typeof result === 'object') return result;
  } catch {
    // Not JSON: an intermediary's page, or a server's plain refusal, which is shown as it came.
  }
  return failed(`${location.host} answered ${response.status} ${response.statusText}: ${text.slice(0, shown)}`.trim());
}

function failed(message) {
  return { errors: [{ message }] };
}

// filledIn lists the headers without an Authorization that still holds the placeholder.
function filledIn(headers) {
  return Object.entries(headers)
    .map(([name, value]) => [name, String(value)])
    .filter(([name, value]) => !(isAuthorization(name) && value.includes(placeholder)));
}

function isAuthorization(name) {
  return name.toLowerCase() === 'authorization';
}

// operationOf returns the operation that would run, or undefined if the document can't be parsed or leaves it open:
// then it is posted, and the server says what is wrong with it. The only operation of a document runs whatever the
// name, as for a moment after a change of tabs GraphiQL still gives the name of the tab before.
function operationOf(query, name) {
  try {
    const operations = parse(query).definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    if (operations.length === 1) return operations[0];
    return operations.find((operation) => operation.name?.value === name);
  } catch {
    return undefined;
  }
}
