// Stores as PD sees them: they make themselves known, beat, and carry out what PD schedules. They hold no data.
//
// A real PD schedules over them as over TiKV, so that what the operator asks of PD has its real consequences. All
// regions live in this one process; a store is a connection to PD and a number. Commands come over HTTP:
//
//	POST /start?address=HOST:PORT    a store begins, or beats again
//	POST /stop?address=HOST:PORT     it falls silent
//	POST /hold?held=true|false       while held, no region changes its place
//	GET  /regions                    every region: its bounds in hex, its stores, its leader
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"sort"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/eraftpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/grpc"
)

const (
	beat    = 300 * time.Millisecond
	timeout = 3 * time.Second
	// What TiKV says of itself; PD compares it with its own version.
	version = "6.5.0"
)

type region struct {
	meta   *metapb.Region
	leader *metapb.Peer
}

type store struct {
	id     uint64
	meta   *metapb.Store
	silent bool
	gone   bool
}

type world struct {
	sync.Mutex
	pd      pdpb.PDClient
	cluster uint64
	stores  map[string]*store
	regions map[uint64]*region
	held    bool
}

func main() {
	pd := flag.String("pd", "", "where PD is, HOST:PORT")
	listen := flag.String("listen", "127.0.0.1:0", "where commands are taken")
	flag.Parse()
	connection, err := grpc.Dial(*pd, grpc.WithInsecure())
	check(err)
	w := &world{pd: pdpb.NewPDClient(connection), stores: map[string]*store{}, regions: map[uint64]*region{}}
	members, err := w.pd.GetMembers(calling(), &pdpb.GetMembersRequest{})
	check(err)
	w.cluster = members.GetHeader().GetClusterId()

	http.HandleFunc("/start", w.command(func(r *http.Request) error { return w.start(r.FormValue("address")) }))
	http.HandleFunc("/stop", w.command(func(r *http.Request) error { return w.stop(r.FormValue("address")) }))
	http.HandleFunc("/hold", w.command(func(r *http.Request) error {
		w.Lock()
		defer w.Unlock()
		w.held = r.FormValue("held") == "true"
		return nil
	}))
	http.HandleFunc("/regions", w.list)
	listener, err := net.Listen("tcp", *listen)
	check(err)
	check(http.Serve(listener, nil))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A call that takes too long fails; it ends by itself, so that nothing is left to cancel.
func calling() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	time.AfterFunc(timeout, cancel)
	return ctx
}

func (w *world) header() *pdpb.RequestHeader {
	return &pdpb.RequestHeader{ClusterId: w.cluster}
}

func (w *world) command(do func(*http.Request) error) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodPost {
			http.Error(answer, "POST it", http.StatusMethodNotAllowed)
			return
		}
		if err := do(request); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
		}
	}
}

func (w *world) allocate() (uint64, error) {
	answer, err := w.pd.AllocID(calling(), &pdpb.AllocIDRequest{Header: w.header()})
	if err != nil {
		return 0, err
	}
	return answer.GetId(), nil
}

// start makes a store known, the first one together with the region of all keys.
func (w *world) start(address string) error {
	w.Lock()
	defer w.Unlock()
	if known := w.stores[address]; known != nil && !known.gone {
		known.silent = false
		return nil
	}
	id, err := w.allocate()
	if err != nil {
		return err
	}
	s := &store{id: id, meta: &metapb.Store{Id: id, Address: address, Version: version}}
	bootstrapped, err := w.pd.IsBootstrapped(calling(), &pdpb.IsBootstrappedRequest{Header: w.header()})
	if err != nil {
		return err
	}
	if !bootstrapped.GetBootstrapped() {
		var ids [2]uint64
		for i := range ids {
			if ids[i], err = w.allocate(); err != nil {
				return err
			}
		}
		peer := &metapb.Peer{Id: ids[1], StoreId: id}
		first := &metapb.Region{
			Id: ids[0], RegionEpoch: &metapb.RegionEpoch{ConfVer: 1, Version: 1}, Peers: []*metapb.Peer{peer},
		}
		answer, err := w.pd.Bootstrap(calling(), &pdpb.BootstrapRequest{Header: w.header(), Store: s.meta, Region: first})
		if err != nil {
			return err
		}
		if refused := answer.GetHeader().GetError(); refused != nil {
			return fmt.Errorf("PD refuses to begin: %s", refused)
		}
		w.regions[first.Id] = &region{meta: first, leader: peer}
	}
	answer, err := w.pd.PutStore(calling(), &pdpb.PutStoreRequest{Header: w.header(), Store: s.meta})
	if err != nil {
		return err
	}
	if refused := answer.GetHeader().GetError(); refused != nil {
		return fmt.Errorf("PD refuses the store: %s", refused)
	}
	w.stores[address] = s
	go w.beats(s)
	go w.reports(s)
	return nil
}

