// Package matrix holds who may see and do what, apart from the server's code, and holds the server to it: each field,
// argument and operation of the schema, for each kind of viewer, by each way that leads there.
//
// The rules are tables. A schema that has anything the tables lack fails TestTheMatrixKnowsTheSchema, so that nobody
// adds to it without deciding who it is for. The tables are also a small model of the server: operations are generated
// from the schema, and the answers compared with what the model says of the same operation.
package matrix

import "strings"

// A who is those for whom something is.
type who int

const (
	everyone       who = iota // of those who may see what it belongs to
	signedIn                  // not the anonymous
	ownerAndAdmins            // the user it is about or its author, and admins
	adminsOnly
	holders  // those who present something of their own, such as a refresh token
	newUsers // the user that it makes or lets in, who then is the viewer of the answer
)

// A field is a row about a field of an object that can be read.
type field struct {
	who   who
	value func(c call) any
}

// visible is the one rule about objects. Everything else is about fields of what is visible.
func visible(v *viewer, o *object) bool {
	switch o.typ {
	case "Post":
		return o.values["published"] == true || v.owns(o) || v.admin
	case "Comment":
		return visible(v, o.post)
	}
	return true
}

// fields are all that can be read below a query. The value of an object is shown as null where that is not visible, and
// connections and their counts are only of what is.
var fields = map[string]field{
	"Node.id": {},

	"User.id":        {value: stored},
	"User.username":  {value: stored},
	"User.fullName":  {value: stored},
	"User.email":     {value: stored, who: ownerAndAdmins},
	"User.role":      {value: stored},
	"User.isActive":  {value: stored},
	"User.createdAt": {value: anyText},
	"User.updatedAt": {value: anyText},
	"User.posts":     {value: func(c call) any { return c.posts(func(p *object) bool { return p.author == c.o }) }},

	"Post.id":          {value: stored},
	"Post.title":       {value: stored},
	"Post.content":     {value: stored},
	"Post.published":   {value: stored},
	"Post.publishedAt": {value: stored},
	"Post.author":      {value: author},
	"Post.createdAt":   {value: anyText},
	"Post.updatedAt":   {value: anyText},
	"Post.comments": {value: func(c call) any {
		return c.all("Comment", func(o *object) bool { return o.post == c.o })
	}},

	"Comment.id":        {value: stored},
	"Comment.content":   {value: stored},
	"Comment.author":    {value: author},
	"Comment.post":      {value: func(c call) any { return c.o.(*object).post }},
	"Comment.createdAt": {value: anyText},
	"Comment.updatedAt": {value: anyText},

	"PageInfo.hasNextPage":     {value: func(call) any { return false }},
	"PageInfo.hasPreviousPage": {value: func(call) any { return false }},
	"PageInfo.startCursor":     {value: edgeCursor},
	"PageInfo.endCursor":       {value: edgeCursor},

	"UserConnection.edges": {value: edges}, "PostConnection.edges": {value: edges}, "CommentConnection.edges": {value: edges},
	"UserConnection.nodes": {value: nodes}, "PostConnection.nodes": {value: nodes}, "CommentConnection.nodes": {value: nodes},
	"UserConnection.pageInfo": {value: itself}, "PostConnection.pageInfo": {value: itself}, "CommentConnection.pageInfo": {value: itself},
	"UserConnection.totalCount": {value: count}, "PostConnection.totalCount": {value: count}, "CommentConnection.totalCount": {value: count},
	"UserEdge.cursor": {value: anyText}, "PostEdge.cursor": {value: anyText}, "CommentEdge.cursor": {value: anyText},
	"UserEdge.node": {value: node}, "PostEdge.node": {value: node}, "CommentEdge.node": {value: node},

	// A session is shown to whom it is given, in the moment it is.
	"Session.accessToken":  {who: newUsers, value: anyText},
	"Session.expiresAt":    {who: newUsers, value: anyText},
	"Session.refreshToken": {who: newUsers, value: anyText},
	"Session.user":         {who: newUsers},

	"Query.node":       {value: func(c call) any { return c.m.byID(c.args["id"]) }},
	"Query.nodes":      {value: func(c call) any { return c.m.byIDs(c.args["ids"]) }},
	"Query.viewer":     {value: func(c call) any { return c.v.user }},
	"Query.liveCursor": {value: anyText},
	"Query.user":       {value: func(c call) any { return c.m.userBy(c.args) }},
	"Query.users":      {value: func(c call) any { return c.users() }},
	"Query.post":       {value: func(c call) any { return c.m.byID(c.args["id"]) }},
	"Query.posts": {value: func(c call) any {
		return c.posts(func(p *object) bool { id, ok := c.args["authorId"]; return !ok || unquoted(id) == p.author.id })
	}},
	"Query.searchPosts": {value: func(c call) any {
		word := unquoted(c.args["query"])
		return c.posts(func(p *object) bool {
			return strings.Contains(p.values["title"].(string)+" "+p.values["content"].(string), word)
		})
	}},
}

