-- The prelude of the scripts that only the leader may run.
--
-- A coordinator that takes over a submission writes its fencing token to it. A coordinator with an older token has
-- been replaced without noticing, and must not change anything. Requests on behalf of a user have no token and are not
-- fenced.

local function fenced(submission, token)
  if token == '' then return false end
  local fence = redis.call('HGET', submission, 'fence')
  return fence and tonumber(fence) > tonumber(token)
end
