// Package gitops tests what Coxswain gives to GitOps tools with the libraries that those tools use: health scripts and
// actions with Argo CD's Lua, conditions with Flux's kstatus, gates with Flux's CEL, and an action that commits to Git
// with git itself. The objects are those that the controllers of the newest version wrote.
package gitops

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

// update writes what is generated instead of comparing it: go test ./... -update
var update = flag.Bool("update", false, "write generated files instead of comparing them")

const (
	root    = "../.."
	group   = "coxswain.dev"
	scripts = root + "/config/argocd/resource_customizations/" + group
)

// definitions are the kinds that are only configuration.
var definitions = []string{
	"AlertRoute", "EventSink", "JobConfig", "MetricsProvider", "Remediation", "ServiceLevelIndicator", "ServiceLevelObjective", "Shipyard",
}

// object is one stored object, and where it stands: `SequenceExecution/paused`.
type object struct {
	name string
	text []byte
	*unstructured.Unstructured
}

// newest is the directory of the objects that the newest version stored.
func newest(t testing.TB) string {
	t.Helper()
	all, err := filepath.Glob(root + "/tests/fixtures/objects/v*")
	if err != nil || len(all) == 0 {
		t.Fatalf("no objects in tests/fixtures/objects: %v", err)
	}
	return slices.MaxFunc(all, func(a, b string) int {
		parsed, other := version.MustParseSemantic(filepath.Base(a)), filepath.Base(b)
		order, err := parsed.Compare(other)
		if err != nil {
			t.Fatal(err)
		}
		return order
	})
}

// stored reads every object of the newest version.
func stored(t testing.TB) []object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(newest(t), "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	var found []object
	for _, file := range files {
		_, phase, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".yaml"), "-")
		for _, text := range strings.Split(string(read(t, file)), "\n---\n") {
			parsed := parse(t, []byte(text))
			found = append(found, object{name: parsed.GetKind() + "/" + phase, text: []byte(text), Unstructured: parsed})
		}
	}
	return found
}

// one gives the first object that stands so: `SequenceExecution/paused`.
func one(t testing.TB, name string) object {
	t.Helper()
	all := stored(t)
	index := slices.IndexFunc(all, func(o object) bool { return o.name == name })
	if index < 0 {
		t.Fatalf("there is no stored object %s", name)
	}
	return all[index]
}

func parse(t testing.TB, text []byte) *unstructured.Unstructured {
	t.Helper()
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	parsed := &unstructured.Unstructured{}
	if err := parsed.UnmarshalJSON(json); err != nil {
		t.Fatalf("not an object: %v\n%s", err, text)
	}
	return parsed
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// generated compares a file with what it should be, or writes it.
func generated(t testing.TB, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != string(want) {
		t.Errorf("%s is not what it should be (%v): go test ./... -update in hack/gitops writes it anew", path, err)
	}
}

// unseen is the object as it was applied, before anybody looked at it.
func unseen(o object) *unstructured.Unstructured {
	fresh := o.DeepCopy()
	unstructured.RemoveNestedField(fresh.Object, "status")
	return fresh
}

// edited is the object after its spec was changed, and before anybody looked at it.
func edited(o object) *unstructured.Unstructured {
	changed := o.DeepCopy()
	changed.SetGeneration(o.GetGeneration() + 1)
	return changed
}

// field is a text in the object, or empty.
func field(o *unstructured.Unstructured, path ...string) string {
	text, _, _ := unstructured.NestedString(o.Object, path...)
	return text
}

// condition is the status and message of a condition.
func condition(o *unstructured.Unstructured, kind string) (status, message string) {
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, one := range all {
		if one := one.(map[string]any); one["type"] == kind {
			status, _ = one["status"].(string)
			message, _ = one["message"].(string)
		}
	}
	return status, message
}
