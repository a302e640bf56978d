-- A run is healthy when it ended well. One that waits for people is suspended, so that nobody looks for what is stuck.
local status = obj.status or {}
local health = "Progressing"
if status.done then
  health = "Degraded"
  if status.phase == "Succeeded" or status.phase == "Resolved" then
    health = "Healthy"
  end
elseif status.phase == "Paused" or status.phase == "Held" then
  health = "Suspended"
elseif status.phase == "Waiting" and status.reason == "Approval" then
  health = "Suspended"
end
return { status = health, message = status.message or "not looked at yet" }
