// The tabs that the page opens with. operations.test.mjs holds them against the schema.

const query = `# Welcome to Tidings!
# Press the pink button, or Ctrl+Enter, to run it.
# Ctrl+Space shows what else there is to ask for.
query LatestPosts {
  posts(first: 5) {
    nodes {
      id
      title
      author { username fullName }
      comments(first: 2) {
        totalCount
        nodes { content author { username } }
      }
    }
  }
  users(first: 3, orderBy: { field: USERNAME }) {
    nodes { username posts(first: 2) { nodes { title } } }
  }
}
`;

const signUp = `# Everybody may make an account.
# Choose name and password under "Variables".
mutation SignUp($input: CreateUserInput!) {
  createUser(input: $input) {
    id
    username
    email
  }
}
`;

const logIn = `# Log in, and copy the accessToken of the answer:
# the next tab wants it, under "Headers".
mutation LogIn($input: LogInInput!) {
  logIn(input: $input) {
    accessToken
    expiresAt
    user { username }
  }
}
`;

const post = `# Paste your access token under "Headers" first.
# Run the next tab before, to see the post arrive.
mutation WritePost($input: CreatePostInput!) {
  createPost(input: $input) {
    id
    title
    published
    createdAt
  }
}
`;

const subscription = `# Stays open, and shows each new post at once. When
# the connection is cut and comes back, it goes on
# after the last post it saw.
subscription NewPosts($after: Cursor) {
  postCreated(after: $after) {
    id
    title
    author { username }
  }
}
`;

const json = (value) => JSON.stringify(value, null, 2);
const password = 'Choose-1-yourself';

export const tabs = [
  { query },
  {
    query: signUp,
    variables: json({ input: { username: 'newcomer', fullName: 'New Comer', email: 'newcomer@example.org', password } }),
  },
  { query: logIn, variables: json({ input: { login: 'newcomer', password } }) },
  {
    query: post,
    variables: json({ input: { title: 'Hello from the playground', content: 'My first post.', published: true } }),
    headers: json({ Authorization: 'Bearer PASTE_YOUR_ACCESS_TOKEN' }),
  },
  { query: subscription, variables: json({ after: null }) },
];
