-- Replaces the stored request of a submission that is prepared, unless it has expired.
--
-- KEYS  submission
-- ARGV  fencing token, request
-- Returns replaced | expired | preparing | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'expired' end
if state == 'preparing' then return 'preparing' end
redis.call('HSET', KEYS[1], 'spec', ARGV[2])
return 'replaced'
