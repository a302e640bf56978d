package gitops

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// limit is how long Argo CD lets a script run.
const limit = time.Second

// run runs a script as Argo CD runs one of argocd-cm where useOpenLibs is not set: with the libraries base, table and
// package, and of os with time and date; string and math are missing. `obj` is the object. It gives the JSON of the table
// that the script returns.
func run(script string, obj *unstructured.Unstructured) ([]byte, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
		lua.OsLibName:   lua.OpenOs,
	} {
		call := lua.P{Fn: state.NewFunction(open), Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	if os, ok := state.GetGlobal(lua.OsLibName).(*lua.LTable); ok {
		safe := state.NewTable()
		for _, name := range []string{"time", "date"} {
			safe.RawSetString(name, os.RawGetString(name))
		}
		state.SetGlobal(lua.OsLibName, safe)
	}
	deadline, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	state.SetContext(deadline)
	state.SetGlobal("obj", toLua(state, obj.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returns a %s, not a table", state.Get(-1).Type())
	}
	return luajson.Encode(table)
}

// toLua is the value as scripts see it: every number is one of Lua's, and a null is nothing.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}

// health is what a health script says.
type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func healthOf(script string, obj *unstructured.Unstructured) (health, error) {
	said, err := run(script, obj)
	if err != nil {
		return health{}, err
	}
	var found health
	return found, json.Unmarshal(said, &found)
}

// act gives the object as the action makes it. Lua does not tell an empty list from an empty object; Argo CD takes the
// object's own word for it, and so does this.
func act(script string, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	said, err := run(script, obj)
	if err != nil {
		return nil, err
	}
	made := &unstructured.Unstructured{}
	if err := made.UnmarshalJSON(said); err != nil {
		return nil, err
	}
	made.Object = mended(made.Object, obj.Object).(map[string]any)
	return made, nil
}

func mended(made, before any) any {
	switch value := made.(type) {
	case map[string]any:
		old, _ := before.(map[string]any)
		for key, item := range value {
			value[key] = mended(item, old[key])
		}
	case []any:
		if old, ok := before.(map[string]any); ok && len(value) == 0 {
			return old
		}
		old, _ := before.([]any)
		for index, item := range value {
			if index < len(old) {
				value[index] = mended(item, old[index])
			}
		}
	}
	return made
}
