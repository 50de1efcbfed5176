-- Releases the leader lease, if this instance still holds it.
--
-- KEYS  lease
-- ARGV  instance id

if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
