package gitops

import (
	"context"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// gate is what the example says of a Flux Kustomization that others depend on.
type gate struct {
	Metadata struct{ Name string } `json:"metadata"`
	Spec     struct {
		DependsOn        []struct{ Name string }       `json:"dependsOn"`
		Wait             bool                          `json:"wait"`
		HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	} `json:"spec"`
}

func example(t testing.TB, name string) gate {
	t.Helper()
	var found gate
	if err := yaml.Unmarshal(read(t, root+"/examples/gitops/flux/"+name+".yaml"), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// judge is what Flux makes of the object by the gate's expressions.
func judge(t testing.TB, g gate, o *unstructured.Unstructured) status.Status {
	t.Helper()
	for _, check := range g.Spec.HealthCheckExprs {
		if check.APIVersion != o.GetAPIVersion() || check.Kind != o.GetKind() {
			continue
		}
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			t.Fatal(err)
		}
		found, err := evaluator.Evaluate(context.Background(), o)
		if err != nil {
			// To Flux what can't be evaluated is not known, and waited for.
			return status.UnknownStatus
		}
		return found.Status
	}
	t.Fatalf("the gate says nothing of %s", o.GetKind())
	return status.UnknownStatus
}

func TestTheNextStageDependsOnTheGate(t *testing.T) {
	first, second := example(t, "staging"), example(t, "production")
	if !first.Spec.Wait {
		t.Error("a Kustomization that does not wait is ready as soon as it is applied")
	}
	if len(second.Spec.DependsOn) != 1 || second.Spec.DependsOn[0].Name != first.Metadata.Name {
		t.Errorf("%+v", second.Spec.DependsOn)
	}
}

// A gate opens for what ended well, stays shut while it goes on, and fails at once when it ended otherwise.
func TestAFailedGateBlocks(t *testing.T) {
	want := map[string]status.Status{
		"Healthy":     status.CurrentStatus,
		"Progressing": status.InProgressStatus,
		"Suspended":   status.InProgressStatus,
		"Degraded":    status.FailedStatus,
	}
	g := example(t, "staging")
	judged := map[string]int{}
	for _, o := range stored(t) {
		switch o.GetKind() {
		case "Delivery", "Evaluation", "SequenceExecution":
			// Here Argo CD and Flux agree; what has no conditions yet can't be evaluated.
			have := judge(t, g, o.Unstructured)
			if have == status.UnknownStatus && o.name == "Evaluation/new" {
				have = status.InProgressStatus
			}
			if have != want[healths[o.name]] {
				t.Errorf("%s is %s, and should be %s", o.name, have, want[healths[o.name]])
			}
			if have := judge(t, g, unseen(o)); have != status.UnknownStatus {
				t.Errorf("%s: before anybody looked at it, it is %s", o.name, have)
			}
			judged[o.GetKind()]++
		}
	}
	for _, kind := range []string{"Delivery", "Evaluation", "SequenceExecution"} {
		if judged[kind] == 0 {
			t.Errorf("no %s was judged", kind)
		}
	}
}

// A new image is a new generation: what the last one came to says nothing of it.
func TestANewVersionShutsTheGate(t *testing.T) {
	if have := judge(t, example(t, "staging"), edited(one(t, "Delivery/delivered"))); have != status.InProgressStatus {
		t.Errorf("it is %s", have)
	}
}