// sessionsComeFrom are the only fields that may lead to a Session, which nobody else is to be shown.
var sessionsComeFrom = []string{"Mutation.logIn", "Mutation.refreshSession", "Mutation.changePassword"}

// A kind says what an argument does, and so which tests it takes part in.
type kind int

const (
	page     kind = iota + 1 // how much: TestPages
	place                    // where in a list: TestPages
	choice                   // which of a list: each value is tried
	one                      // the id of one thing: each id that there is, and those of what is hidden
	some                     // ids of several
	resume                   // where in a stream: TestSubscriptions, and the ids of what is hidden
	input                    // see inputs
	password                 // something that only its owner knows
)

// An argument is a row about an argument of a field.
type argument struct {
	kind   kind
	of     string   // for ids: of which types
	values []string // for choices, as GraphQL has them; $name stands for an id
}

const anything = "User Post Comment"

var (
	first, last     = argument{kind: page}, argument{kind: page}
	after, before   = argument{kind: place}, argument{kind: place}
	published       = argument{kind: choice, values: []string{"true", "false"}}
	refreshTokenArg = argument{kind: password}
)

var arguments = map[string]argument{
	"User.posts.published": published,
	"User.posts.first":     first, "User.posts.after": after, "User.posts.last": last, "User.posts.before": before,
	"Post.comments.first": first, "Post.comments.after": after, "Post.comments.last": last, "Post.comments.before": before,

	"Query.node.id":       {kind: one, of: anything},
	"Query.nodes.ids":     {kind: some, of: anything},
	"Query.user.id":       {kind: one, of: "User"},
	"Query.user.username": {kind: choice, values: []string{`"author"`, `"OTHER"`, `"nobody_at_all"`}},
	"Query.users.search":  {kind: choice, values: []string{`"auth"`, `"name of"`, `"example"`, `"nobody_at_all"`}},
	"Query.users.orderBy": {kind: choice, values: []string{"{field: CREATED_AT}", "{field: USERNAME, direction: DESC}"}},
	"Query.users.first":   first, "Query.users.after": after, "Query.users.last": last, "Query.users.before": before,
	"Query.post.id":         {kind: one, of: "Post"},
	"Query.posts.published": published,
	"Query.posts.authorId":  {kind: choice, values: []string{"$author", "$other", "$admin"}},
	"Query.posts.orderBy":   {kind: choice, values: []string{"{field: CREATED_AT}", "{field: UPDATED_AT, direction: ASC}", "{field: TITLE}"}},
	"Query.posts.first":     first, "Query.posts.after": after, "Query.posts.last": last, "Query.posts.before": before,
	"Query.searchPosts.query": {kind: choice, values: []string{`"everywhere"`, `"publicword"`, `"unfinishedword"`, `"takenbackword"`, `"otherdraftword"`}},
	"Query.searchPosts.first": first, "Query.searchPosts.after": after,

	"Mutation.createUser.input":            {kind: input},
	"Mutation.updateUser.id":               {kind: one, of: "User"},
	"Mutation.updateUser.input":            {kind: input},
	"Mutation.deleteUser.id":               {kind: one, of: "User"},
	"Mutation.logIn.input":                 {kind: input},
	"Mutation.refreshSession.refreshToken": refreshTokenArg,
	"Mutation.changePassword.input":        {kind: input},
	"Mutation.createPost.input":            {kind: input},
	"Mutation.updatePost.id":               {kind: one, of: "Post"},
	"Mutation.updatePost.input":            {kind: input},
	"Mutation.deletePost.id":               {kind: one, of: "Post"},
	"Mutation.addComment.input":            {kind: input},
	"Mutation.updateComment.id":            {kind: one, of: "Comment"},
	"Mutation.updateComment.input":         {kind: input},
	"Mutation.deleteComment.id":            {kind: one, of: "Comment"},

	"Subscription.postCreated.authorId": {kind: choice, values: []string{"$author", "$other"}},
	"Subscription.postCreated.after":    {kind: resume, of: "Post"},
	"Subscription.commentAdded.postId":  {kind: one, of: "Post"},
	"Subscription.commentAdded.after":   {kind: resume, of: "Comment"},
}

