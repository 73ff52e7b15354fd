// Package scim is the driver for vault servers that take their users by SCIM
// 2.0 (RFC 7643 and 7644): users, groups and memberships over HTTPS. It asks
// the server what it can do, believes no answer that it can check, and holds no
// policy.
//
// # What is believed
//
// Real servers differ from the standard, and from what they say of themselves.
// The rules that follow, each with the test that holds it:
//
//   - A page may be shorter than asked for and its total may be wrong: a listing
//     ends with the page that brings nobody new (listing.go).
//   - A filter that finds nobody proves nothing before the same filter has found
//     somebody who is known to be there, in another case of letters (trust.go).
//     What it finds is compared again, with identity.Fold.
//   - A group without members may be one whose members are never shown
//     (groups.go).
//   - A request whose answer was lost may have been carried out: what can be
//     repeated without harm is repeated, an account is looked for before anything
//     else is said of it (create.go).
//   - 200 with a resource that does not hold what was written is a refusal where
//     access hangs on it (active, userName, externalId), a warning elsewhere.
package scim
