// Subscribes to a post's comments with the client of graphql-ws and resumes behind the last comment it saw, by its id.
// node comments.mjs <url> <post id>; stdin: "cut" tears the connection, "resume" lets it come back.
// Prints "ready" when a connection is acknowledged, and the content of each comment.
import { createInterface } from 'node:readline';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, postId] = process.argv.slice(2);
let socket;
let open = () => {};
let mayReconnect = Promise.resolve();

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  shouldRetry: () => true,
  retryAttempts: 100,
  retryWait: () => mayReconnect,
  on: {
    opened: (s) => { socket = s; },
    connected: () => console.log('ready'),
  },
});

const variables = { postId };
client.subscribe(
  { query: 'subscription($postId: ID!, $after: Cursor) { commentAdded(postId: $postId, after: $after) { id content } }', variables },
  {
    next: ({ data }) => {
      variables.after = data.commentAdded.id; // the client sends this object anew when it reconnects
      console.log(data.commentAdded.content);
    },
    error: (e) => console.log('error', JSON.stringify(e)),
    complete: () => console.log('complete'),
  },
);

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'cut') {
    mayReconnect = new Promise((resolve) => { open = resolve; });
    socket.terminate();
  } else {
    open();
  }
}
