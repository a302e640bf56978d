package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// makeRootfs makes the same tree each time, but at another time and, the files, in another order.
func makeRootfs(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("content of "+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-time.Duration(len(root))*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("bin/tool", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(root, "bin/tool"), filepath.Join(root, "bin/twin")); err != nil {
		t.Fatal(err)
	}
	return root
}

func build(t *testing.T, spec imageSpec) (v1.Image, []byte) {
	t.Helper()
	spec.output = filepath.Join(t.TempDir(), "image.tar")
	if err := buildImage(spec); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(spec.output)
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(spec.output, nil)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(spec.output), ".layer-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return image, content
}

func TestImageIsDeterministic(t *testing.T) {
	spec := imageSpec{tag: "test:1", entrypoint: []string{"/bin/tool"}, env: []string{"A=1"}}
	spec.rootfs = makeRootfs(t, "bin/tool", "etc/file")
	_, first := build(t, spec)
	spec.rootfs = makeRootfs(t, "etc/file", "bin/tool")
	_, second := build(t, spec)
	if !bytes.Equal(first, second) {
		t.Error("the same tree gives another image")
	}
	spec.env = []string{"A=2"}
	_, third := build(t, spec)
	if bytes.Equal(first, third) {
		t.Error("another configuration gives the same image")
	}
}

func TestLayer(t *testing.T) {
	image, _ := build(t, imageSpec{tag: "test:1", rootfs: makeRootfs(t, "bin/tool")})
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	kinds := map[string]byte{}
	reader := tar.NewReader(content)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds[header.Name] = header.Typeflag
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.ModTime.Unix() != 0 {
			t.Errorf("%s: %+v", header.Name, header)
		}
		if header.Name == "bin/tool" && header.Mode != 0o755 {
			t.Errorf("mode %o", header.Mode)
		}
		if header.Name == "bin/twin" && header.Linkname != "bin/tool" {
			t.Errorf("%s is a link to %q", header.Name, header.Linkname)
		}
	}
	want := map[string]byte{"bin/": tar.TypeDir, "bin/tool": tar.TypeReg, "bin/twin": tar.TypeLink, "link": tar.TypeSymlink}
	for name, kind := range want {
		if kinds[name] != kind {
			t.Errorf("%s: %c, want %c", name, kinds[name], kind)
		}
	}
	if len(kinds) != len(want) {
		t.Errorf("%v", kinds)
	}
}

func TestBase(t *testing.T) {
	base := imageSpec{tag: "base:1", rootfs: makeRootfs(t, "bin/tool"), entrypoint: []string{"/bin/tool"}, cmd: []string{"x"},
		env: []string{"A=1", "B=1"}, user: "7", output: filepath.Join(t.TempDir(), "base.tar")}
	if err := buildImage(base); err != nil {
		t.Fatal(err)
	}
	image, _ := build(t, imageSpec{tag: "test:1", base: base.output, rootfs: makeRootfs(t, "bin/tool", "more"), env: []string{"B=2"}, workdir: "/w"})
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if !slices.Equal(c.Entrypoint, base.entrypoint) || !slices.Equal(c.Cmd, base.cmd) || c.User != "7" || c.WorkingDir != "/w" ||
		!slices.Equal(c.Env, []string{"A=1", "B=2"}) {
		t.Errorf("%+v", c)
	}
	if layers, err := image.Layers(); err != nil || len(layers) != 2 {
		t.Errorf("%d layers, %v", len(layers), err)
	}
	image, _ = build(t, imageSpec{tag: "test:1", base: base.output, rootfs: makeRootfs(t, "bin/tool"), entrypoint: []string{"/more"}})
	if config, err = image.ConfigFile(); err != nil || len(config.Config.Cmd) != 0 {
		t.Errorf("another entrypoint keeps the base's arguments: %+v, %v", config.Config, err)
	}
}

func TestBuildImageRefuses(t *testing.T) {
	good := imageSpec{tag: "test:1", rootfs: t.TempDir(), output: filepath.Join(t.TempDir(), "image.tar")}
	for what, spoil := range map[string]func(*imageSpec){
		"a tag with blanks":   func(s *imageSpec) { s.tag = "a b" },
		"a missing directory": func(s *imageSpec) { s.rootfs += "/none" },
		"a missing base":      func(s *imageSpec) { s.base = s.rootfs + "/none" },
		"a nameless variable": func(s *imageSpec) { s.env = []string{"A"} },
	} {
		spec := good
		spoil(&spec)
		if buildImage(spec) == nil {
			t.Errorf("%s was accepted", what)
		}
		if _, err := os.Stat(good.output); err == nil {
			t.Errorf("%s left an image", what)
		}
	}
	if err := buildImage(good); err != nil {
		t.Error("an empty root:", err)
	}
}

func TestParseWords(t *testing.T) {
	if words, err := parseWords("--cmd", `["a", "b c"]`); err != nil || !slices.Equal(words, []string{"a", "b c"}) {
		t.Error(words, err)
	}
	if words, err := parseWords("--cmd", ""); err != nil || words != nil {
		t.Error(words, err)
	}
	if _, err := parseWords("--cmd", "a b"); err == nil {
		t.Error("accepted")
	}
}
