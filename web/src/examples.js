// What the playground opens with: one tab for each first step of a newcomer. A test holds every operation and
// its variables against schema.graphqls.

// The part of the Authorization header that a person replaces. While it is there the header is not sent.
export const placeholder = 'PASTE_ACCESS_TOKEN';

export const defaultHeaders = json({ Authorization: `Bearer ${placeholder}` });

const password = 'Tidings2day';

export const examples = [
  {
    query: `# Welcome to Tidings. Press play, or Ctrl-Enter,
# to see who is here and what they wrote last.
# The book on the left explains every field.
query Explore($people: Int!, $latest: Int!) {
  users(first: $people) {
    nodes {
      username
      fullName
      posts(first: 3) {
        nodes {
          id
          title
        }
      }
    }
  }
  posts(first: $latest) {
    nodes {
      id
      title
      publishedAt
      author {
        username
      }
      comments(first: 2) {
        totalCount
        nodes {
          content
          author {
            username
          }
        }
      }
    }
  }
}
`,
    variables: json({ people: 5, latest: 5 }),
  },
  {
    query: `# Make yourself an account: choose a name and a
# password in the Variables below, and press play.
# Already signed up? Go on to the next tab.
mutation SignUp($input: CreateUserInput!) {
  createUser(input: $input) {
    id
    username
    fullName
    createdAt
  }
}
`,
    variables: json({
      input: { username: 'newcomer', email: 'newcomer@example.com', fullName: 'Nia Newcomer', password },
    }),
  },
  {
    query: `# Log in with the name and password that you chose,
# and copy the accessToken from the answer: it says
# who you are until expiresAt. Then come back here.
mutation LogIn($input: LogInInput!) {
  logIn(input: $input) {
    accessToken
    expiresAt
    user {
      id
      username
    }
  }
}
`,
    variables: json({ input: { login: 'newcomer', password } }),
  },
  {
    query: `# Open Headers below, put your access token in place
# of ${placeholder}, and press play. With
# "published": false it stays a draft of your own.
mutation WritePost($input: CreatePostInput!) {
  createPost(input: $input) {
    id
    title
    published
    createdAt
    author {
      username
    }
  }
}
`,
    variables: json({
      input: { title: 'Hello, Tidings', content: 'My first post, written in the playground.', published: true },
    }),
    headers: defaultHeaders,
  },
  {
    query: `# Press play: new posts appear as they are published.
# Leaving this tab stops it, so write from a second
# window; to catch up on what you missed, put the last
# extensions.cursor that you saw into "after" below.
subscription WatchPosts($after: Cursor) {
  postCreated(after: $after) {
    id
    title
    publishedAt
    author {
      username
    }
  }
}
`,
    variables: json({ after: null }),
  },
];

function json(value) {
  return JSON.stringify(value, null, 2);
}
