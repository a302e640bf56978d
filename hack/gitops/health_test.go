package gitops

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// healths is what Argo CD shows of each kind in each phase.
var healths = map[string]string{
	"SequenceExecution/queued":       "Progressing",
	"SequenceExecution/running":      "Progressing",
	"SequenceExecution/waiting":      "Suspended",
	"SequenceExecution/paused":       "Suspended",
	"SequenceExecution/held":         "Suspended",
	"SequenceExecution/succeeded":    "Healthy",
	"SequenceExecution/resolved":     "Healthy",
	"SequenceExecution/failed":       "Degraded",
	"SequenceExecution/exhausted":    "Degraded",
	"SequenceExecution/inconclusive": "Degraded",
	"SequenceExecution/timedout":     "Degraded",
	"SequenceExecution/aborted":      "Degraded",
	"SequenceExecution/superseded":   "Degraded",
	"SequenceExecution/expired":      "Degraded",
	"ProblemEvent/open":              "Progressing",
	"ProblemEvent/healing":           "Progressing",
	"ProblemEvent/held":              "Suspended",
	"ProblemEvent/healed":            "Healthy",
	"ProblemEvent/resolved":          "Healthy",
	"ProblemEvent/exhausted":         "Degraded",
	"ProblemEvent/expired":           "Degraded",
	"Approval/pending":               "Suspended",
	"Approval/approved":              "Healthy",
	"Approval/declined":              "Healthy",
	"Approval/expired":               "Healthy",
	"Approval/withdrawn":             "Healthy",
	"Delivery/delivering":            "Progressing",
	"Delivery/waiting":               "Suspended",
	"Delivery/held":                  "Suspended",
	"Delivery/delivered":             "Healthy",
	"Delivery/failed":                "Degraded",
	"Delivery/aborted":               "Degraded",
	"Evaluation/new":                 "Progressing",
	"Evaluation/succeeded":           "Healthy",
	"Evaluation/failed":              "Degraded",
	"Evaluation/inconclusive":        "Degraded",
	"TaskResult/new":                 "Healthy",
}

func init() {
	for _, kind := range definitions {
		healths[kind+"/valid"] = "Healthy"
		healths[kind+"/invalid"] = "Degraded"
	}
	healths["Remediation/ambiguous"] = "Degraded"
}

func healthScript(t testing.TB, kind string) string {
	t.Helper()
	return string(read(t, filepath.Join(scripts, kind, "health.lua")))
}

func TestHealthOfEveryStoredObject(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range stored(t) {
		seen[o.name] = true
		said, err := healthOf(healthScript(t, o.GetKind()), o.Unstructured)
		if err != nil {
			t.Errorf("%s: %v", o.name, err)
		}
		if said.Status != healths[o.name] {
			t.Errorf("%s is %s, and should be %q", o.name, said.Status, healths[o.name])
		}
		if told := told(o.Unstructured); !strings.Contains(said.Message, told) || said.Message == "" {
			t.Errorf("%s says %q instead of %q", o.name, said.Message, told)
		}
	}
	if wanted := slices.Sorted(maps.Keys(healths)); !slices.Equal(wanted, slices.Sorted(maps.Keys(seen))) {
		t.Errorf("there are objects in %v, and should be in %v", slices.Sorted(maps.Keys(seen)), wanted)
	}
}

// told is the line for people that the operator wrote into the object.
func told(o *unstructured.Unstructured) string {
	if message := field(o, "status", "message"); message != "" {
		return message
	}
	_, message := condition(o, "Ready")
	return message
}

func TestWhatNobodyLookedAtIsProgressing(t *testing.T) {
	for _, o := range stored(t) {
		if o.GetKind() == "TaskResult" {
			continue
		}
		said, err := healthOf(healthScript(t, o.GetKind()), unseen(o))
		if err != nil || said.Status != "Progressing" || said.Message == "" {
			t.Errorf("%s: %+v %v", o.name, said, err)
		}
	}
}

