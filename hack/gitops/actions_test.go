package gitops

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// serverUser is as whom Argo CD writes where it is installed as its manual says.
const serverUser = "system:serviceaccount:argocd:argocd-server"

// enabled is which actions can be taken: of each kind with actions, by phase. What is not named here has none.
var enabled = map[string]string{
	"SequenceExecution/queued":       "abort pause",
	"SequenceExecution/running":      "abort pause",
	"SequenceExecution/waiting":      "abort pause",
	"SequenceExecution/held":         "abort pause",
	"SequenceExecution/paused":       "abort resume",
	"SequenceExecution/succeeded":    "",
	"SequenceExecution/resolved":     "",
	"SequenceExecution/failed":       "retry",
	"SequenceExecution/exhausted":    "retry",
	"SequenceExecution/inconclusive": "retry",
	"SequenceExecution/timedout":     "retry",
	"SequenceExecution/aborted":      "retry",
	"SequenceExecution/superseded":   "retry",
	"SequenceExecution/expired":      "retry",
	"ProblemEvent/open":              "resolve",
	"ProblemEvent/healing":           "resolve",
	"ProblemEvent/held":              "resolve",
	"ProblemEvent/healed":            "",
	"ProblemEvent/resolved":          "",
	"ProblemEvent/exhausted":         "",
	"ProblemEvent/expired":           "",
	"Approval/pending":               "approve reject",
	"Approval/approved":              "",
	"Approval/declined":              "",
	"Approval/expired":               "",
	"Approval/withdrawn":             "",
}

// actions are the names of the actions of each kind, in order.
var actions = map[string][]string{
	"Approval":          {"approve", "reject"},
	"ProblemEvent":      {"resolve"},
	"SequenceExecution": {"abort", "pause", "resume", "retry"},
}

func discoveryScript(t testing.TB, kind string) string {
	t.Helper()
	return string(read(t, filepath.Join(scripts, kind, "actions", "discovery.lua")))
}

func actionScript(t testing.TB, kind, action string) string {
	t.Helper()
	return string(read(t, filepath.Join(scripts, kind, "actions", action, "action.lua")))
}

// discovered is whether each action is disabled.
func discovered(t testing.TB, o *unstructured.Unstructured) map[string]bool {
	t.Helper()
	said, err := run(discoveryScript(t, o.GetKind()), o)
	if err != nil {
		t.Fatalf("%s: %v", o.GetName(), err)
	}
	var found map[string]struct{ Disabled *bool }
	if err := json.Unmarshal(said, &found); err != nil {
		t.Fatalf("%s: %v: %s", o.GetName(), err, said)
	}
	disabled := map[string]bool{}
	for name, action := range found {
		disabled[name] = *action.Disabled
	}
	return disabled
}

