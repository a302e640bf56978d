-- A definition is healthy when it is in force: when this generation of it was read, and found to be sound.
local status = obj.status or {}
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "not looked at yet" }
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    local health = "Degraded"
    if condition.status == "True" then
      health = "Healthy"
    end
    return { status = health, message = condition.message }
  end
end
return { status = "Progressing", message = "not looked at yet" }