func (w *world) stop(address string) error {
	w.Lock()
	defer w.Unlock()
	s := w.stores[address]
	if s == nil {
		return fmt.Errorf("no store has the address %s", address)
	}
	s.silent = true
	return nil
}

// beats tells PD that a store lives, until PD says that it is a tombstone.
func (w *world) beats(s *store) {
	begun := uint32(time.Now().Unix())
	for range time.Tick(beat) {
		w.Lock()
		regions, silent := uint32(0), s.silent
		for _, r := range w.regions {
			for _, peer := range r.meta.Peers {
				if peer.StoreId == s.id {
					regions++
				}
			}
		}
		w.Unlock()
		if silent {
			continue
		}
		const size = 100 << 30
		stats := &pdpb.StoreStats{
			StoreId: s.id, StartTime: begun, RegionCount: regions, Capacity: size, Available: size * 3 / 4, UsedSize: size / 4,
			Interval: &pdpb.TimeInterval{StartTimestamp: uint64(time.Now().Add(-beat).Unix()), EndTimestamp: uint64(time.Now().Unix())},
		}
		answer, err := w.pd.StoreHeartbeat(calling(), &pdpb.StoreHeartbeatRequest{Header: w.header(), Stats: stats})
		if err == nil && answer.GetHeader().GetError().GetType() == pdpb.ErrorType_STORE_TOMBSTONE {
			w.Lock()
			s.gone = true
			w.Unlock()
			return
		}
	}
}

// reports tells PD of the regions that a store leads, and carries out what PD answers.
func (w *world) reports(s *store) {
	for {
		w.Lock()
		gone := s.gone
		w.Unlock()
		if gone {
			return
		}
		if err := w.stream(s); err != nil {
			log.Printf("store %d: %v", s.id, err)
		}
		time.Sleep(beat)
	}
}

func (w *world) stream(s *store) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := w.pd.RegionHeartbeat(ctx)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		for {
			order, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			w.carryOut(s, order)
		}
	}()
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-ticks.C:
		}
		for _, report := range w.led(s) {
			if err := stream.Send(report); err != nil {
				return err
			}
		}
		w.Lock()
		gone := s.gone
		w.Unlock()
		if gone {
			return nil
		}
	}
}

// led is what a store tells of the regions that it leads.
func (w *world) led(s *store) []*pdpb.RegionHeartbeatRequest {
	w.Lock()
	defer w.Unlock()
	var reports []*pdpb.RegionHeartbeatRequest
	if s.silent {
		return nil
	}
	for _, r := range w.regions {
		if r.leader.StoreId == s.id {
			reports = append(reports, &pdpb.RegionHeartbeatRequest{
				Header: w.header(), Region: copied(r.meta), Leader: r.leader, Term: 6, ApproximateSize: 10, ApproximateKeys: 1000,
			})
		}
	}
	return reports
}

// A region is told of while others change it.
func copied(from *metapb.Region) *metapb.Region {
	bytes, err := from.Marshal()
	check(err)
	to := &metapb.Region{}
	check(to.Unmarshal(bytes))
	return to
}

