package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// imageSpec says what image to build.
type imageSpec struct {
	tag        string
	rootfs     string
	base       string
	entrypoint []string
	cmd        []string
	env        []string
	labels     []string
	user       string
	workdir    string
	output     string
}

func buildImageCommand() *cobra.Command {
	spec := imageSpec{}
	var entrypoint, cmd string
	c := &cobra.Command{
		Use:   "build-image --tag NAME:TAG --rootfs DIR --output FILE.tar",
		Short: "Make a container image from a directory, without Docker",
		Long: `Make a container image from a directory, without Docker, as an archive that "cluster load-image", "docker load" and
"ctr image import" read. The same directory gives the same image, byte for byte: times are zero, and everything belongs
to root (0:0). Modes, links and file capabilities are kept.

With --base, the directory becomes one more layer of that image, whose configuration holds where no flag says otherwise.`,
		Example: `  cluster build-image --tag hello:1 --rootfs ./rootfs --entrypoint '["/hello"]' --output hello.tar
  cluster load-image hello.tar`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var err error
			if spec.entrypoint, err = parseWords("--entrypoint", entrypoint); err != nil {
				return err
			}
			if spec.cmd, err = parseWords("--cmd", cmd); err != nil {
				return err
			}
			return buildImage(spec)
		},
	}
	f := c.Flags()
	f.StringVar(&spec.tag, "tag", "", "the image's name and tag; a pod needs imagePullPolicy: IfNotPresent for the tag \"latest\"")
	f.StringVar(&spec.rootfs, "rootfs", "", "the directory that becomes the image's root")
	f.StringVar(&spec.base, "base", "", "an image archive to build upon")
	f.StringVar(&entrypoint, "entrypoint", "", "the entrypoint, a JSON list of strings")
	f.StringVar(&cmd, "cmd", "", "the default arguments, a JSON list of strings")
	f.StringArrayVar(&spec.env, "env", nil, "an environment variable, NAME=VALUE; may be repeated")
	f.StringArrayVar(&spec.labels, "label", nil, "a label of the image, NAME=VALUE; may be repeated")
	f.StringVar(&spec.user, "user", "", "the user to run as, such as 65532 or 65532:65532")
	f.StringVar(&spec.workdir, "workdir", "", "the working directory")
	f.StringVar(&spec.output, "output", "", "the archive to write")
	for _, flag := range []string{"tag", "rootfs", "output"} {
		_ = c.MarkFlagRequired(flag)
	}
	return c
}

func parseWords(flag, value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	var words []string
	if err := json.Unmarshal([]byte(value), &words); err != nil {
		return nil, fmt.Errorf("%s must be a JSON list of strings, such as '[\"/bin/sh\", \"-c\"]': %w", flag, err)
	}
	return words, nil
}

func buildImage(spec imageSpec) error {
	tag, err := name.NewTag(spec.tag, name.WeakValidation)
	if err != nil {
		return fmt.Errorf("--tag: %w", err)
	}
	for _, one := range spec.env {
		if !strings.Contains(one, "=") {
			return fmt.Errorf("--env %s: write NAME=VALUE", one)
		}
	}
	if info, err := os.Stat(spec.rootfs); err != nil || !info.IsDir() {
		return fmt.Errorf("--rootfs %s is not a directory", spec.rootfs)
	}
	for _, one := range spec.labels {
		if !strings.Contains(one, "=") {
			return fmt.Errorf("--label %s: write NAME=VALUE", one)
		}
	}
	image := empty.Image
	if spec.base != "" {
		if image, err = tarball.ImageFromPath(spec.base, nil); err != nil {
			return fmt.Errorf("--base %s: %w; it must be an archive of exactly one image, as build-image writes it", spec.base, err)
		}
	}

	// The layer is read several times (its digest, its content), so it is written down once.
	layerFile, err := os.CreateTemp(filepath.Dir(spec.output), ".layer-*")
	if err != nil {
		return err
	}
	defer os.Remove(layerFile.Name())
	defer layerFile.Close()
	if err := writeLayer(layerFile, spec.rootfs); err != nil {
		return fmt.Errorf("--rootfs %s: %w", spec.rootfs, err)
	}
	layer, err := tarball.LayerFromFile(layerFile.Name(), tarball.WithCompressedCaching)
	if err != nil {
		return err
	}
	epoch := v1.Time{Time: time.Unix(0, 0).UTC()}
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: epoch, CreatedBy: "cluster build-image"}})
	if err != nil {
		return err
	}
	configFile, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config := configFile.DeepCopy()
	spec.configure(config)
	config.Created = epoch
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}

	// Whoever reads the output sees all of it or nothing.
	temporary := spec.output + ".new"
	if err := tarball.WriteToFile(temporary, tag, image); err != nil {
		os.Remove(temporary)
		return err
	}
	return os.Rename(temporary, spec.output)
}

