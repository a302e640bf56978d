-- An evaluation is healthy when the gate is good (pass or warning). What could not be measured is not known to be good.
local status = obj.status or {}
local health = "Progressing"
if status.done then
  health = "Degraded"
  if status.phase == "Succeeded" then
    health = "Healthy"
  end
end
return { status = health, message = status.message or "not measured yet" }
