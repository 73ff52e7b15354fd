// Package vaulttest holds the suite that every driver of package vault passes
// (Run), and Memory, a store for other packages' tests that passes it too and
// fails when it is told to. It knows no driver.
package vaulttest
