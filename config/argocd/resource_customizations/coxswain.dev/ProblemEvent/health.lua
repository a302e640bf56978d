-- A problem is healthy when it is over, and degraded when nothing is left to try: then somebody has to look.
local status = obj.status or {}
local health = "Progressing"
if status.done then
  health = "Degraded"
  if status.phase == "Healed" or status.phase == "Resolved" then
    health = "Healthy"
  end
elseif status.phase == "Held" then
  health = "Suspended"
end
return { status = health, message = status.message or "not looked at yet" }
