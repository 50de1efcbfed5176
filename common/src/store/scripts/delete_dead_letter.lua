-- Deletes a dead letter, unless a newer one has replaced it.
--
-- KEYS  dead letters, their order
-- ARGV  id, time of recording in ms
-- Returns 1 if it was deleted, else 0

local recorded = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not recorded or tonumber(recorded) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