// configure applies the flags to an image's configuration.
func (spec imageSpec) configure(config *v1.ConfigFile) {
	if config.OS == "" {
		config.OS = "linux"
	}
	if config.Architecture == "" {
		config.Architecture = runtime.GOARCH
	}
	if spec.entrypoint != nil {
		config.Config.Entrypoint = spec.entrypoint
		config.Config.Cmd = nil // the base's arguments were for the base's entrypoint
	}
	if spec.cmd != nil {
		config.Config.Cmd = spec.cmd
	}
	for _, variable := range spec.env {
		key := variable[:strings.IndexByte(variable, '=')+1]
		kept := config.Config.Env[:0:0]
		for _, old := range config.Config.Env {
			if !strings.HasPrefix(old, key) {
				kept = append(kept, old)
			}
		}
		config.Config.Env = append(kept, variable)
	}
	for _, label := range spec.labels {
		if config.Config.Labels == nil {
			config.Config.Labels = map[string]string{}
		}
		key, value, _ := strings.Cut(label, "=")
		config.Config.Labels[key] = value
	}
	if spec.user != "" {
		config.Config.User = spec.user
	}
	if spec.workdir != "" {
		config.Config.WorkingDir = spec.workdir
	}
}

// writeLayer writes a directory as a tar archive that depends on nothing but names, modes and contents.
func writeLayer(w io.Writer, root string) error {
	archive := tar.NewWriter(w)
	linked := map[[2]uint64]string{}                                                      // the first name of each file that has several
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error { // in lexical order
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil || relative == "." {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return addToLayer(archive, path, filepath.ToSlash(relative), info, linked)
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

func addToLayer(archive *tar.Writer, path, relative string, info fs.FileInfo, linked map[[2]uint64]string) error {
	if info.Mode()&fs.ModeSocket != 0 {
		return nil // a socket without its server is nothing
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name = relative
	if info.IsDir() {
		header.Name += "/"
	}
	header.Format = tar.FormatPAX
	header.ModTime = time.Unix(0, 0)
	header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""

	if info.Mode().IsRegular() {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
			inode := [2]uint64{uint64(stat.Dev), stat.Ino}
			if first, seen := linked[inode]; seen {
				header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
				return archive.WriteHeader(header)
			}
			linked[inode] = relative
		}
		if capability := readCapability(path); capability != "" {
			header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": capability}
		}
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(archive, f); err != nil {
		if errors.Is(err, tar.ErrWriteTooLong) {
			return fmt.Errorf("%s grew while it was read: %w", path, err)
		}
		return err
	}
	return nil
}

// readCapability reads a file's capabilities, which ping and its like have instead of being setuid.
func readCapability(path string) string {
	buffer := make([]byte, 64)
	n, err := unix.Lgetxattr(path, "security.capability", buffer)
	if err != nil || n <= 0 {
		return ""
	}
	return string(buffer[:n])
}
