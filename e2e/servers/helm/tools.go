//go:build tools

// Package helm names the command that is built, so that its requirements stay in go.mod.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
