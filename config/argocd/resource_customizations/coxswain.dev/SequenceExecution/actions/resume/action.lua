-- Lets a paused run go on.
obj.spec.control = obj.spec.control or {}
obj.spec.control.desired = "Run"
return obj
