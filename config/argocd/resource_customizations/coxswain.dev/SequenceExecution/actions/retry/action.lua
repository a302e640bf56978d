-- Runs it again from its first task, as a new run. Each id counts once: of this state of the object there is one retry,
-- however often the button is pressed.
obj.spec.control = obj.spec.control or {}
obj.spec.control.retry = { id = "argocd-" .. obj.metadata.resourceVersion, from = "Start" }
return obj
