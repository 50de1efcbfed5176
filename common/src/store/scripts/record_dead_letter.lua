-- Records a dead letter. Replaces an older one with the same id.
--
-- KEYS  letters, order
-- ARGV  id, letter JSON, time in ms

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
