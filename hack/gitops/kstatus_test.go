package gitops

import (
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What Flux, and everything else that reads kstatus, makes of every stored object: what goes on is InProgress, what has
// ended is Current, however it ended; Failed is only what somebody has to mend.
func TestKstatusOfEveryStoredObject(t *testing.T) {
	counted := map[status.Status]int{}
	for _, o := range stored(t) {
		want := status.CurrentStatus
		done, hasDone, _ := unstructured.NestedBool(o.Object, "status", "done")
		phase := field(o.Unstructured, "status", "phase")
		switch {
		case strings.HasSuffix(o.name, "/invalid"), strings.HasSuffix(o.name, "/ambiguous"):
			want = status.FailedStatus
		case o.GetName() == "no-such-sequence":
			want = status.FailedStatus
		// These are in order as soon as they were taken up: what comes of them is their run's.
		case o.GetKind() == "Approval", o.name == "ProblemEvent/healing", o.name == "ProblemEvent/held":
		case hasDone && !done:
			want = status.InProgressStatus
		case slices.Contains([]string{"Delivering", "Waiting", "Held"}, phase):
			want = status.InProgressStatus
		}
		have, err := status.Compute(o.Unstructured)
		if err != nil || have.Status != want {
			t.Errorf("%s %s is %v, and should be %s (%v)", o.name, o.GetName(), have, want, err)
		}
		counted[have.Status]++
	}
	for _, one := range []status.Status{status.CurrentStatus, status.InProgressStatus, status.FailedStatus} {
		if counted[one] == 0 {
			t.Errorf("nothing is %s", one)
		}
	}
}

func TestWhatWasEditedIsInProgress(t *testing.T) {
	for _, o := range stored(t) {
		if _, found, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration"); !found {
			continue
		}
		if have, err := status.Compute(edited(o)); err != nil || have.Status != status.InProgressStatus {
			t.Errorf("%s is %v (%v)", o.name, have, err)
		}
	}
}
