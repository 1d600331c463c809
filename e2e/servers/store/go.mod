// What starts a store in a pod, for the tests on a real Kubernetes.
module ordermill.invalid/e2e/servers/store

go 1.26.0
