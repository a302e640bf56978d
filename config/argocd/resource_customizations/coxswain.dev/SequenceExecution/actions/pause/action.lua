-- Stops the run after its current task.
obj.spec.control = obj.spec.control or {}
obj.spec.control.desired = "Pause"
return obj
