// What keeps a pod's namespaces, for the tests on a real Kubernetes.
module ordermill.invalid/e2e/servers/pause

go 1.26.0
