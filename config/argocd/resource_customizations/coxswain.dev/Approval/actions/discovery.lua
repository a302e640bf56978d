-- A question is answered once. Who may not answer is refused by the admission policies, which this script can't ask.
local status = obj.status or {}
local answered = status.done == true or #(obj.spec.answers or {}) > 0
return {
  approve = { disabled = answered },
  reject = { disabled = answered },
}
