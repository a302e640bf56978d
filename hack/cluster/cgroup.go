package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// hierarchy is one mounted cgroup file system: one per controller with cgroup v1, one in all with cgroup v2.
type hierarchy struct {
	dir     string
	unified bool
}

func cgroupHierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []hierarchy
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		_, after, found := strings.Cut(scanner.Text(), " - ")
		point, ok := mountPoint(scanner.Text())
		if !found || !ok {
			continue
		}
		kind, _, _ := strings.Cut(after, " ")
		if kind == "cgroup" || kind == "cgroup2" {
			all = append(all, hierarchy{dir: point, unified: kind == "cgroup2"})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no cgroup file system is mounted: a kubelet needs one; is this a container? then give it /sys/fs/cgroup")
	}
	return all, scanner.Err()
}

// makeCgroups makes the cgroup below which the kubelet keeps those of its pods, so that kubelets side by side do not
// remove each other's.
func makeCgroups(name string) error {
	all, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.unified {
			// A child has only the controllers that its parent hands down. Those that cannot be are somebody else's.
			for _, controller := range []string{"cpu", "cpuset", "memory", "pids", "io", "hugetlb"} {
				_ = os.WriteFile(filepath.Join(h.dir, "cgroup.subtree_control"), []byte("+"+controller), 0)
			}
		}
		if err := os.Mkdir(filepath.Join(h.dir, name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cannot make a cgroup for the cluster: %w", err)
		}
	}
	return nil
}

// removeCgroups removes the cluster's cgroups once their processes are gone.
func removeCgroups(name string) error {
	all, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := removeCgroup(filepath.Join(h.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func removeCgroup(dir string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		var dirs []string
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // what vanishes meanwhile need not be removed
		})
		if err != nil {
			return err
		}
		slices.Reverse(dirs) // children first
		var failed error
		for _, d := range dirs {
			if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = err
			}
		}
		if failed == nil {
			return nil
		}
		// A process that was killed stays in its cgroup until the kernel is done with it.
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot remove the cluster's cgroup: %w; is there a process in it? see %s/cgroup.procs", failed, dir)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
