-- Forgets a dead letter, unless another was recorded under its id since.
--
-- KEYS  dead letters, their order
-- ARGV  id, when it was recorded in ms
-- Returns 1 when it was there

local recorded = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not recorded or tonumber(recorded) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
