// A client of Tidings' subscriptions that resumes: after a cut, a restart of the server, a token that ran out, and, if it
// is given a place to keep its cursor, in another page. Every item comes once and in order, or you are told that some
// are lost. Copy this file; it needs graphql-ws only (npm install graphql graphql-ws).
//
// A list, and all that is new from there on, without a gap between the two:
//
//   const live = connect({ url: 'wss://example.com/graphql', token: (renew) => (renew ? refreshSession() : accessToken) });
//   const posts = new Map<string, Post>();
//   const stop = live.follow<{ postCreated: Post }>({
//     query: 'subscription($after: Cursor) { postCreated(after: $after) { id title } }',
//     async load() {
//       const list = await live.query<{ liveCursor: string; posts: { nodes: Post[] } }>('{ liveCursor posts(first: 50) { nodes { id title } } }');
//       posts.clear(); // what was there may be out of date
//       for (const post of list.posts.nodes) posts.set(post.id, post);
//       return list.liveCursor;
//     },
//     next: ({ postCreated }) => posts.set(postCreated.id, postCreated), // by id: it may be in the list, too
//     ended: (errors) => console.error(errors),
//   });
import { createClient, type Client, type ClientOptions } from 'graphql-ws';

export interface ConnectOptions {
  /** wss://…/graphql */
  url: string;
  /**
   * Gives the access token, or nothing to be anonymous. `renew` says that the server has refused the last one, with 4403:
   * it has expired or its session has ended. If it throws it is asked again a little later; where there is no session any
   * more, end what you follow. It has 10 s.
   */
  token?: (renew: boolean) => string | undefined | Promise<string | undefined>;
  /** Told of each failure that is got over by trying again; console.warn. */
  log?: (failure: unknown) => void;
  /** What else graphql-ws is to be given: `webSocketImpl` where there is no WebSocket. */
  client?: Partial<ClientOptions>;
}

export interface Follow<Data> {
  /** A subscription with a variable `$after: Cursor`, which is its field's argument `after`. */
  query: string;
  variables?: Record<string, unknown>;
  /**
   * Reads what the subscription goes on from, with `liveCursor` in the same query, and returns that. It is called at
   * first, unless a cursor is stored, and with `expired` when the server can't continue from where this was
   * (CURSOR_EXPIRED): what came in between is lost to the subscription, and everything is to be read anew.
   */
  load(expired: boolean): Promise<string>;
  /** Takes what is new. If it throws, it is told the same again. */
  next(data: Data): void;
  /** It is over: with errors, or because there is nothing more to be seen (a post was taken back). It is not called by stop. */
  ended(errors?: readonly GraphQLError[]): void;
  /**
   * Where to keep the cursor of the last item that next has taken, such as localStorage, so that another page goes on
   * behind it and doesn't load. It belongs with the items: keep it where they are kept, or leave it out.
   */
  store?: { get(): string | null; set(cursor: string): void };
}

export interface GraphQLError {
  readonly message: string;
  readonly extensions?: { readonly [name: string]: unknown };
}

export interface Live {
  /** Runs a query. Not a mutation: one whose answer is lost would be run again. It throws the errors, or what closed the connection. */
  query<Data>(query: string, variables?: Record<string, unknown>): Promise<Data>;
  /** Subscribes until it has ended or the returned function is called. */
  follow<Data>(what: Follow<Data>): () => void;
}

/** Opens a connection when something is asked for, and closes it when nothing is any more. */
export function connect(options: ConnectOptions): Live {
  const log = options.log ?? ((failure) => console.warn('tidings:', failure));
  let renew = false;
  let pong: ReturnType<typeof setTimeout> | undefined;
  const client: Client = createClient({
    url: options.url,
    retryAttempts: 5, // in a row; follow goes on after that
    shouldRetry: () => true, // also where nobody answers
    retryWait: (attempt) => sleep(backoff(attempt)),
    keepAlive: 20_000, // a connection that is dead and not closed is found so
    ...options.client,
    async connectionParams() {
      const token = await options.token?.(renew);
      renew = false;
      return token ? { authorization: `Bearer ${token}` } : {};
    },
  });
  client.on('ping', (received) => {
    if (!received) pong = setTimeout(() => client.terminate(), 10_000);
  });
  client.on('pong', (received) => {
    if (received) clearTimeout(pong);
  });
  client.on('closed', (event) => {
    clearTimeout(pong);
    if ((event as { code?: number }).code === 4403) renew = true;
  });

  function query<Data>(query: string, variables?: Record<string, unknown>): Promise<Data> {
    return new Promise((resolve, reject) => {
      let data: Data | null | undefined;
      let errors: readonly GraphQLError[] | undefined;
      client.subscribe<Data>({ query, variables }, {
        next: (result) => ({ data, errors } = result),
        error: reject,
        complete: () => (data && !errors ? resolve(data) : reject(errors ?? new Error('no answer'))),
      });
    });
  }

  function follow<Data>(what: Follow<Data>): () => void {
    let stopped = false;
    let unsubscribe = () => {};
    let after = what.store?.get() ?? undefined;
    let failures = 0;

    // Resolves with why it came to an end: GraphQL errors, nothing for a completion, else what closed the connection.
    const subscribe = (from: string) =>
      new Promise<unknown>((resolve) => {
        const variables = { ...what.variables, after: from }; // graphql-ws sends them anew when it has reconnected
        unsubscribe = client.subscribe<Data, { cursor: string }>({ query: what.query, variables }, {
          next({ data, extensions }) {
            if (stopped || !data || !extensions) return;
            what.next(data);
            failures = 0;
            after = variables.after = extensions.cursor;
            what.store?.set(after);
          },
          error: resolve,
          complete: () => resolve(undefined),
        });
      });

    // Follows until it is over.
    const run = async () => {
      for (let expired = false; !stopped; ) {
        let wait = 0;
        try {
          if (after === undefined) {
            after = await what.load(expired);
            what.store?.set(after);
            expired = false;
            if (stopped) return;
          }
          const end = await subscribe(after);
          if (stopped) return;
          const errors = end === undefined || Array.isArray(end) ? (end as GraphQLError[] | undefined) : undefined;
          const code = errors?.[0]?.extensions?.code;
          if (code === 'CURSOR_EXPIRED') [after, expired] = [undefined, true];
          else if (code === 'RATE_LIMITED') wait = 1000 * Number(errors?.[0]?.extensions?.retryAfter ?? 1);
          else if (end === undefined || (errors && code !== 'INTERNAL')) return what.ended(errors);
          log(end);
        } catch (failure) {
          log(failure); // of load
        }
        await sleep(Math.max(wait, backoff(failures++)));
      }
    };
    void run();
    return () => {
      stopped = true;
      unsubscribe();
    };
  }

  return { query, follow };
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Half a second, doubled at each attempt up to half a minute, and jittered, so that not all come back at once. */
const backoff = (attempt: number) => Math.min(30_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2);
