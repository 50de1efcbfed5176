-- Publishes the next version of a run's parameters and deletes the results of the previous one.
--
-- KEYS  submission, parameters, nodes
-- ARGV  fencing token, version, bytes
-- Returns put | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
redis.call('HSET', KEYS[1], 'version', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
redis.call('DEL', KEYS[3])
return 'put'
