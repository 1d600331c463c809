// Stores that a real PD takes for its own, for the operator's tests.
module ordermill.invalid/e2e/servers/stores

go 1.16

require (
	github.com/pingcap/kvproto v0.0.0-20230201112839-2b853bed8125
	google.golang.org/grpc v1.51.0
)

// As PD itself.
replace google.golang.org/grpc => google.golang.org/grpc v1.26.0
