-- Takes a submission over for the coordinator that leads: from now on older tokens change nothing.
--
-- KEYS  submission
-- ARGV  lease token
-- Returns taken | gone | fenced

if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
return 'taken'
