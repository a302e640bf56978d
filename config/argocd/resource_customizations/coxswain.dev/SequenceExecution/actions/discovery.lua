-- A live run can be paused, resumed and aborted; one that ended badly can be run again.
local status = obj.status or {}
local live = not status.done
local desired = "Run"
if obj.spec.control ~= nil then
  desired = obj.spec.control.desired or "Run"
end
local well = status.phase == "Succeeded" or status.phase == "Resolved"
return {
  pause = { disabled = not (live and desired == "Run") },
  resume = { disabled = not (live and desired == "Pause") },
  abort = { disabled = not (live and desired ~= "Abort") },
  retry = { disabled = live or well },
}
