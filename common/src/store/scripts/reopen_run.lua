-- Reopens a failed or cancelled run, to continue from its checkpoint.
--
-- KEYS  submission, jobs, nodes, then its data
-- ARGV  notification channel, submission id
-- Returns 1 if it was reopened, else 0

local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'failed' and state ~= 'cancelled' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'running')
redis.call('HDEL', KEYS[1], 'error', 'finished_ms')
-- Its jobs are published again under the same names, without their old records.
redis.call('DEL', KEYS[2], KEYS[3])
for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
