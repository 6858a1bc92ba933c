// A subscription over graphql-transport-ws, as GraphiQL shows it: what was delivered, the newest first, and in
// `live` how the connection is when it needs saying.
import { createClient } from 'graphql-ws';

const kept = 50; // deliveries shown at once; older ones leave the page
const attempts = 60; // reconnects in a row, about eight minutes, before it gives up
const longestWait = 8_000; // milliseconds between two of them, give or take half
const ackWait = 10_000; // milliseconds for the server's connection_ack

// What a close code means, for servers and networks that give no reason with it.
const meanings = {
  1001: 'the server is going away',
  1005: 'no reason given',
  1006: 'the connection broke or could not be made',
  1011: 'the server failed',
  1012: 'the server restarts',
  1013: 'this connection fell too far behind',
  4400: 'invalid message',
  4401: 'not signed in',
  4403: 'not allowed: the access token is wrong or has expired',
  4406: 'the server does not speak graphql-transport-ws',
  4408: 'connection_init came too late',
  4409: 'a subscription with this id exists',
  4429: 'too many connection_init',
};

// subscribe returns an observable of one subscription, with a socket of its own, so that it is always opened with
// the headers of the moment. When `resumable` the operation declares $after: each payload's extensions.cursor is
// written there, and a reconnect, on which graphql-ws sends the same request object again, goes on behind the last
// delivery. It reconnects after everything but a refusal; unsubscribing ends the socket and all waits.
export function subscribe({ url, authorization, request, resumable }) {
  return {
    subscribe(observer) {
      const payload = { ...request, variables: { ...request.variables } };
      const deliveries = [];
      let received = 0;
      let over = false;

      function show(live, errors) {
        const [latest, ...earlier] = deliveries;
        observer.next({
          ...(live && { live }),
          ...(errors && { errors }),
          received,
          ...(latest && { latest }),
          ...(earlier.length > 0 && { earlier }),
        });
      }

      const client = createClient({
        url,
        connectionParams: authorization ? { authorization } : undefined,
        connectionAckWaitTimeout: ackWait,
        retryAttempts: attempts,
        retryWait: (tried) => sleep(Math.min(500 * 2 ** tried, longestWait) * (0.5 + Math.random())),
        // A refused connection arrives as an event without a code, and is tried again like a broken one.
        // 4403 is not: the token that was refused would be sent again.
        shouldRetry: (cause) => cause?.code !== 4403,
        on: {
          connected: () => over || show(received === 0 && 'connected, waiting for the first delivery'),
          closed: (event) => over || show(`not connected (${closeText(event)}), trying again`),
        },
      });

      show('connecting');
      const stop = client.subscribe(payload, {
        next(result) {
          if (over) return;
          const cursor = result.extensions?.cursor;
          if (resumable && cursor) payload.variables.after = cursor;
          received++;
          deliveries.unshift(result);
          deliveries.length = Math.min(deliveries.length, kept);
          show();
        },
        error(cause) {
          if (over) return;
          over = true;
          show('ended with an error', readable(cause, url));
          observer.complete();
        },
        complete() {
          if (over) return;
          over = true;
          show('ended by the server');
          observer.complete();
        },
      });

      return {
        unsubscribe() {
          if (over) return;
          over = true;
          stop();
          show('stopped');
        },
      };
    },
  };
}

// readable turns whatever graphql-ws ends a subscription with into GraphQL errors: those of the server's `error`
// message as they are, a close by its code and reason.
function readable(cause, url) {
  if (Array.isArray(cause)) return cause;
  if (cause instanceof Error) return [{ message: cause.message }];
  if (typeof cause?.code === 'number') return [{ message: `The connection was closed: ${closeText(cause)}.` }];
  return [{ message: `No connection to ${url} could be made.` }];
}

function closeText({ code, reason }) {
  const text = reason || meanings[code];
  return text ? `${code}, ${text}` : String(code);
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
