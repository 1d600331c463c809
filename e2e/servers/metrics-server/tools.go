//go:build tools

// Package metrics names the command that is built, so that its requirements stay in go.mod.
package metrics

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"
