// Command store starts the server beside it with the arguments that it is given. The store for tests makes no directories in
// an empty volume, and has to find two.
package main

import (
	"log"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const server = "/server"

func main() {
	for _, argument := range os.Args[1:] {
		data, found := strings.CutPrefix(argument, "--data-dir=")
		if !found {
			continue
		}
		for _, name := range []string{"kv", "raft"} {
			if err := os.MkdirAll(filepath.Join(data, name), 0o750); err != nil {
				log.Fatal(err)
			}
		}
	}
	// It becomes the server: signals reach that one.
	log.Fatal(syscall.Exec(server, append([]string{server}, os.Args[1:]...), os.Environ()))
}