// possible are the actions that can be taken, in order.
func possible(t testing.TB, o *unstructured.Unstructured) string {
	t.Helper()
	disabled := discovered(t, o)
	var names []string
	for _, name := range actions[o.GetKind()] {
		isDisabled, known := disabled[name]
		if !known {
			t.Errorf("%s is not discovered", name)
		}
		if !isDisabled {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestActionsThatEveryPhaseOffers(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range stored(t) {
		if actions[o.GetKind()] == nil {
			continue
		}
		seen[o.name] = true
		if have := possible(t, o.Unstructured); have != enabled[o.name] {
			t.Errorf("%s offers %q instead of %q", o.name, have, enabled[o.name])
		}
		if have := len(discovered(t, o.Unstructured)); have != len(actions[o.GetKind()]) {
			t.Errorf("%s has %d actions", o.name, have)
		}
	}
	for name := range enabled {
		if !seen[name] {
			t.Errorf("there is no stored object %s", name)
		}
	}
}

func TestWhatActionsChange(t *testing.T) {
	retry := map[string]any{"id": "argocd-1", "from": "Start"}
	answer := func(choice, word string) any {
		return map[string]any{"by": serverUser, "choice": choice, "reason": word + " in Argo CD"}
	}
	for _, test := range []struct {
		action, of string
		changes    map[string]any
	}{
		{"pause", "SequenceExecution/running", map[string]any{"control": map[string]any{"desired": "Pause"}}},
		{"resume", "SequenceExecution/paused", map[string]any{"control": map[string]any{"desired": "Run"}}},
		{"abort", "SequenceExecution/running", map[string]any{"control": map[string]any{"desired": "Abort"}}},
		{"abort", "SequenceExecution/paused", map[string]any{"control": map[string]any{"desired": "Abort"}}},
		{"retry", "SequenceExecution/failed", map[string]any{"control": map[string]any{"retry": retry}}},
		{"retry", "SequenceExecution/aborted", map[string]any{"control": map[string]any{"desired": "Abort", "retry": retry}}},
		{"resolve", "ProblemEvent/healing", map[string]any{"state": "Resolved"}},
		{"approve", "Approval/pending", map[string]any{"answers": []any{answer("Approve", "approve")}}},
		{"reject", "Approval/pending", map[string]any{"answers": []any{answer("Decline", "reject")}}},
	} {
		t.Run(test.of+" "+test.action, func(t *testing.T) {
			before := one(t, test.of)
			after, err := act(actionScript(t, before.GetKind(), test.action), before.Unstructured)
			if err != nil {
				t.Fatal(err)
			}
			want := before.DeepCopy()
			for name, value := range test.changes {
				if err := unstructured.SetNestedField(want.Object, value, "spec", name); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(after.Object, want.Object) {
				t.Errorf("%v\n%v", after.Object, want.Object)
			}
			// What was done can't be done once more.
			if strings.Contains(possible(t, after), test.action) && test.action != "retry" {
				t.Errorf("%s is still offered: %q", test.action, possible(t, after))
			}
		})
	}
}

func TestAnAnswerIsAddedToThoseThatAreThere(t *testing.T) {
	asked := one(t, "Approval/pending").DeepCopy()
	jane := map[string]any{"by": "jane", "choice": "Decline"}
	if err := unstructured.SetNestedSlice(asked.Object, []any{jane}, "spec", "answers"); err != nil {
		t.Fatal(err)
	}
	if possible(t, asked) != "" {
		t.Error("an answered question offers an answer")
	}
	after, err := act(actionScript(t, "Approval", "approve"), asked)
	if err != nil {
		t.Fatal(err)
	}
	answers, _, _ := unstructured.NestedSlice(after.Object, "spec", "answers")
	if len(answers) != 2 || !reflect.DeepEqual(answers[0], any(jane)) {
		t.Errorf("%v", answers)
	}
}

// actionTests is the action_test.yaml of Argo CD's own resource_customizations.
type actionTests struct {
	DiscoveryTests []discoveryTest `json:"discoveryTests"`
	ActionTests    []actionTest    `json:"actionTests"`
}

type discoveryTest struct {
	InputPath string      `json:"inputPath"`
	Result    []available `json:"result"`
}

type available struct {
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
}

type actionTest struct {
	Action             string `json:"action"`
	InputPath          string `json:"inputPath"`
	ExpectedOutputPath string `json:"expectedOutputPath"`
}

// The tests that Argo CD's own tests want beside the actions.
func TestActionTestsOfArgoCD(t *testing.T) {
	tests := map[string]*actionTests{"Approval": {}, "ProblemEvent": {}, "SequenceExecution": {}}
	done := map[string]bool{}
	for _, o := range stored(t) {
		kind := o.GetKind()
		if tests[kind] == nil || done[o.name] {
			continue
		}
		done[o.name] = true
		input := "../testdata/" + strings.TrimPrefix(o.name, kind+"/") + ".yaml"
		test := discoveryTest{InputPath: input}
		disabled := discovered(t, o.Unstructured)
		for _, name := range actions[kind] {
			test.Result = append(test.Result, available{Name: name, Disabled: disabled[name]})
			if disabled[name] || done[kind+name] {
				continue
			}
			done[kind+name] = true
			output := "testdata/" + name + ".yaml"
			after, err := act(actionScript(t, kind, name), o.Unstructured)
			if err != nil {
				t.Fatal(err)
			}
			text, err := yaml.Marshal(after.Object)
			if err != nil {
				t.Fatal(err)
			}
			generated(t, filepath.Join(scripts, kind, "actions", output), text)
			tests[kind].ActionTests = append(tests[kind].ActionTests,
				actionTest{Action: name, InputPath: input, ExpectedOutputPath: output})
		}
		tests[kind].DiscoveryTests = append(tests[kind].DiscoveryTests, test)
	}
	for kind, all := range tests {
		text, err := yaml.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		generated(t, filepath.Join(scripts, kind, "actions", "action_test.yaml"), text)
		if len(all.ActionTests) != len(actions[kind]) {
			t.Errorf("%s: %d of %d actions are tested", kind, len(all.ActionTests), len(actions[kind]))
		}
	}
}
