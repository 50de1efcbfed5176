-- Claims a channel for one job of a submission.
--
-- KEYS  submission, claims
-- ARGV  channel id, job name
-- Returns the name of the job that holds the claim: this one or an earlier one

local holder = redis.call('HGET', KEYS[2], ARGV[1])
if holder then return holder end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local retention = redis.call('HGET', KEYS[1], 'retention_ms')
if retention then redis.call('PEXPIRE', KEYS[2], retention) end
return ARGV[2]
