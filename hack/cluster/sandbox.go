package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The sandbox is what a full cluster's components live in: namespaces of their own, in which the usual paths of a node
// (/run/containerd, /var/lib/kubelet, ...) lead into the cluster's directory. Clusters do not see each other or the
// machine's own containerd, and everything, mounts included, ends with the supervisor.

const sandboxNamespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

const (
	// sandboxDir is where the components find the cluster's directory.
	sandboxDir       = "/run/coxswain"
	containerdSocket = "/run/containerd/containerd.sock"
	kubeletDir       = "/var/lib/kubelet"
)

// sandboxBinds are the directories of the sandbox that must be on a disk, and what they are called in the cluster's
// directory. The rest of /run and /var is in memory.
var sandboxBinds = map[string]string{
	"/var/lib/containerd": "containerd",
	kubeletDir:            "kubelet",
	"/var/lib/cni":        "cni-state",
	"/var/log":            "pod-logs",
}

// kernelSettings are what a kubelet insists on, and would otherwise set for the whole machine.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":     "1",
	"vm/panic_on_oom":          "0",
	"kernel/panic":             "10",
	"kernel/panic_on_oops":     "1",
	"kernel/keys/root_maxkeys": "1000000",
	// the kubelet's own value: 25 bytes for each key
	"kernel/keys/root_maxbytes": "25000000",
}

// enterSandbox arranges the namespaces that the supervisor was started in.
func (s *supervisor) enterSandbox(st *state) error {
	// Held open, because the paths to both are about to be hidden.
	dir, err := unix.Open(s.paths.dir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", s.paths.dir(), err)
	}
	hostProc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := mountSandbox(dir, st); err != nil {
		return err
	}
	s.hostProc = fmt.Sprintf("/proc/self/fd/%d", hostProc)
	s.paths = sandboxPaths()
	if err := unix.Sethostname([]byte(st.nodeName())); err != nil {
		return err
	}
	return st.Network.setUpInside()
}

// sandboxPaths are the cluster's paths seen from inside.
func sandboxPaths() paths {
	return newPaths(filepath.Dir(sandboxDir), filepath.Base(sandboxDir))
}

func mountSandbox(dir int, st *state) error {
	var failed error
	mount := func(source, target, kind string, flags uintptr, data string) {
		if failed != nil {
			return
		}
		if err := unix.Mount(source, target, kind, flags, data); err != nil {
			failed = fmt.Errorf("cannot mount %s on %s: %w", source, target, err)
		}
	}
	mkdir := func(path string, mode os.FileMode) {
		if failed == nil {
			if failed = os.MkdirAll(path, mode); failed == nil {
				failed = os.Chmod(path, mode)
			}
		}
	}

	// What the host mounts and unmounts is still seen here, but not the other way round; within the sandbox mounts
	// propagate, as pods with mountPropagation need.
	mount("none", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
	mount("none", "/", "", unix.MS_REC|unix.MS_SHARED, "")
	mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
	mount("tmpfs", "/var", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
	mkdir(sandboxDir, 0o700)
	mount(fmt.Sprintf("/proc/self/fd/%d", dir), sandboxDir, "", unix.MS_BIND|unix.MS_REC, "")
	mkdir("/run/lock", 0o1777)
	mkdir("/var/tmp", 0o777|os.ModeSticky)
	mkdir("/var/cache", 0o755)
	if failed == nil {
		failed = os.Symlink("/run", "/var/run")
	}
	for target, source := range sandboxBinds {
		source = filepath.Join(sandboxDir, source)
		mkdir(source, 0o755)
		mkdir(target, 0o755)
		mount(source, target, "", unix.MS_BIND, "")
	}
	if failed != nil {
		return failed
	}
	if err := hideFile("/etc/resolv.conf", filepath.Join(sandboxDir, "resolv.conf")); err != nil {
		return err
	}
	settings := filepath.Join(sandboxDir, "kernel-settings")
	if err := os.MkdirAll(settings, 0o755); err != nil {
		return err
	}
	for name, value := range kernelSettings {
		file := filepath.Join(settings, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := hideFile(filepath.Join("/proc/sys", name), file); err != nil {
			return err
		}
	}
	return nil
}

// hideFile shows another file in a file's place. Where the file is a symbolic link into a directory that is hidden now,
// as /etc/resolv.conf often is, its target is made first.
func hideFile(path, by string) error {
	target := path
	link, err := os.Readlink(path)
	if err == nil {
		target = link
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
	} else if os.IsNotExist(err) {
		return nil // the host has none: it must not get one
	}
	if _, err := os.Stat(target); os.IsNotExist(err) {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
	}
	if err := unix.Mount(by, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot mount %s on %s: %w", by, target, err)
	}
	return nil
}
