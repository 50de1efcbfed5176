-- Closes a submission other than by its last job: a finished run, a failure, a cancellation.
--
-- KEYS  submission, results, jobs
-- ARGV  fencing token, final state, error (may be empty), keep without retention (0|1), notification channel,
--       submission id
-- Returns closed | not-open | fenced

local submission = KEYS[1]
if fenced(submission, ARGV[1]) then return 'fenced' end
local state = redis.call('HGET', submission, 'state')
if state ~= 'preparing' and state ~= 'running' then return 'not-open' end
local now = redis.call('TIME')
redis.call('HSET', submission, 'state', ARGV[2], 'finished_ms', now[1] * 1000 + math.floor(now[2] / 1000))
if ARGV[3] ~= '' then redis.call('HSET', submission, 'error', ARGV[3]) end
if ARGV[4] == '0' then
  local retention = redis.call('HGET', submission, 'retention_ms')
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, retention) end
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 'closed'
