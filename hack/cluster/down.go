package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func runDown(p paths) error {
	if _, err := os.Stat(p.dir()); errors.Is(err, fs.ErrNotExist) {
		progress("no cluster named %q: nothing to stop", p.name)
		return nil
	}
	return withLock(p, func() error {
		s, err := loadState(p)
		if err != nil || s == nil {
			return err
		}
		if err := tearDown(p, s); err != nil {
			return err
		}
		progress("cluster %q is gone", p.name)
		return nil
	})
}

// tearDown removes a cluster and everything that it started, in whatever state it is.
func tearDown(p paths, s *state) error {
	if err := release(p, s); err != nil {
		return err
	}
	// Nothing is mounted here unless somebody did so by hand; then removing the directory would remove what is mounted.
	if err := unmountBelow(p.dir()); err != nil {
		return err
	}
	return os.RemoveAll(p.dir())
}

// release gives everything back but the cluster's directory.
func release(p paths, s *state) error {
	if err := killAll(p, s); err != nil {
		return err
	}
	if s.Network != nil {
		if err := removeNetwork(s); err != nil {
			return err
		}
	}
	if s.Cgroup != "" {
		return removeCgroups(s.Cgroup)
	}
	return nil
}

// unmountBelow unmounts whatever is mounted in a directory, the last mounted first.
func unmountBelow(dir string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var points []string
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		if point, ok := mountPoint(scanner.Text()); ok && (point == dir || strings.HasPrefix(point, dir+"/")) {
			points = append([]string{point}, points...)
		}
	}
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("cannot unmount %s: %w", point, err)
		}
	}
	return scanner.Err()
}

// mountPoint reads the fifth field of a line of mountinfo, in which blanks are written as octal escapes.
func mountPoint(line string) (string, bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 {
		return "", false
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4]), true
}