func (w *world) carryOut(s *store, order *pdpb.RegionHeartbeatResponse) {
	w.Lock()
	defer w.Unlock()
	r := w.regions[order.GetRegionId()]
	if r == nil || r.leader.StoreId != s.id {
		return
	}
	epoch, asked := r.meta.RegionEpoch, order.GetRegionEpoch()
	if asked != nil && (asked.ConfVer != epoch.ConfVer || asked.Version != epoch.Version) {
		return
	}
	if split := order.GetSplitRegion(); split != nil {
		w.split(r, split.GetKeys())
		return
	}
	if w.held {
		return
	}
	if transfer := order.GetTransferLeader(); transfer != nil {
		r.lead(transfer.GetPeer().GetStoreId())
	}
	if change := order.GetChangePeer(); change != nil {
		r.change(change)
	}
	if changes := order.GetChangePeerV2(); changes != nil {
		// Entered and left at once: nothing here can stand between.
		for _, change := range changes.GetChanges() {
			r.change(change)
		}
	}
}

func (r *region) lead(store uint64) {
	for _, peer := range r.meta.Peers {
		if peer.StoreId == store && peer.Role == metapb.PeerRole_Voter {
			r.leader = peer
		}
	}
}

func (r *region) change(change *pdpb.ChangePeer) {
	peer := change.GetPeer()
	peers := []*metapb.Peer{}
	for _, other := range r.meta.Peers {
		if other.StoreId != peer.StoreId {
			peers = append(peers, other)
		}
	}
	switch change.GetChangeType() {
	case eraftpb.ConfChangeType_AddNode:
		peers = append(peers, &metapb.Peer{Id: peer.Id, StoreId: peer.StoreId, Role: metapb.PeerRole_Voter})
	case eraftpb.ConfChangeType_AddLearnerNode:
		peers = append(peers, &metapb.Peer{Id: peer.Id, StoreId: peer.StoreId, Role: metapb.PeerRole_Learner})
	case eraftpb.ConfChangeType_RemoveNode:
		if r.leader.StoreId == peer.StoreId {
			return
		}
	}
	r.meta.Peers = peers
	r.meta.RegionEpoch.ConfVer++
}

// split asks PD for numbers and divides a region at keys, as TiKV does: the last part keeps the number.
func (w *world) split(r *region, keys [][]byte) {
	inside := [][]byte{}
	for _, key := range keys {
		if string(key) > string(r.meta.StartKey) && (len(r.meta.EndKey) == 0 || string(key) < string(r.meta.EndKey)) {
			inside = append(inside, key)
		}
	}
	sort.Slice(inside, func(a, b int) bool { return string(inside[a]) < string(inside[b]) })
	if len(inside) == 0 {
		return
	}
	ask := &pdpb.AskBatchSplitRequest{Header: w.header(), Region: copied(r.meta), SplitCount: uint32(len(inside))}
	numbers, err := w.pd.AskBatchSplit(calling(), ask)
	if err != nil || len(numbers.GetIds()) < len(inside) {
		log.Printf("PD gives no numbers for a split: %v", err)
		return
	}
	r.meta.RegionEpoch.Version += uint64(len(inside))
	for i, key := range inside {
		part := copied(r.meta)
		part.Id, part.EndKey = numbers.Ids[i].NewRegionId, key
		var leader *metapb.Peer
		for j, peer := range part.Peers {
			peer.Id = numbers.Ids[i].NewPeerIds[j]
			if peer.StoreId == r.leader.StoreId {
				leader = peer
			}
		}
		w.regions[part.Id] = &region{meta: part, leader: leader}
		r.meta.StartKey = key
	}
}

func (w *world) list(answer http.ResponseWriter, _ *http.Request) {
	w.Lock()
	defer w.Unlock()
	type told struct {
		Start  string   `json:"start"`
		End    string   `json:"end"`
		Leader uint64   `json:"leader"`
		Stores []uint64 `json:"stores"`
	}
	all := []told{}
	for _, r := range w.regions {
		one := told{hex.EncodeToString(r.meta.StartKey), hex.EncodeToString(r.meta.EndKey), r.leader.StoreId, nil}
		for _, peer := range r.meta.Peers {
			one.Stores = append(one.Stores, peer.StoreId)
		}
		all = append(all, one)
	}
	sort.Slice(all, func(a, b int) bool { return all[a].Start < all[b].Start })
	if err := json.NewEncoder(answer).Encode(all); err != nil {
		log.Print(err)
	}
}
