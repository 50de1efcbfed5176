-- Opens a run that failed again, to go on from its checkpoint.
--
-- KEYS  submission, jobs, nodes
-- ARGV  notification channel, submission id
-- Returns 1 when it had failed and is open now.

if redis.call('HGET', KEYS[1], 'state') ~= 'failed' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'running')
redis.call('HDEL', KEYS[1], 'error', 'finished_ms')
-- Its jobs come again under the same names, without their past.
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
