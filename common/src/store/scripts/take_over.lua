-- Takes over a submission for the leader: from now on, writes with older tokens are rejected.
--
-- KEYS  submission
-- ARGV  fencing token
-- Returns taken | gone | fenced

if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
return 'taken'