func TestWhatWasEditedIsNotHealthyYet(t *testing.T) {
	for _, o := range stored(t) {
		if o.GetKind() != "Delivery" && !slices.Contains(definitions, o.GetKind()) {
			continue
		}
		said, err := healthOf(healthScript(t, o.GetKind()), edited(o))
		if err != nil || said.Status != "Progressing" {
			t.Errorf("%s: %+v %v", o.name, said, err)
		}
	}
}

func TestARunThatWaitsForATimeIsNotSuspended(t *testing.T) {
	waits := one(t, "SequenceExecution/waiting").DeepCopy()
	if err := unstructured.SetNestedField(waits.Object, "RetryAfter", "status", "reason"); err != nil {
		t.Fatal(err)
	}
	said, err := healthOf(healthScript(t, "SequenceExecution"), waits)
	if err != nil || said.Status != "Progressing" {
		t.Errorf("%+v %v", said, err)
	}
}

func TestAQuestionSaysWhenAnswersAreNotKeptHonest(t *testing.T) {
	asked := one(t, "Approval/pending").DeepCopy()
	unenforced := []any{map[string]any{"type": "Enforced", "status": "False", "message": "anybody may write any name"}}
	if err := unstructured.SetNestedSlice(asked.Object, unenforced, "status", "conditions"); err != nil {
		t.Fatal(err)
	}
	said, err := healthOf(healthScript(t, "Approval"), asked)
	if err != nil || said.Status != "Suspended" || !strings.HasSuffix(said.Message, "(anybody may write any name)") {
		t.Errorf("%+v %v", said, err)
	}
}

// Every kind that is served has a script, and the one that is to come has it already.
func TestEveryKindHasAHealthScript(t *testing.T) {
	crds, err := filepath.Glob(root + "/crds/*.yaml")
	if err != nil || len(crds) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	for _, crd := range crds {
		kind := field(parse(t, read(t, crd)), "spec", "names", "kind")
		if _, err := os.Stat(filepath.Join(scripts, kind, "health.lua")); err != nil {
			t.Error(err)
		}
	}
	same := healthScript(t, definitions[0])
	for _, kind := range append(definitions, "EventSink") {
		if healthScript(t, kind) != same {
			t.Errorf("the scripts of %s and %s differ: what is only configuration is judged alike", kind, definitions[0])
		}
	}
}

// healthTests is the health_test.yaml of Argo CD's own resource_customizations.
type healthTests struct {
	Tests []healthTest `json:"tests"`
}

type healthTest struct {
	HealthStatus health `json:"healthStatus"`
	InputPath    string `json:"inputPath"`
}

// The test data that Argo CD's own tests want beside each script: one stored object a phase.
func TestHealthTestsOfArgoCD(t *testing.T) {
	tests := map[string]*healthTests{}
	for _, o := range stored(t) {
		kind := o.GetKind()
		path := "testdata/" + strings.ToLower(strings.TrimPrefix(o.name, kind+"/")) + ".yaml"
		if tests[kind] == nil {
			tests[kind] = &healthTests{}
		}
		known := func(test healthTest) bool { return test.InputPath == path }
		if slices.ContainsFunc(tests[kind].Tests, known) {
			continue
		}
		generated(t, filepath.Join(scripts, kind, path), []byte(strings.TrimSuffix(string(o.text), "\n")+"\n"))
		said, err := healthOf(healthScript(t, kind), o.Unstructured)
		if err != nil {
			t.Errorf("%s: %v", o.name, err)
		}
		tests[kind].Tests = append(tests[kind].Tests, healthTest{HealthStatus: said, InputPath: path})
	}
	for kind, all := range tests {
		text, err := yaml.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		generated(t, filepath.Join(scripts, kind, "health_test.yaml"), text)
		there, err := filepath.Glob(filepath.Join(scripts, kind, "testdata", "*.yaml"))
		if err != nil || len(there) != len(all.Tests) {
			t.Errorf("%s/testdata has %d files for %d tests (%v)", kind, len(there), len(all.Tests), err)
		}
	}
	if len(tests) == 0 {
		t.Error(fmt.Errorf("no kinds"))
	}
}
