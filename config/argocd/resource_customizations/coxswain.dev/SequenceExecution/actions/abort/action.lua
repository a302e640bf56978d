-- Ends the run at once and deletes its Job. It can't be taken back.
obj.spec.control = obj.spec.control or {}
obj.spec.control.desired = "Abort"
return obj
