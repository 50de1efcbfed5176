-- Records a submission. Does nothing if it exists.
--
-- KEYS  submission
-- ARGV  notification channel, submission id, then fields and values
-- Returns 1 if it is new, else 0

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], 'created_ms', now[1] * 1000 + math.floor(now[2] / 1000), unpack(ARGV, 3))
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
