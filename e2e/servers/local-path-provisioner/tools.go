//go:build tools

// Package localpathprovisioner names the command that is built, so that its requirements stay in go.mod.
package localpathprovisioner

import _ "github.com/rancher/local-path-provisioner"
