//go:build tools
// +build tools

// Package servers names the command that is built, so that its requirements stay in go.mod.
package servers

import _ "github.com/ngaut/unistore/cmd/unistore-server"
