package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func loadImageCommand(opts *options) *cobra.Command {
	return &cobra.Command{
		Use:   "load-image FILE.tar...",
		Short: "Give images to the cluster's containerd",
		Long: `Give images to the cluster's containerd, from archives that "cluster build-image" or "docker save" wrote.
Pods use them as they are: with imagePullPolicy IfNotPresent or Never, or with any tag but "latest".`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			p, err := opts.paths()
			if err != nil {
				return err
			}
			s, err := loadState(p)
			if err != nil {
				return err
			}
			switch {
			case s == nil:
				return noSuchCluster(p)
			case s.ControlPlaneOnly:
				return fmt.Errorf("cluster %q is a control plane only: it runs no containers", p.name)
			case !s.Supervisor.alive():
				return fmt.Errorf("cluster %q is not running; \"up\" starts it again", p.name)
			case os.Geteuid() != 0:
				return errors.New("this needs root, as the cluster did: use sudo")
			}
			for _, file := range files {
				if _, err := os.Stat(file); err != nil {
					return err
				}
			}
			for _, file := range files {
				if err := importImage(c.Context(), p, s, file); err != nil {
					return err
				}
				progress("loaded %s", file)
			}
			return nil
		},
	}
}

// importImage has containerd's own client hand an archive to the cluster's containerd.
func importImage(ctx context.Context, p paths, s *state, file string) error {
	ctr, err := findProgram("ctr")
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, ctr, "--address", hostPath(s, containerdSocket), "--namespace", "k8s.io",
		"images", "import", "--snapshotter", snapshotter(p), file)
	output, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("containerd refuses %s: %w\n%s", file, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// writePauseImage makes the image that every pod's sandbox runs.
func writePauseImage(p paths) (string, error) {
	executable, err := os.Executable()
	if err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(executable), "pause")
	content, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("the program \"pause\" is not beside this one: %w; hack/cluster/build.sh builds both", err)
	}
	rootfs := filepath.Join(p.dir(), "pause-rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return "", err
	}
	defer os.RemoveAll(rootfs)
	if err := os.WriteFile(filepath.Join(rootfs, "pause"), content, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(p.dir(), "pause.tar")
	return file, buildImage(imageSpec{tag: pauseImage, rootfs: rootfs, entrypoint: []string{"/pause"}, user: "65535:65535", output: file})
}
