package gitops

import (
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// ignored are the fields that actions change, and that Argo CD must not change back to what Git says.
var ignored = map[string]string{
	"Approval":          "/spec/answers",
	"ProblemEvent":      "/spec/state",
	"SequenceExecution": "/spec/control",
}

// customActions is how argocd-cm holds the actions of a kind.
type customActions struct {
	Discovery   string         `json:"discovery.lua"`
	Definitions []customAction `json:"definitions"`
}

type customAction struct {
	Name string `json:"name"`
	Lua  string `json:"action.lua"`
}

// config/argocd/argocd-cm.yaml holds what the scripts say, under the keys that Argo CD reads.
func TestArgoCDConfigMap(t *testing.T) {
	kinds, err := filepath.Glob(scripts + "/*")
	if err != nil || len(kinds) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	marshalled := func(value any) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	data := map[string]string{}
	for _, directory := range kinds {
		kind := filepath.Base(directory)
		data["resource.customizations.health."+group+"_"+kind] = healthScript(t, kind)
		if names := actions[kind]; names != nil {
			all := customActions{Discovery: discoveryScript(t, kind)}
			for _, name := range names {
				all.Definitions = append(all.Definitions, customAction{Name: name, Lua: actionScript(t, kind, name)})
			}
			data["resource.customizations.actions."+group+"_"+kind] = marshalled(all)
			data["resource.customizations.ignoreDifferences."+group+"_"+kind] =
				marshalled(map[string]any{"jsonPointers": []string{ignored[kind]}})
		}
	}
	text := marshalled(map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata": map[string]any{
			"name":      "argocd-cm",
			"namespace": "argocd",
			"labels":    map[string]any{"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"},
		},
		"data": data,
	})
	head := "# Generated from resource_customizations; do not edit.\n"
	generated(t, root+"/config/argocd/argocd-cm.yaml", []byte(head+text))
	for directory := range actions {
		if there, _ := filepath.Glob(filepath.Join(scripts, directory, "actions", "*", "action.lua")); len(there) != len(actions[directory]) {
			t.Errorf("%s has the actions %v, and the tests know %v", directory, there, strings.Join(actions[directory], " "))
		}
	}
}
