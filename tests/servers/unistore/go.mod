// A store that speaks TiKV's protocol, for the tests that need one behind a real PD. It has no go.mod of its own, so
// what it requires stands here, in the versions of its time.
module ordermill/tests/servers/unistore

go 1.16

require (
	github.com/ngaut/unistore v0.0.0-20201217024625-f53801ce8d4f
	github.com/pingcap/kvproto v0.0.0-20201215060142-f3dafca4c7fd // indirect
	github.com/pingcap/tidb v1.1.0-beta.0.20201216120335-040a03229e97 // indirect
)

// The etcd that TiDB's client of that time was made for.
replace go.etcd.io/etcd => github.com/zhangjinpeng1987/etcd v0.5.0-alpha.5.0.20201117041249-9487a87e2cbd
