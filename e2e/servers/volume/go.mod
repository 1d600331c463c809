// What makes and removes a volume's directory on a node, for the tests on a real Kubernetes.
module ordermill.invalid/e2e/servers/volume

go 1.23.0
