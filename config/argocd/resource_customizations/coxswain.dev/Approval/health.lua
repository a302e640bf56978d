-- A question is suspended until it is decided. A no is an answer, not a fault: what it means is said by the run that asked.
local status = obj.status or {}
if status.done then
  return { status = "Healthy", message = status.message or status.phase }
end
if status.phase == nil then
  return { status = "Progressing", message = "not looked at yet" }
end
local message = status.message or obj.spec.question
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Enforced" and condition.status == "False" then
    message = message .. " (" .. condition.message .. ")"
  end
end
return { status = "Suspended", message = message }