// An inputField is a row about a field of an input: who may give it.
type inputField struct {
	who who
	id  string // of which type it is the id
	try string // a value, for those that not everyone may give
}

var inputs = map[string]inputField{
	"UserOrder.field": {}, "UserOrder.direction": {}, "PostOrder.field": {}, "PostOrder.direction": {},
	"CreateUserInput.username": {}, "CreateUserInput.email": {}, "CreateUserInput.fullName": {}, "CreateUserInput.password": {},
	"UpdateUserInput.username": {}, "UpdateUserInput.email": {}, "UpdateUserInput.fullName": {},
	"UpdateUserInput.isActive": {who: adminsOnly, try: "false"},
	"UpdateUserInput.role":     {who: adminsOnly, try: "ADMIN"},
	"LogInInput.login":         {}, "LogInInput.password": {},
	"ChangePasswordInput.oldPassword": {}, "ChangePasswordInput.newPassword": {},
	"CreatePostInput.title": {}, "CreatePostInput.content": {}, "CreatePostInput.published": {},
	"UpdatePostInput.title": {}, "UpdatePostInput.content": {}, "UpdatePostInput.published": {},
	"AddCommentInput.postId": {id: "Post"}, "AddCommentInput.content": {},
	"UpdateCommentInput.content": {},
}

// A mutation is a row about who may do something. Of what a viewer may not see it is always NOT_FOUND, and the anonymous
// are always UNAUTHENTICATED, but for what is for everyone.
type mutation struct {
	who    who
	on     string // the type of what it changes: %s is its id
	do     string // without the selection
	scalar bool   // its answer has no fields
	own    bool   // it changes the viewer's own account or session: each viewer has one to spare
}

var mutations = map[string]mutation{
	"createUser":     {who: newUsers, do: `createUser(input: {username: "$new", email: "$new@example.org", fullName: "New", password: "Sesame-123"})`},
	"updateUser":     {who: ownerAndAdmins, on: "User", do: `updateUser(id: "%s", input: {fullName: "Changed"})`},
	"deleteUser":     {who: ownerAndAdmins, on: "User", do: `deleteUser(id: "%s")`},
	"logIn":          {who: newUsers, do: `logIn(input: {login: "author", password: "Sesame-123"})`},
	"refreshSession": {who: holders, do: `refreshSession(refreshToken: "nobody's")`},
	"logOut":         {who: signedIn, do: `logOut`, scalar: true, own: true},
	"changePassword": {who: signedIn, do: `changePassword(input: {oldPassword: "Sesame-123", newPassword: "Sesame-1234"})`, own: true},
	"createPost":     {who: signedIn, do: `createPost(input: {title: "Another", content: "x", published: true})`},
	"updatePost":     {who: ownerAndAdmins, on: "Post", do: `updatePost(id: "%s", input: {title: "Changed"})`},
	"deletePost":     {who: ownerAndAdmins, on: "Post", do: `deletePost(id: "%s")`},
	"addComment":     {who: signedIn, on: "Post", do: `addComment(input: {postId: "%s", content: "Another"})`},
	"updateComment":  {who: ownerAndAdmins, on: "Comment", do: `updateComment(id: "%s", input: {content: "Changed"})`},
	"deleteComment":  {who: ownerAndAdmins, on: "Comment", do: `deleteComment(id: "%s")`},
}

// subscriptions say what is delivered: of what is there, these in their order. What they are about must be visible, or
// the subscription is NOT_FOUND.
var subscriptions = map[string]func(c call) []*object{
	"postCreated": func(c call) []*object {
		return c.posts(func(p *object) bool {
			id, ok := c.args["authorId"]
			return p.values["published"] == true && (!ok || unquoted(id) == p.author.id)
		}).items
	},
	"commentAdded": func(c call) []*object {
		return c.all("Comment", func(o *object) bool { return o.post.id == unquoted(c.args["postId"]) }).items
	},
}

// others are the types without fields that need a decision: scalars, and enums with their values.
var others = map[string]string{
	"DateTime": "", "Cursor": "",
	"Role": "MEMBER ADMIN", "OrderDirection": "ASC DESC", "UserOrderField": "CREATED_AT USERNAME", "PostOrderField": "CREATED_AT UPDATED_AT TITLE",
}
