-- A problem that goes on can be said to be over.
local status = obj.status or {}
return { resolve = { disabled = status.done == true or obj.spec.state == "Resolved" } }
