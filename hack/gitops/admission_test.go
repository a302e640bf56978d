package gitops

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// policy is what is needed of a ValidatingAdmissionPolicy.
type policy struct {
	Spec struct {
		Variables []struct {
			Name       string `json:"name"`
			Expression string `json:"expression"`
		} `json:"variables"`
		Validations []struct {
			Expression string `json:"expression"`
			Message    string `json:"message"`
		} `json:"validations"`
	} `json:"spec"`
}

// evaluate gives the value of an expression of a policy.
func evaluate(t testing.TB, expression string, facts map[string]any) ref.Val {
	t.Helper()
	var variables []cel.EnvOption
	for name := range facts {
		variables = append(variables, cel.Variable(name, cel.DynType))
	}
	env, err := cel.NewEnv(variables...)
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := program.Eval(facts)
	if err != nil {
		t.Fatalf("%v in %s", err, expression)
	}
	return value
}

// refusals are the messages with which the policy of approvals refuses that the user makes `after` of `before`. What asks
// the API server whether a user has a verb is left out: it depends on who gave the verb.
func refusals(t testing.TB, user string, groups []string, before, after *unstructured.Unstructured) []string {
	t.Helper()
	var found policy
	first, _, _ := strings.Cut(string(read(t, root+"/config/admission/approvals.yaml")), "\n---\n")
	if err := yaml.Unmarshal([]byte(first), &found); err != nil {
		t.Fatal(err)
	}
	variables := map[string]any{}
	facts := map[string]any{
		"request":   map[string]any{"operation": "UPDATE", "userInfo": map[string]any{"username": user, "groups": groups}},
		"object":    after.Object,
		"oldObject": before.Object,
	}
	for _, variable := range found.Spec.Variables {
		facts["variables"] = maps.Clone(variables)
		variables[variable.Name] = evaluate(t, variable.Expression, facts)
	}
	facts["variables"] = variables
	var refused []string
	judged := 0
	for _, rule := range found.Spec.Validations {
		if strings.Contains(rule.Expression, "authorizer.") {
			continue
		}
		judged++
		if evaluate(t, rule.Expression, facts) != types.True {
			refused = append(refused, rule.Message)
		}
	}
	if judged < 5 {
		t.Errorf("only %d rules were judged", judged)
	}
	return refused
}

// The answer is in Argo CD's own name, so that is who may give it, and nobody else.
func TestTheAnswersOfTheActionsAreHonest(t *testing.T) {
	asked := one(t, "Approval/pending").Unstructured
	serviceAccounts := []string{"system:serviceaccounts", "system:serviceaccounts:argocd", "system:authenticated"}
	change := func(field string, value any) *unstructured.Unstructured {
		changed := asked.DeepCopy()
		if err := unstructured.SetNestedField(changed.Object, value, "spec", field); err != nil {
			t.Fatal(err)
		}
		return changed
	}
	for _, test := range []struct {
		what, user string
		asked      *unstructured.Unstructured
		refusal    string
	}{
		{"as Argo CD", serverUser, asked, ""},
		{"as another user", "jane", asked, "you answer for nobody but yourself"},
		{"as the account of an AppProject", "system:serviceaccount:shop:deployer", asked, "you answer for nobody but yourself"},
		{"a question for a group", serverUser, change("groups", []any{"release-managers"}), "none of the groups"},
		{"who asked for the change", serverUser, change("notBy", serverUser), "may not answer"},
		{"another asked for the change", serverUser, change("notBy", "jane"), ""},
	} {
		for _, action := range actions["Approval"] {
			answered, err := act(actionScript(t, "Approval", action), test.asked)
			if err != nil {
				t.Fatal(err)
			}
			refused := strings.Join(refusals(t, test.user, serviceAccounts, test.asked, answered), "; ")
			if (refused == "") != (test.refusal == "") || !strings.Contains(refused, test.refusal) {
				t.Errorf("%s, %s: %q instead of %q", test.what, action, refused, test.refusal)
			}
		}
	}
}
