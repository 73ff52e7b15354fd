// Package entrasim is a simulated Entra tenant: the token endpoint and the part
// of Microsoft Graph v1.0 that reads users, groups and memberships, served over
// HTTPS on loopback. It is what `vaultsync demo` signs in to and what the tests
// measure the client against, so it knows nothing of the client.
//
// A Tenant is the model: people, groups, memberships, a change log, a clock
// that can be moved. Its text form (ParseTenant, Apply) is one line a thing. A
// Server puts one or several tenants on the network, and Faults make it
// misbehave: every fault is counted, so that a test can prove that it met it.
//
// # Where the rules come from
//
// A comment at each rule names its evidence: [DOC] documented by the service,
// [ISSUE] reported by a user, [CODE] and [RAN] seen in or with the client
// libraries, [INFER] an inference that nobody has verified. What is inferred,
// and what the sources disagree about, is a field of Rules: a simulator that
// hard-wires our own assumption cannot catch a wrong one.
package entrasim
