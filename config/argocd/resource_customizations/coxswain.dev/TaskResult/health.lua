-- What an outside executor said of a task. It is said once and for all, and has no status.
return { status = "Healthy", message = obj.spec.source .. " says " .. obj.spec.type }
