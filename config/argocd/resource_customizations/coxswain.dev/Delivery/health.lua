-- A delivery is healthy when the version of this generation is in every stage that it can get to.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "not looked at yet" }
end
local healths = {
  Delivered = "Healthy",
  Failed = "Degraded",
  Aborted = "Degraded",
  Waiting = "Suspended",
  Held = "Suspended",
}
return { status = healths[status.phase] or "Progressing", message = status.message or status.phase }
