// Command volume makes a directory that anybody may write to, or removes it with all that is in it, as the provisioner of
// volumes asks for it.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	path := flag.String("p", "", "the directory")
	action := flag.String("a", "", "create or delete")
	_ = flag.String("s", "", "its size: not kept to")
	_ = flag.String("m", "", "Filesystem, which it is")
	flag.Parse()
	if err := run(*path, *action); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, action string) error {
	switch action {
	case "create":
		if err := os.MkdirAll(path, 0o777); err != nil {
			return err
		}
		// Whatever this process is to take away from new files.
		return os.Chmod(path, 0o777)
	case "delete":
		return os.RemoveAll(path)
	default:
		return fmt.Errorf("%q is neither create nor delete", action)
	}
}
