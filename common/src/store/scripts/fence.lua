-- What the scripts that only the leading coordinator may run share; it precedes each of them.
--
-- A coordinator that takes a submission over writes the token of its lease beside it. Whoever comes with
-- an older one was replaced without knowing it, and changes nothing. No token, no fence: somebody acts on
-- behalf of a user.

local function fenced(submission, token)
  if token == '' then return false end
  local fence = redis.call('HGET', submission, 'fence')
  return fence and tonumber(fence) > tonumber(token)
end
