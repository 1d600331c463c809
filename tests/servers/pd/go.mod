// PD, which keeps the time and the map of a TiKV cluster, for the tests that need a real one.
module ordermill/tests/servers/pd

go 1.16

require github.com/tikv/pd v1.1.0-beta.0.20230203015356-248b3f0be132

// The etcd inside PD does not compile with a later one.
replace google.golang.org/grpc => google.golang.org/grpc v1.26.0
