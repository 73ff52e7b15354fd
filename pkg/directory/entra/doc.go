// Package entra reads a Microsoft Entra tenant through Microsoft Graph: delta
// streams, batches, lost tokens, throttling and credentials. It is the only
// importer of msgraph-sdk-go, its kiota modules and azidentity, and implements
// directory.Directory.
//
// The SDK builds requests, signs in and runs its middleware; bodies are decoded
// as they stream in, and retries, waiting and budgets are this package's own,
// because the SDK's retry handler leaks connections and its client timeout
// swallows long waits. Every request, tokens included, passes one guard next
// to the wire that pins scheme, host, port and path.
package entra
