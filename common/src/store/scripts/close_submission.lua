-- Ends a submission from outside its jobs: a run that is through, a failure, a cancellation.
--
-- KEYS  submission, results, jobs
-- ARGV  end state, error text (may be empty), keep (0|1), doorbell channel, submission id
-- Returns 1 when it was open and is now closed.

local submission = KEYS[1]
local state = redis.call('HGET', submission, 'state')
if state ~= 'preparing' and state ~= 'running' then return 0 end
local now = redis.call('TIME')
redis.call('HSET', submission, 'state', ARGV[1], 'finished_ms', now[1] * 1000 + math.floor(now[2] / 1000))
if ARGV[2] ~= '' then redis.call('HSET', submission, 'error', ARGV[2]) end
if ARGV[3] == '0' then
  local retention = redis.call('HGET', submission, 'retention_ms')
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, retention) end
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
