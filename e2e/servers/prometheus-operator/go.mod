// The kinds of Prometheus' operator, for the operator's tests: its PodMonitor alone is read.
module ordermill.invalid/e2e/servers/prometheus-operator

go 1.24.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
