-- Replaces the stored request of a submission, unless it has expired.
--
-- KEYS  submission
-- ARGV  fencing token, request
-- Returns replaced | expired | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
if redis.call('EXISTS', KEYS[1]) == 0 then return 'expired' end
redis.call('HSET', KEYS[1], 'spec', ARGV[2])
return 'replaced'
