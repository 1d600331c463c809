//go:build tools

// Package coredns names the command that is built, so that its requirements stay in go.mod.
package coredns

import _ "github.com/coredns/coredns"
