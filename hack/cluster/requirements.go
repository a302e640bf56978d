package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// requirement is a program that a node needs, and the Debian package that has it.
type requirement struct {
	program, debian string
}

// nodeRequirements are what a node needs besides this program. Debian's containerd brings runc with it, but only as long
// as nobody removes it.
var nodeRequirements = []requirement{
	{"containerd", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"mount", "mount"},
}

// cniDirs are where distributions put the CNI plugins; Debian's is the first.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

var cniPlugins = []string{"loopback", "ptp", "host-local"}

// cniDir is the directory that has all the plugins that we need, or nothing.
func cniDir() string {
	for _, dir := range cniDirs {
		complete := !slices.ContainsFunc(cniPlugins, func(plugin string) bool {
			_, err := os.Stat(filepath.Join(dir, plugin))
			return err != nil
		})
		if complete {
			return dir
		}
	}
	return ""
}

// checkNodeRequirements says everything that is missing at once, and how to get it.
func checkNodeRequirements() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster with a node needs root: run it with sudo, or use --control-plane-only, which does not")
	}
	var programs, packages []string
	miss := func(program, debian string) {
		programs = append(programs, program)
		if !slices.Contains(packages, debian) {
			packages = append(packages, debian)
		}
	}
	for _, r := range nodeRequirements {
		if _, err := findProgram(r.program); err != nil {
			miss(r.program, r.debian)
		}
	}
	if cniDir() == "" {
		miss("the CNI plugins "+strings.Join(cniPlugins, ", "), "containernetworking-plugins")
	}
	if len(packages) > 0 {
		return fmt.Errorf("missing: %s\n  apt-get install -y --no-install-recommends %s\n(hack/cluster/install-deps.sh does that, and keeps the package's own containerd from starting)",
			strings.Join(programs, "; "), strings.Join(packages, " "))
	}
	return nil
}

// findProgram looks where the components will look, which is not the caller's PATH: without sbin there is no nft.
func findProgram(name string) (string, error) {
	for _, dir := range filepath.SplitList(componentPath) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in %s", name, componentPath)
}
